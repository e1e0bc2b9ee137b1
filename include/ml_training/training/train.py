"""Trains a float model of one family on one dataset version.

    python -m ml_training.training.train --config base_model --data-dir data --output-dir data/training

A run is named by the hash of dataset version, config and code: the same again finds its result, and a run that was
killed goes on after its last whole epoch.
"""

import argparse
import json
import logging
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ml_training.cloud import storage
from ml_training.config.loading import load_config
from ml_training.config.schema import TrainingConfig
from ml_training.config.settings import read_settings
from ml_training.training.model_card import CARD_NAME, ModelCard
from ml_training.utils.command_line import command_parser, run_command
from ml_training.utils.errors import ObjectNotFound
from ml_training.utils.hashing import code_version, short_hash
from ml_training.utils.metrics import average_precision, best_f1_threshold

logger = logging.getLogger(__name__)


def train(config: TrainingConfig, *, data_dir: str, dataset_id: str, output_dir: str) -> dict[str, Any]:
    """Train, or find the result of the same training; returns addresses and figures (see ``done.json``)."""
    run_id = run_identity(config, dataset_id)
    run_uri = storage.join(output_dir, run_id)
    try:
        found = dict(storage.read_json(storage.join(run_uri, "done.json")))
        logger.info("this training is done already: %s", run_uri)
        return {**found, "reused": True}
    except ObjectNotFound:
        result = _train_anew(config, data_dir, dataset_id, run_id, run_uri)
    storage.write_json(storage.join(run_uri, "done.json"), result)
    return {**result, "reused": False}


def run_identity(config: TrainingConfig, dataset_id: str) -> str:
    """Return the name of a training: the hash of all that its result depends on."""
    content = config.model_dump(mode="json", exclude={"gates"})
    return short_hash({"dataset": dataset_id, "config": content, "code": code_version()})


def _train_anew(config: TrainingConfig, data_dir: str, dataset_id: str, run_id: str, run_uri: str) -> dict[str, Any]:
    from ml_training.training.fitting import TrainingData, fit_classifier
    from ml_training.training.samples import read_samples
    from ml_training.training.tracking import tracked_run

    started = time.monotonic()
    data = TrainingData(
        data_dir, read_samples(data_dir, dataset_id, "train"), read_samples(data_dir, dataset_id, "validation")
    )
    logger.info("%d frames to train on, %d to validate with", len(data.training.labels), len(data.validation.labels))
    params = {"dataset_id": dataset_id, "run_id": run_id, **_flatten(config.model_dump(mode="json"))}
    storage.write_json(storage.join(run_uri, "spec.json"), {"dataset_id": dataset_id, "config": params})
    with tracked_run(config.model_name, run_id, params) as tracker:
        fitted = fit_classifier(
            config,
            data,
            work_dir=read_settings().work_dir / "activations",
            checkpoints=storage.join(run_uri, "checkpoints"),
            on_epoch=lambda stage, epoch, values: tracker.log_metrics(
                {f"{stage}/{name}": value for name, value in values.items()}, step=epoch
            ),
        )
        labels, scores = data.validation.labels, fitted.validation_scores
        card = ModelCard(
            model_name=config.model_name,
            run_id=run_id,
            dataset_id=dataset_id,
            config=config,
            code_version=code_version(),
            threshold=best_f1_threshold(labels, scores),
            validation_average_precision=average_precision(labels, scores),
            mlflow_run_id=tracker.mlflow_run_id,
            seconds=time.monotonic() - started,
            created_at=datetime.now(UTC),
        )
        tracker.log_metrics({"validation/average_precision": card.validation_average_precision})
        model_uri = _store(fitted.model, card, storage.join(run_uri, "float"))
    return {
        "run_id": run_id,
        "run_uri": run_uri,
        "model_uri": model_uri,
        "model_name": config.model_name,
        "dataset_id": dataset_id,
        "mlflow_run_id": card.mlflow_run_id,
        "seconds": round(card.seconds, 1),
    }


def _store(model: Any, card: ModelCard, folder: str) -> str:
    model_uri = storage.join(folder, "model.keras")
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "model.keras"
        model.save(path)
        storage.upload(path, model_uri)
    storage.write_json(storage.join(folder, CARD_NAME), card.model_dump(mode="json"))
    return model_uri


def _flatten(content: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in content.items():
        if isinstance(value, dict):
            flat |= _flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def overrides_of(args: argparse.Namespace) -> dict[str, Any]:
    """Return the config overrides of ``--overrides``, ``--epochs`` (of the upper blocks) and ``--seed``."""
    overrides: dict[str, Any] = json.loads(args.overrides) if args.overrides else {}
    if args.epochs is not None:
        overrides["training.upper.epochs"] = args.epochs
    if args.seed is not None:
        overrides["training.seed"] = args.seed
    return overrides


def _run(args: argparse.Namespace) -> dict[str, Any]:
    overrides = overrides_of(args)
    config = load_config(args.config, overrides)
    dataset_id = args.dataset
    if dataset_id is None:
        from ml_training.data import dataset

        dataset_id = dataset.build(args.data_dir, config.data)["dataset_id"]
    output_dir = args.output_dir or storage.join(args.data_dir, "training")
    return train(config, data_dir=args.data_dir, dataset_id=dataset_id, output_dir=output_dir)


def main(argv: list[str] | None = None) -> int:
    """Run the command."""
    parser = command_parser("ml_training.training.train", __doc__)
    parser.add_argument("--config", default="base_model", help="name in include/configs, or a path")
    parser.add_argument("--data-dir", default=read_settings().data_dir, help="bucket or folder that holds the data")
    parser.add_argument("--dataset", help="dataset version (default: one built from all labelled frames)")
    parser.add_argument("--output-dir", help="where runs are kept (default: DATA_DIR/training)")
    parser.add_argument("--epochs", type=int, help="epochs of the upper blocks, instead of the config's")
    parser.add_argument("--seed", type=int, help="seed, instead of the config's")
    parser.add_argument("--overrides", help='other config values, as JSON: {"training.head.epochs": 10}')
    parser.set_defaults(run=_run)
    return run_command(parser, argv)


if __name__ == "__main__":
    raise SystemExit(main())
