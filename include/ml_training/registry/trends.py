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

    with registry_errors(f"recording {run_name}", server.address):
        client = MlflowClient(server.address, server.address)
        run_id = _run(client, experiment, run_name)
        written = 0
        for point in points:
            moment = int(point.at.timestamp() * 1000)
            news = {name: value for name, value in point.metrics.items() if not _has(client, run_id, name, point.step)}
            for name, value in news.items():
                client.log_metric(run_id, name, value, timestamp=moment, step=point.step)
            written += bool(news)
    return written


def _run(client: Any, experiment: str, run_name: str) -> str:
    found = client.get_experiment_by_name(experiment)
    experiment_id = found.experiment_id if found else client.create_experiment(experiment)
    runs = client.search_runs([experiment_id], filter_string=f"tags.`{OWNER_TAG}` = '{run_name}'", max_results=1)
    if runs:
        return str(runs[0].info.run_id)
    run_id = client.create_run(experiment_id, run_name=run_name, tags={OWNER_TAG: run_name}).info.run_id
    client.set_terminated(run_id)
    return str(run_id)


def _has(client: Any, run_id: str, name: str, step: int) -> bool:
    return any(item.step == step for item in client.get_metric_history(run_id, name))
