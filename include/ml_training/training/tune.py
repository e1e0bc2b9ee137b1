"""Searches a config's ranges for the values that learn best.

    python -m ml_training.training.tune --config base_model --data-dir data --output-dir data/tuning --trials 20

The config's section ``tune`` names values and their ranges. Each trial is a training of its own, judged by the average
precision on validation; Optuna's TPE sampler (Bergstra et al., NeurIPS 2011) draws the next one from what was seen. All
trials lie in ``study.db``: a search that was killed goes on, also with the trial that was under way.
"""

import argparse
import json
import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ml_training.cloud import storage
from ml_training.config.loading import load_config
from ml_training.config.schema import Range, TrainingConfig
from ml_training.config.settings import read_settings
from ml_training.training.dataset_choice import dataset_or_built
from ml_training.training.train import train
from ml_training.utils.command_line import command_parser, run_command
from ml_training.utils.errors import ConfigError, ObjectNotFound
from ml_training.utils.hashing import short_hash

logger = logging.getLogger(__name__)

STUDY_NAME = "study.db"
VALUE = "validation_average_precision"


def tune(
    config: str,
    *,
    data_dir: str,
    dataset_id: str,
    output_dir: str,
    trials: int,
    overrides: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Run trials until there are ``trials`` in all; returns the best values, as overrides, and every trial.

    Raises ConfigError when the config has no ranges, or one of them names no value.
    """
    start = load_config(config, overrides)
    if not start.tune:
        raise ConfigError(f"{config} has no ranges: add a section tune, such as {{training.upper.learning_rate: ...}}")
    _require_names(config, start, overrides)
    content = {"config": start.model_dump(mode="json", exclude={"gates"}), "dataset": dataset_id}
    folder = storage.join(output_dir, short_hash(content))
    with _study_file(folder) as (path, keep):
        study = _open_study(path, start)

        def objective(trial: Any) -> float:
            chosen = {name: suggest(trial, name, within) for name, within in start.tune.items()}
            keep()  # what was drawn, before it is trained: a killed trial is trained on, not drawn anew
            logger.info("trial %d: %s", trial.number + 1, chosen)
            drawn = load_config(config, {**(overrides or {}), **chosen})
            runs = storage.join(folder, "runs")
            result = train(drawn, data_dir=data_dir, dataset_id=dataset_id, output_dir=runs)
            trial.set_user_attr("model_uri", result["model_uri"])
            return float(result[VALUE])

        missing = max(0, trials - len(_complete(study)))
        study.optimize(objective, n_trials=missing, callbacks=[lambda _study, _trial: keep()])
        return _result(study, folder)


def _open_study(path: Path, start: TrainingConfig) -> Any:
    """Return the study that a file holds, ready to draw; trials that were cut off come first."""
    import optuna

    study = optuna.create_study(
        study_name=start.model_name, storage=f"sqlite:///{path}", direction="maximize", load_if_exists=True
    )
    seed = start.training.seed + len(study.trials)  # the same again would draw the same again
    study.sampler = optuna.samplers.TPESampler(seed=seed)
    _take_up(study)
    return study


def suggest(trial: Any, name: str, within: Range) -> Any:
    """Draw one value of a trial."""
    if within.choices is not None:
        return trial.suggest_categorical(name, within.choices)
    low, high = within.low or 0.0, within.high or 0.0
    if within.whole:
        return trial.suggest_int(name, int(low), int(high), log=within.log)
    return trial.suggest_float(name, low, high, log=within.log)


def _require_names(config: str, start: TrainingConfig, overrides: dict[str, Any] | None) -> None:
    """Set every value once to an end of its range, so that a wrong name stops before the first training."""
    ends = {
        name: within.choices[0] if within.choices else (int(within.low or 0) if within.whole else within.low)
        for name, within in start.tune.items()
    }
    load_config(config, {**(overrides or {}), **ends})


def _take_up(study: Any) -> None:
    """Put trials that were under way when the search was killed first in line, with the same values."""
    import optuna

    for trial in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
        if trial.params:
            study.enqueue_trial(trial.params)


def _complete(study: Any) -> list[Any]:
    import optuna

    return list(study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,)))


def _result(study: Any, folder: str) -> dict[str, Any]:
    best = study.best_trial
    return {
        "best": {"overrides": best.params, VALUE: best.value, "model_uri": best.user_attrs.get("model_uri")},
        "trials": [{"overrides": trial.params, VALUE: trial.value} for trial in _complete(study)],
        "study_uri": storage.join(folder, STUDY_NAME),
    }


@contextmanager
def _study_file(folder: str) -> Iterator[tuple[Path, Any]]:
    """Give a path for the study's database, and what brings it to the bucket where the study lies in one."""
    if not storage.is_s3(folder):
        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        yield path.resolve() / STUDY_NAME, lambda: None
        return
    with tempfile.TemporaryDirectory() as temporary:
        local = Path(temporary) / STUDY_NAME
        try:
            storage.download(storage.join(folder, STUDY_NAME), local)
        except ObjectNotFound:
            logger.info("a new search: %s", folder)
        yield local, lambda: storage.upload(local, storage.join(folder, STUDY_NAME))


def _run(args: argparse.Namespace) -> dict[str, Any]:
    overrides = json.loads(args.overrides) if args.overrides else None
    dataset_id = dataset_or_built(args.dataset, args.data_dir, load_config(args.config, overrides).data)
    output = args.output_dir or storage.join(args.data_dir, "tuning")
    return tune(
        args.config,
        data_dir=args.data_dir,
        dataset_id=dataset_id,
        output_dir=output,
        trials=args.trials,
        overrides=overrides,
    )


def main(argv: list[str] | None = None) -> int:
    """Run the command."""
    parser = command_parser("ml_training.training.tune", __doc__)
    parser.add_argument("--config", default="base_model", help="name in include/configs, or a path")
    parser.add_argument("--data-dir", default=read_settings().data_dir, help="bucket or folder that holds the data")
    parser.add_argument("--dataset", help="dataset version (default: one built from all labelled frames)")
    parser.add_argument("--output-dir", help="where the search is kept (default: DATA_DIR/tuning)")
    parser.add_argument("--trials", type=int, default=20, help="trainings in all, those of earlier calls too")
    parser.add_argument("--overrides", help='other config values, as JSON: {"training.head.epochs": 10}')
    parser.set_defaults(run=_run)
    return run_command(parser, argv)


if __name__ == "__main__":
    raise SystemExit(main())
