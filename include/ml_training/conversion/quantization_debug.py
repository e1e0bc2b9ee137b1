"""Tells which layers lose most by int8, and what leaving them in float would bring.

    python -m ml_training.conversion.quantization_debug --model RUN/float --data-dir data
    python -m ml_training.conversion.quantization_debug --model RUN/float --data-dir data --try 4

Each operator is run in float and in int8 on the same inputs, those of the calibration set: what is told is its own
error, not that of the layers before it. ``to_tflite --keep-float`` leaves layers in float32.
"""

import argparse
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ml_training.config.settings import read_settings
from ml_training.models.stored import load_parts
from ml_training.training.model_card import read_card
from ml_training.training.samples import read_samples
from ml_training.utils.command_line import command_parser, run_command

SHOWN_LAYERS = 20  # to people; --json has all


class Seen(NamedTuple):
    """One network and what it sees of the calibration set."""

    part: str
    model: Any
    examples: list[dict[str, Any]]


def debug(model_uri: str, *, data_dir: str, kept: int = 0) -> dict[str, Any]:
    """Return the error of every layer, worst first, and what ``kept`` of them in float bring.

    ``error`` is in quantization steps: rounding alone makes 0.29. Raises ModelError when the model has no card.
    """
    from ml_training.conversion.mixed import layer_losses

    networks = _networks(model_uri, data_dir)
    rows: list[dict[str, Any]] = [
        {
            "layer": loss.name,
            "part": seen.part,
            "operator": loss.operator,
            "error": round(loss.rms_steps, 4),
            "rms": loss.rms,
            "largest": loss.largest,
        }
        for seen in networks
        for loss in layer_losses(seen.model, seen.examples)
    ]
    rows.sort(key=lambda row: row["error"], reverse=True)
    worst = [row for row in rows if _layers(networks, row)][:kept]
    tried = [_try(networks, some) for some in (([], worst) if kept else ())]
    return {"model_uri": model_uri, "layers": rows, "tried": tried}


def _networks(model_uri: str, data_dir: str) -> list[Seen]:
    from ml_training.conversion.calibration import choose_frames
    from ml_training.conversion.converting import converted
    from ml_training.conversion.files import to_int8
    from ml_training.conversion.post_training import TRUNK_EXAMPLES, head_examples, picture_examples

    card = read_card(model_uri)
    training = read_samples(data_dir, card.dataset_id, "train")
    networks = load_parts(model_uri)
    name = "model" if "model" in networks else "trunk"
    frames = choose_frames(training, TRUNK_EXAMPLES, seed=card.config.training.seed)
    seen = [Seen(name, networks[name], picture_examples(networks[name], frames, data_dir))]
    if "head" in networks:
        trunk = converted("trunk", to_int8(networks["trunk"], seen[0].examples), networks["trunk"])
        heard = head_examples(card, trunk.part, training, data_dir)
        seen.append(Seen("head", networks["head"], heard.inputs))
    return seen


def _try(networks: Sequence[Seen], worst: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Convert with the layers of these rows in float; return how far the outputs are from the float networks'."""
    from ml_training.conversion.converting import converted
    from ml_training.conversion.files import to_int8
    from ml_training.conversion.mixed import keep_in_float

    differences = {}
    kept: list[str] = []
    for seen in networks:
        layers = [_layers(networks, row)[0] for row in worst if row["part"] == seen.part]
        kept += layers
        content = keep_in_float(seen.model, seen.examples, layers) if layers else to_int8(seen.model, seen.examples)
        differences[seen.part] = _difference(seen, converted("model", content, seen.model).part)
    return {"kept_float": kept, "mean_difference": differences}


def _layers(networks: Sequence[Seen], row: dict[str, Any]) -> list[str]:
    """Return the layers of the network that a row is about; none where the converter made the operator by itself."""
    known = {layer.name for seen in networks if seen.part == row["part"] for layer in seen.model.layers}
    return [name for name in row["layer"].split("+") if name in known]


def _difference(seen: Seen, part: Any) -> float:
    from ml_training.inference.parts import KerasPart

    inputs = {name: np.stack([example[name] for example in seen.examples]) for name in seen.examples[0]}
    return float(np.mean(np.abs(part.run(inputs) - KerasPart(seen.model).run(inputs))))


def readable(result: dict[str, Any]) -> str:
    """Return the worst layers, and what was tried, as lines for people."""
    lines = [f"{'error':>8} {'rms':>10} {'largest':>10}  {'operator':<18} layer"]
    for row in result["layers"][:SHOWN_LAYERS]:
        lines.append(
            f"{row['error']:>8.3f} {row['rms']:>10.5f} {row['largest']:>10.5f}  {row['operator']:<18} "
            f"{row['part']}: {row['layer']}"
        )
    for tried in result["tried"]:
        told = ", ".join(f"{part} {value:.5f}" for part, value in tried["mean_difference"].items())
        lines.append(f"in float: {' '.join(tried['kept_float']) or 'nothing'}: outputs differ by {told} on average")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """Run the command."""
    parser = command_parser("ml_training.conversion.quantization_debug", __doc__)
    parser.add_argument("--model", required=True, help="folder of a float model with its card, or a .keras file in it")
    parser.add_argument("--data-dir", default=read_settings().data_dir, help="bucket or folder that holds the data")
    parser.add_argument(
        "--try", type=int, default=0, dest="kept", metavar="N", help="also convert with the N worst layers in float"
    )
    parser.set_defaults(run=_run)
    return run_command(parser, argv)


def _run(args: argparse.Namespace) -> Any:
    result = debug(args.model, data_dir=args.data_dir, kept=args.kept)
    return result if args.json else readable(result)


if __name__ == "__main__":
    raise SystemExit(main())
