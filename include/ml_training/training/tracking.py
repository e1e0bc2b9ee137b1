"""What MLflow is told of a training: the only module beside the registry that talks to MLflow.

    with tracked_run("base-general", run_id, params) as tracker:
        tracker.log_metrics({"head/loss": 0.4}, step=1)
        tracker.log_file(Path("pr_curve.png"), "plots")

The same ``run_id`` always continues the same MLflow run, so a killed and retried training stays one run. Without
``MLFLOW_TRACKING_URI`` nothing is tracked, and the log says so. What a training on a machine cost is known when it is
over:

    python -m ml_training.training.tracking cost --run-id 4be1... --cost '{"usd": 0.31, "seconds": 2400, "machines": 1}'
"""

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ml_training.config.settings import read_settings
from ml_training.utils.command_line import command_parser, run_command
from ml_training.utils.errors import RegistryError, UsageError

logger = logging.getLogger(__name__)

RUN_TAG = "adbreak.run_id"
LONGEST_PARAMETER = 500  # characters; MLflow refuses more than 6000, people do not read more than this


class Tracker:
    """Writes to one MLflow run, or to nothing when there is no server."""

    def __init__(self, client: Any = None, run_id: str | None = None) -> None:
        self._client = client
        self.mlflow_run_id = run_id

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Record parameters; one that is there already keeps its value."""
        if self._client is None:
            return
        known = self._client.get_run(self.mlflow_run_id).data.params
        for name, value in params.items():
            if name not in known:
                self._client.log_param(self.mlflow_run_id, name, str(value)[:LONGEST_PARAMETER])

    def log_metrics(self, metrics: Mapping[str, float], *, step: int = 0) -> None:
        """Record numbers of one step."""
        if self._client is None:
            return
        for name, value in metrics.items():
            self._client.log_metric(self.mlflow_run_id, name, float(value), step=step)

    def log_file(self, path: Path, folder: str = "") -> None:
        """Store a file with the run."""
        if self._client is not None:
            self._client.log_artifact(self.mlflow_run_id, str(path), folder or None)

    def log_dict(self, value: Any, name: str) -> None:
        """Store a JSON or YAML file with the run."""
        if self._client is not None:
            self._client.log_dict(self.mlflow_run_id, value, name)


@contextmanager
def tracked_run(experiment: str, run_id: str, params: Mapping[str, Any]) -> Iterator[Tracker]:
    """Open the MLflow run of a training, record system metrics while it lasts, and close it with its outcome."""
    if read_settings().mlflow_tracking_uri is None:
        logger.info("MLFLOW_TRACKING_URI is not set: this run is not tracked")
        yield Tracker()
        return
    mlflow = _mlflow()
    with _server_errors():
        mlflow.set_experiment(experiment)
        client = mlflow.MlflowClient()
        known = _find_run(mlflow, run_id)
        mlflow.set_system_metrics_sampling_interval(5)
        started = mlflow.start_run(
            run_id=known, run_name=f"{experiment}-{run_id[:8]}", tags={RUN_TAG: run_id}, log_system_metrics=True
        )
    tracker = Tracker(client, started.info.run_id)
    try:
        with _server_errors():
            tracker.log_params(params)
        yield tracker
    except BaseException:
        mlflow.end_run("FAILED")
        raise
    mlflow.end_run("FINISHED")


def tracker_of(mlflow_run_id: str | None) -> Tracker:
    """Return a tracker that adds to a run that ended, or to nothing."""
    if mlflow_run_id is None or read_settings().mlflow_tracking_uri is None:
        return Tracker()
    with _server_errors():
        return Tracker(_mlflow().MlflowClient(), mlflow_run_id)


def log_cost(run_id: str, cost: Mapping[str, Any]) -> str | None:
    """Add what a training cost to its run, as metrics and tags. Returns the MLflow run, None when there is none.

    The amount is an estimate until the bill comes, and the tag ``cost`` says so, or ``simulated``: nothing is paid.
    """
    if read_settings().mlflow_tracking_uri is None:
        return None
    mlflow = _mlflow()
    with _server_errors():
        mlflow_run_id = _find_run(mlflow, run_id)
        if mlflow_run_id is not None:
            client = mlflow.MlflowClient()
            for name in ("usd", "seconds", "machines", "interruptions"):
                if cost.get(name) is not None:
                    client.log_metric(mlflow_run_id, f"cost/{name}", float(cost[name]))
            client.set_tag(mlflow_run_id, "cost", "simulated" if cost.get("simulated") else "estimate")
            client.set_tag(mlflow_run_id, "adbreak.job", str(cost.get("job", "")))
    return mlflow_run_id


def _find_run(mlflow: Any, run_id: str) -> str | None:
    runs = mlflow.search_runs(
        filter_string=f"tags.`{RUN_TAG}` = '{run_id}'", max_results=1, output_format="list", search_all_experiments=True
    )
    return runs[0].info.run_id if runs else None


def _mlflow() -> Any:
    import mlflow

    mlflow.set_tracking_uri(read_settings().mlflow_tracking_uri or "")
    return mlflow


@contextmanager
def _server_errors() -> Iterator[None]:
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        address = read_settings().mlflow_tracking_uri
        raise RegistryError(f"the MLflow server at {address} refused: {error}. Is it running?") from error


def main(argv: list[str] | None = None) -> int:
    """Run the command; see the module's docstring."""
    parser = command_parser("ml_training.training.tracking", __doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    cost = commands.add_parser("cost", help="add what a training cost to its MLflow run")
    cost.add_argument("--run-id", required=True, help="the training's run, as it printed it")
    cost.add_argument("--cost", required=True, type=_cost, help="usd, seconds, machines, interruptions, as JSON")
    cost.set_defaults(run=lambda args: {"mlflow_run_id": log_cost(args.run_id, args.cost)})
    return run_command(parser, argv)


def _cost(text: str) -> dict[str, Any]:
    try:
        return dict(json.loads(text))
    except (TypeError, ValueError) as error:
        raise UsageError(f"--cost: expected a JSON object, received {text!r}") from error


if __name__ == "__main__":
    raise SystemExit(main())
