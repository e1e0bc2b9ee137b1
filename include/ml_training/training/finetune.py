"""Goes on training a model on more, or more special, data: a channel, a show, a sport.

    python -m ml_training.training.finetune --base-model RUN/float/model.keras --data-dir data --output out \
           --epochs 10 --freeze-layers 100

The base model's own config says how, unless ``--config`` names another of the same architecture. The first
``--freeze-layers`` layers keep their weights; what lies below them is computed once. The result lies in
``OUTPUT/<run_id>/float``, and the same again finds it.
"""

import argparse
import json
import logging
from typing import Any

from ml_training.cloud import storage
from ml_training.config.loading import config_path, load_config, parse_config, set_value
from ml_training.config.schema import TrainingConfig
from ml_training.config.settings import read_settings
from ml_training.training.dataset_choice import dataset_or_built
from ml_training.training.model_card import read_card
from ml_training.training.train import last_stage, train
from ml_training.utils.command_line import command_parser, run_command
from ml_training.utils.errors import ModelError, UsageError

logger = logging.getLogger(__name__)

SLOWER = 0.3  # of the base's learning rate: what it knows should be refined, not replaced


def finetuning_config(
    base_model: str,
    *,
    config: str | None = None,
    epochs: int | None = None,
    freeze_layers: int | None = None,
    overrides: dict[str, Any] | None = None,
) -> TrainingConfig:
    """Return the config that goes on from ``base_model``, the address of a float model.

    Raises ModelError for a ``.tflite`` file or another architecture than the config's, UsageError for a temporal or
    multimodal model.
    """
    if base_model.endswith(".tflite"):
        raise ModelError(f"{base_model} is an int8 file, which cannot learn: name its parent, RUN/float/model.keras")
    base = read_card(base_model).config
    start = base if config is None else load_config(config)
    if last_stage(start) == "head":
        raise UsageError(
            f"{start.model.architecture} learns in a minute: train it again, with another model.trunk_model"
        )
    _require_same_network(base, start, base_model)
    stage = last_stage(start)
    content = start.model_dump(mode="json")
    training = content["training"] | {"initial_model": base_model, "freeze_layers": freeze_layers}
    training["teacher"] = start.model_dump(mode="json")["training"]["teacher"] if config else None
    training[stage] |= {"epochs": training[stage]["epochs"] if epochs is None else epochs}
    if config is None:
        training[stage]["learning_rate"] *= SLOWER
    content["training"] = training
    for name, value in (overrides or {}).items():
        set_value(content, name, value)
    return parse_config(content, source=f"the config of {base_model}" if config is None else str(config_path(config)))


def _require_same_network(base: TrainingConfig, wanted: TrainingConfig, base_model: str) -> None:
    names = ("architecture", "width", "dense_units", "classes")
    differ = [n for n in names if getattr(base.model, n) != getattr(wanted.model, n)]
    if differ:
        told = ", ".join(f"{n} {getattr(base.model, n)} instead of {getattr(wanted.model, n)}" for n in differ)
        raise ModelError(
            f"the weights of {base_model} are of another architecture than the config's ({told}): name a base model of "
            "the same, or leave --config out"
        )


def _run(args: argparse.Namespace) -> dict[str, Any]:
    config = finetuning_config(
        args.base_model,
        config=args.config,
        epochs=args.epochs,
        freeze_layers=args.freeze_layers,
        overrides=json.loads(args.overrides) if args.overrides else None,
    )
    dataset_id = dataset_or_built(args.dataset, args.data_dir, config.data)
    output = args.output or storage.join(args.data_dir, "training")
    return train(config, data_dir=args.data_dir, dataset_id=dataset_id, output_dir=output)


def main(argv: list[str] | None = None) -> int:
    """Run the command."""
    parser = command_parser("ml_training.training.finetune", __doc__)
    parser.add_argument("--base-model", required=True, help="a float model: model.keras, or its folder")
    parser.add_argument("--config", help="another config of the same architecture (default: the base model's)")
    parser.add_argument("--data-dir", default=read_settings().data_dir, help="bucket or folder that holds the data")
    parser.add_argument("--dataset", help="dataset version (default: one built from all labelled frames)")
    parser.add_argument("--output", help="where runs are kept (default: DATA_DIR/training)")
    parser.add_argument("--epochs", type=int, help="instead of the config's")
    parser.add_argument("--freeze-layers", type=int, help="so many first layers keep their weights")
    parser.add_argument("--overrides", help='other config values, as JSON: {"data.channels": ["one"]}')
    parser.set_defaults(run=_run)
    return run_command(parser, argv)


if __name__ == "__main__":
    raise SystemExit(main())
