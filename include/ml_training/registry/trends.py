"""Curves in MLflow over the versions of a model: one run for each curve's owner, whose metrics have versions as steps.

    record_points(server, experiment="device-benchmarks", run_name="base-general on pi5",
                  points=[Point(step=3, at=now, metrics={"p95_ms": 11.2})])

The run's tab *Model metrics* plots them. A point that is there already is not written again.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from ml_training.registry.server import RegistryServer, registry_errors
from ml_training.utils.records import Record

OWNER_TAG = "adbreak.trend"
LARGEST_BATCH = 1000  # metrics that MLflow takes in one request: https://mlflow.org/docs/latest/rest-api.html#log-batch


class Point(Record):
    """What was measured of one version."""

    step: int  # MLflow's number of the version
    at: datetime
    metrics: dict[str, float]


def record_points(server: RegistryServer, *, experiment: str, run_name: str, points: Sequence[Point]) -> int:
    """Add the points that the run of this name does not have; returns how many were added.

    Raises RegistryError when the server refuses.
    """
    from mlflow import MlflowClient
    from mlflow.entities import Metric

    with registry_errors(f"recording {run_name}", server.address):
        client = MlflowClient(server.address, server.address)
        run_id = _run(client, experiment, run_name)
        names = sorted({name for point in points for name in point.metrics})
        known = {name: {item.step for item in client.get_metric_history(run_id, name)} for name in names}
        news = [
            Metric(name, value, int(point.at.timestamp() * 1000), point.step)
            for point in points
            for name, value in point.metrics.items()
            if point.step not in known[name]
        ]
        for start in range(0, len(news), LARGEST_BATCH):
            client.log_batch(run_id, metrics=news[start : start + LARGEST_BATCH])
    return len({metric.step for metric in news})


def _run(client: Any, experiment: str, run_name: str) -> str:
    found = client.get_experiment_by_name(experiment)
    experiment_id = found.experiment_id if found else client.create_experiment(experiment)
    runs = client.search_runs([experiment_id], filter_string=f"tags.`{OWNER_TAG}` = '{run_name}'", max_results=1)
    if runs:
        return str(runs[0].info.run_id)
    run_id = client.create_run(experiment_id, run_name=run_name, tags={OWNER_TAG: run_name}).info.run_id
    client.set_terminated(run_id)
    return str(run_id)
