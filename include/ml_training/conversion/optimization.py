"""Makes smaller variants of a single-frame model, and a table from which a person picks one.

    python -m ml_training.conversion.optimization --model RUN/float --data-dir data --output RUN/variants \
           --variants int8 pruned-50 pruned-75 clustered-16

Each variant is a float model of its own, converted to int8 after training and judged by its file, on the same frames
as the float model that it comes from. What is done already is found again; ``table.md`` and ``table.json`` hold the
table.
"""

import argparse
import logging
import re
import time
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ml_training.cloud import storage
from ml_training.config.schema import QuantizationSection
from ml_training.config.settings import read_settings
from ml_training.conversion.inspection import COMPRESSION_LEVEL
from ml_training.conversion.parity import float_predictions, parity
from ml_training.conversion.to_tflite import convert
from ml_training.inference.parts import load_part
from ml_training.models.stored import describe, load_parts, save_parts
from ml_training.statistics.intervals import spanned
from ml_training.training.model_card import CARD_NAME, ModelCard, read_card
from ml_training.training.predictions import Predictions, predict_split
from ml_training.training.samples import read_samples
from ml_training.utils.command_line import command_parser, run_command
from ml_training.utils.errors import UsageError
from ml_training.utils.hashing import code_version, short_hash

logger = logging.getLogger(__name__)

VARIANT = re.compile(r"(?P<kind>int8|small|pruned|clustered)(?:-(?P<amount>\d+))?$")
DEFAULT_VARIANTS = ("int8", "pruned-50", "pruned-75", "clustered-16", "clustered-64")
EPOCHS = 2  # of learning again, at the rate of the upper stages
WARM_UP_RUNS, TIMED_RUNS = 10, 60
COLUMNS = ("variant", "file bytes", "compressed", "F1", "F1 lost", "ms a frame (simulated)")


class Variant(NamedTuple):
    """What is wanted: ``pruned-50`` is pruned by 50 percent, ``clustered-16`` has 16 values a layer."""

    name: str
    kind: str
    amount: int


class Subject(NamedTuple):
    """The model that is made smaller."""

    model_uri: str
    card: ModelCard
    data_dir: str
    output: str


def optimize(
    model_uri: str, *, data_dir: str, output: str, variants: tuple[str, ...] = DEFAULT_VARIANTS, epochs: int = EPOCHS
) -> dict[str, Any]:
    """Make and judge variants; returns the rows of the table and where it lies.

    Raises UsageError for a variant that nobody knows, or a model that is not of single frames and two classes.
    """
    wanted = [parse_variant(name) for name in variants]
    card = read_card(model_uri)
    if card.config.model.is_head or len(card.config.model.classes) != 2:
        raise UsageError(f"{model_uri} is not a single-frame model of two classes: name the model whose trunk it has")
    subject = Subject(model_uri, card, data_dir, output)
    parent = float_predictions(model_uri, data_dir, card.dataset_id)
    rows = [_row(variant, _float_variant(variant, subject, epochs), subject, parent) for variant in wanted]
    table_uri = storage.join(output, "table.md")
    storage.write_json(storage.join(output, "table.json"), {"version": 1, "model_uri": model_uri, "rows": rows})
    storage.write_bytes(table_uri, format_table(rows).encode())
    return {"rows": rows, "table_uri": table_uri}


def parse_variant(name: str) -> Variant:
    """Return what a variant's name says. Raises UsageError."""
    found = VARIANT.match(name)
    kind, amount = (found["kind"], found["amount"]) if found else ("", None)
    bounds = {"pruned": (1, 95), "clustered": (2, 256)}.get(kind)
    right = amount is None if bounds is None else amount is not None and bounds[0] <= int(amount) <= bounds[1]
    if not found or not right:
        raise UsageError(
            f"expected int8, small, pruned-1 to pruned-95 or clustered-2 to clustered-256, received {name}"
        )
    return Variant(name, kind, int(amount or 0))


def format_table(rows: list[dict[str, Any]]) -> str:
    """Return the table as Markdown."""
    lines = [f"| {' | '.join(COLUMNS)} |", f"| {' | '.join('---' for _ in COLUMNS)} |"]
    for row in rows:
        cells = (
            row["variant"],
            f"{row['size_bytes']:,}",
            f"{row['compressed_bytes']:,}",
            spanned(row["f1"]),
            spanned(row["f1_lost"]),
            f"{row['latency_ms']:.2f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _float_variant(variant: Variant, subject: Subject, epochs: int) -> str:
    """Return the address of the variant's float model, made or found."""
    if variant.kind == "int8":
        return subject.model_uri
    if variant.kind == "small":
        return _distilled(subject)
    key = short_hash([subject.card.run_id, code_version(), epochs])
    home = storage.join(subject.output, variant.name, key)
    folder = storage.join(home, "float")
    if not storage.exists(storage.join(folder, CARD_NAME)):
        _compress(variant, subject, epochs, home)
    return folder


def _distilled(subject: Subject) -> str:
    """Train the small model, which learns from this one, or find it."""
    from ml_training.config.loading import load_config
    from ml_training.training.train import train

    told = {"training.teacher.model": subject.model_uri, "training.initial_model": subject.model_uri}
    runs = storage.join(subject.output, "training")
    config = load_config("base_small", told)
    done = train(config, data_dir=subject.data_dir, dataset_id=subject.card.dataset_id, output_dir=runs)
    return str(done["model_uri"])


def _compress(variant: Variant, subject: Subject, epochs: int, home: str) -> None:
    """Make a variant's float model, in the folder ``float`` of ``home``."""
    from ml_training.conversion.compression import clustered, pruned
    from ml_training.conversion.relearning import Frames, learn_from_parent

    card = subject.card
    training = read_samples(subject.data_dir, card.dataset_id, "train")
    validation = read_samples(subject.data_dir, card.dataset_id, "validation")
    frames = Frames(training, training, validation, subject.data_dir)
    parent = load_parts(subject.model_uri)["model"]
    rate = card.config.training.upper.learning_rate
    usual = card.config.training.quantization
    effort = QuantizationSection.model_validate({**usual.model_dump(), "epochs": epochs, "learning_rate": rate})
    checkpoint, folder = storage.join(home, "checkpoints", "learning.npz"), storage.join(home, "float")

    def learn(model: Any) -> None:
        learn_from_parent(model, parent, card, frames, checkpoint=checkpoint, section=effort)

    if variant.kind == "pruned":
        made = pruned(parent, variant.amount / 100, learn)
    else:
        made = clustered(parent, variant.amount, learn)
    save_parts({"model": made}, describe(card.config.model, card.threshold), folder)
    known = card.model_copy(update={"code_version": code_version(), "mlflow_run_id": None})
    storage.write_json(storage.join(folder, CARD_NAME), known.model_dump(mode="json"))


def _row(variant: Variant, float_uri: str, subject: Subject, parent: Predictions) -> dict[str, Any]:
    """Convert a variant, judge its file and time it."""
    folder = storage.join(subject.output, variant.name, "int8")
    made = convert(float_uri, data_dir=subject.data_dir, output=folder, method="int8-ptq", tracked=False)
    scored = predict_split(made["model_uri"], subject.data_dir, subject.card.dataset_id, "test")
    against = parity(scored, made["threshold"], parent, subject.card.threshold)
    content = storage.read_bytes(made["model_uri"])
    logger.info("%s: %d bytes", variant.name, len(content))
    return {
        "variant": variant.name,
        "model_uri": made["model_uri"],
        "size_bytes": len(content),
        "compressed_bytes": len(zlib.compress(content, COMPRESSION_LEVEL)),
        "f1": against["int8"]["f1"],
        "f1_lost": against["f1_loss"],
        "latency_ms": _latency_ms(made["model_uri"]),
        "simulated": True,
    }


def _latency_ms(model_uri: str) -> float:
    """Return the median time of a frame with one thread, here."""
    with storage.local_copy(model_uri) as path:
        part: Any = load_part(Path(path))
    ((name, shape),) = part.input_shapes.items()
    frame = np.random.default_rng(0).integers(-128, 128, shape).astype(part.inputs[name]["dtype"])
    times = []
    for _ in range(WARM_UP_RUNS + TIMED_RUNS):
        started = time.perf_counter()
        part.run_raw({name: frame})
        times.append((time.perf_counter() - started) * 1000)
    return float(np.median(times[WARM_UP_RUNS:]))


def _run(args: argparse.Namespace) -> Any:
    result = optimize(
        args.model,
        data_dir=args.data_dir,
        output=args.output,
        variants=tuple(args.variants),
        epochs=args.epochs,
    )
    return result if args.json else format_table(result["rows"])


def main(argv: list[str] | None = None) -> int:
    """Run the command."""
    parser = command_parser("ml_training.conversion.optimization", __doc__)
    parser.add_argument("--model", required=True, help="a single-frame float model: its folder, or a .keras file in it")
    parser.add_argument("--output", required=True, help="folder for the variants and the table")
    parser.add_argument("--variants", nargs="+", default=list(DEFAULT_VARIANTS), help="default: all but small")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="of learning again, for pruned and clustered ones")
    parser.add_argument("--data-dir", default=read_settings().data_dir, help="bucket or folder that holds the data")
    parser.set_defaults(run=_run)
    return run_command(parser, argv)


if __name__ == "__main__":
    raise SystemExit(main())
