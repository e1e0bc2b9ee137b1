"""Trains a float model of one family on one dataset version.

    python -m ml_training.training.train --config base_model --data-dir data --output-dir data/training

A run is named by the hash of dataset version, config and code: the same again finds its result, and a run that was
killed goes on where its last checkpoint was. Models that the config names (a trunk, a teacher) are trained first.
"""

import argparse
import json
import logging
import os
import time
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any

from ml_training.cloud import storage
from ml_training.cloud.fence import require_newest_attempt
from ml_training.config.loading import load_config
from ml_training.config.schema import TrainingConfig
from ml_training.config.settings import read_settings
from ml_training.training.dataset_choice import dataset_or_built
from ml_training.training.model_card import CARD_NAME, ModelCard
from ml_training.training.prerequisites import with_prerequisites
from ml_training.utils.command_line import command_parser, run_command
from ml_training.utils.errors import ConfigError, ObjectNotFound
from ml_training.utils.hashing import code_version, short_hash
from ml_training.utils.metrics import average_precision, best_f1_threshold

logger = logging.getLogger(__name__)

WAIT_SECONDS = 15.0  # between two looks for what another machine trains

NOT_IN_THE_NAME: dict[str, Any] = {"gates": True, "tune": True, "training": {"checkpoint_seconds", "checkpoint_steps"}}


def train(
    config: TrainingConfig, *, data_dir: str, dataset_id: str, output_dir: str, alone: bool = False
) -> dict[str, Any]:
    """Train, or find the result of the same training; returns addresses and figures (see ``done.json``).

    Of several machines the first one trains ``alone`` what another model needs, and the others wait for it.
    """
    if not alone:
        _meet_the_others(config)

    def train_one(other: TrainingConfig) -> str:
        return str(
            train(other, data_dir=data_dir, dataset_id=dataset_id, output_dir=output_dir, alone=True)["model_uri"]
        )

    config = with_prerequisites(config, train_one)
    run_id = run_identity(config, dataset_id)
    run_uri = storage.join(output_dir, run_id)
    if alone and not _is_first():
        _wait_for(run_uri, config.model_name)
    try:
        found = dict(storage.read_json(storage.join(run_uri, "done.json")))
        logger.info("this training is done already: %s", run_uri)
        return {**found, "reused": True}
    except ObjectNotFound:
        return {**_train_anew(config, data_dir, dataset_id, run_id, run_uri), "reused": False}


def _meet_the_others(config: TrainingConfig) -> None:
    """Let several machines find one another, before all else of TensorFlow. Raises ConfigError for another mode."""
    if not os.environ.get("TF_CONFIG"):
        return
    from ml_training.training.machines import make_strategy, part_of_data

    if part_of_data().num_shards > 1:
        if not config.can_be_shared:
            raise ConfigError(
                f"{config.model_name} learns in stages, which one machine does: several need training.mode=end_to_end "
                "and a model of single frames"
            )
        make_strategy()


def _is_first() -> bool:
    from ml_training.training.machines import part_of_data

    return part_of_data().is_chief


def _wait_for(run_uri: str, name: str) -> None:
    """Wait until the first machine has trained what another model needs; whoever watches this one ends it otherwise."""
    while not storage.exists(storage.join(run_uri, "done.json")):
        logger.info("waits until the first machine has trained %s", name)
        time.sleep(WAIT_SECONDS)


def run_identity(config: TrainingConfig, dataset_id: str) -> str:
    """Return the name of a training: the hash of all that its result depends on."""
    content = config.model_dump(mode="json", exclude=NOT_IN_THE_NAME)
    return short_hash({"dataset": dataset_id, "config": content, "code": code_version()})


def _train_anew(config: TrainingConfig, data_dir: str, dataset_id: str, run_id: str, run_uri: str) -> dict[str, Any]:
    from ml_training.training.fitting import Place, fit_model
    from ml_training.training.machines import part_of_data, require_gpus
    from ml_training.training.resources import watch_resources
    from ml_training.training.tracking import Tracker, tracked_run

    started = time.monotonic()
    writes = part_of_data().is_chief  # of several machines only the first
    require_gpus()
    data = _read_data(config, data_dir, dataset_id)
    params = {"dataset_id": dataset_id, "run_id": run_id, **_flatten(config.model_dump(mode="json", exclude={"tune"}))}
    if writes:
        storage.write_json(storage.join(run_uri, "spec.json"), {"dataset_id": dataset_id, "config": params})
    tracked = tracked_run(config.model_name, run_id, params) if writes else nullcontext(Tracker())
    with tracked as tracker, watch_resources() as watch:

        def on_epoch(stage: str, epoch: int, values: dict[str, float]) -> None:
            tracker.log_metrics({f"{stage}/{name}": value for name, value in values.items()}, step=epoch)

        place = Place(read_settings().work_dir / "activations", storage.join(run_uri, "checkpoints"), on_epoch)
        fitted = fit_model(config, data, place)
        card = _card(config, fitted, dataset_id=dataset_id, run_id=run_id).model_copy(
            update={
                "mlflow_run_id": tracker.mlflow_run_id,
                "seconds": time.monotonic() - started,
                "resources": watch.summary(),
            }
        )
        tracker.log_metrics({"validation/average_precision": card.validation_average_precision})
        tracker.log_metrics({f"resources/{name}": value for name, value in card.resources.items() if value is not None})
        model_uri = _store(fitted.parts, card, storage.join(run_uri, "float"), writes=writes)
    result = {"run_id": run_id, "run_uri": run_uri, "model_uri": model_uri, **_facts(config, card)}
    if writes:
        storage.write_json(storage.join(run_uri, "done.json"), result)
    return result


def _facts(config: TrainingConfig, card: ModelCard) -> dict[str, Any]:
    return {
        "model_name": config.model_name,
        "dataset_id": card.dataset_id,
        "mlflow_run_id": card.mlflow_run_id,
        "seconds": round(card.seconds, 1),
        "validation_average_precision": round(card.validation_average_precision, 4),
        **card.resources,
    }


def _read_data(config: TrainingConfig, data_dir: str, dataset_id: str) -> Any:
    from ml_training.training.fitting import TrainingData
    from ml_training.training.leaks import require_no_leak
    from ml_training.training.samples import read_samples

    require_no_leak(data_dir, dataset_id)
    classes = config.model.classes
    training = read_samples(data_dir, dataset_id, "train", classes=classes)
    validation = read_samples(data_dir, dataset_id, "validation", classes=classes)
    logger.info("%d frames to train on, %d to validate with", len(training.labels), len(validation.labels))
    return TrainingData(data_dir, dataset_id, training, validation)


def _card(config: TrainingConfig, fitted: Any, *, dataset_id: str, run_id: str) -> ModelCard:
    from ml_training.training.fitting import ad_class_of

    ads = (fitted.validation_labels == ad_class_of(config.model)).astype("int8")
    return ModelCard(
        model_name=config.model_name,
        run_id=run_id,
        dataset_id=dataset_id,
        config=config,
        code_version=code_version(),
        threshold=best_f1_threshold(ads, fitted.validation_scores),
        validation_average_precision=average_precision(ads, fitted.validation_scores),
        mlflow_run_id=None,
        seconds=0.0,
        created_at=datetime.now(UTC),
    )


def _store(parts: dict[str, Any], card: ModelCard, folder: str, *, writes: bool) -> str:
    """Store card, networks and how they are used; returns the first network's address."""
    from ml_training.models.stored import describe, save_parts

    description = describe(card.config.model, card.threshold)
    if not writes:
        return storage.join(folder, description.parts[0].file)
    require_newest_attempt()
    storage.write_json(storage.join(folder, CARD_NAME), card.model_dump(mode="json"))
    return save_parts(parts, description, folder)


def _flatten(content: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in content.items():
        if isinstance(value, dict):
            flat |= _flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def overrides_of(args: argparse.Namespace) -> dict[str, Any]:
    """Return the config overrides of ``--overrides``, ``--epochs`` (of the last stage) and ``--seed``."""
    overrides: dict[str, Any] = json.loads(args.overrides) if args.overrides else {}
    if args.epochs is not None:
        overrides[f"training.{last_stage(load_config(args.config, overrides))}.epochs"] = args.epochs
    if args.seed is not None:
        overrides["training.seed"] = args.seed
    return overrides


def last_stage(config: TrainingConfig) -> str:
    """Return the section of ``training`` whose epochs come last: ``head``, ``upper`` or ``end_to_end``."""
    if config.model.is_head:
        return "head"
    return "end_to_end" if config.training.mode == "end_to_end" else "upper"


def _run(args: argparse.Namespace) -> dict[str, Any]:
    overrides = overrides_of(args)
    config = load_config(args.config, overrides)
    dataset_id = dataset_or_built(args.dataset, args.data_dir, config.data)
    output_dir = args.output_dir or storage.join(args.data_dir, "training")
    return train(config, data_dir=args.data_dir, dataset_id=dataset_id, output_dir=output_dir)


def main(argv: list[str] | None = None) -> int:
    """Run the command."""
    parser = command_parser("ml_training.training.train", __doc__)
    parser.add_argument("--config", default="base_model", help="name in include/configs, or a path")
    parser.add_argument("--data-dir", default=read_settings().data_dir, help="bucket or folder that holds the data")
    parser.add_argument("--dataset", help="dataset version (default: one built from all labelled frames)")
    parser.add_argument("--output-dir", help="where runs are kept (default: DATA_DIR/training)")
    parser.add_argument("--epochs", type=int, help="epochs of the last stage, instead of the config's")
    parser.add_argument("--seed", type=int, help="seed, instead of the config's")
    parser.add_argument("--overrides", help='other config values, as JSON: {"training.head.epochs": 10}')
    parser.set_defaults(run=_run)
    return run_command(parser, argv)


if __name__ == "__main__":
    raise SystemExit(main())
