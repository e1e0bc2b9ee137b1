"""Judges the files themselves: accuracy, loss against the float parent, operators, size, what they say of themselves.

    python -m ml_training.conversion.test_tflite --model RUN/int8/model.tflite --test-data data/datasets/4be1a2c3d4e5

Comparisons are paired: the same frames, whole recordings drawn together. With ``--champion`` the file is compared with
the model that is in service, on the same frames. The result is ``report.json`` beside the model.
"""

import argparse
from typing import Any

from ml_training.cloud import storage
from ml_training.config.schema import GatesSection
from ml_training.config.settings import read_settings
from ml_training.conversion.converting import How, is_shipped
from ml_training.conversion.inspection import inspect_files
from ml_training.conversion.manifest import Manifest, read_manifest
from ml_training.conversion.parity import checks_of, dump, float_predictions, parity, readable
from ml_training.models.stored import model_folder
from ml_training.statistics.intervals import metric_intervals, paired_difference
from ml_training.training.dataset_choice import find_dataset
from ml_training.training.evaluate import Judged, evaluate, read_judged, slice_f1
from ml_training.training.model_card import ModelCard, read_card
from ml_training.training.predictions import Predictions, predict_split
from ml_training.utils.command_line import command_parser, run_command
from ml_training.utils.errors import ModelError


def judge_files(
    model_uri: str,
    *,
    data_dir: str,
    parent_uri: str | None = None,
    champion: dict[str, Any] | None = None,
    dataset_id: str | None = None,
) -> dict[str, Any]:
    """Judge a model's files on the test split; stores and returns the report (``docs/promotion.md`` lists its fields).

    ``parent_uri`` is by default the one that the manifest names; where that is gone, nothing is compared. ``champion``
    is ``{"name", "version", "model_uri"}`` of the model in service; ``dataset_id`` a version other than the model's
    own. Raises ModelError when the parent is not the one that the manifest names.
    """
    manifest = read_manifest(model_uri)
    parent_uri = parent_uri or manifest.parent_uri
    card = _card(parent_uri, manifest, model_uri, required=parent_uri != manifest.parent_uri)
    judged = _judged(model_uri, manifest, card)._replace(dataset_id=dataset_id or manifest.dataset_id)
    evaluation, scored = evaluate(judged, data_dir=data_dir)
    floats = float_predictions(parent_uri, data_dir, judged.dataset_id) if card else None
    inspection = inspect_files(model_uri, manifest)
    report_uri = storage.join(model_folder(model_uri), "report.json")
    report = {
        **_identity(model_uri, manifest),
        "dataset_id": judged.dataset_id,
        "split": "test",
        "split_unit": _split_unit(data_dir, judged.dataset_id),
        **parity(scored, manifest.threshold, floats, card.threshold if card else 0.5),
        "all_int8": not inspection.float_operators,
        **inspection._asdict(),
        "slices": dump(slice_f1(scored, manifest.threshold)),
        "champion": _against_champion(champion, scored, manifest.threshold, data_dir, judged.dataset_id),
        "frames": evaluation["frames"],
        "ad_share": evaluation["ad_share"],
        "report_uri": report_uri,
    }
    report["checks"] = checks_of(report, card.config.gates if card else GatesSection())
    storage.write_json(report_uri, report)
    return report


def _identity(model_uri: str, manifest: Manifest) -> dict[str, Any]:
    return {
        "version": 1,
        "model_name": manifest.model_name,
        "model_uri": model_uri,
        "sha256": manifest.sha256,
        "size_bytes": manifest.size_bytes,
        "parts": [part.model_dump(include={"name", "file", "sha256", "size_bytes"}) for part in manifest.parts],
        "quantization": manifest.quantization,
    }


def _judged(model_uri: str, manifest: Manifest, card: ModelCard | None) -> Judged:
    """Return what is judged; the model's MLflow run is told of the files that devices run, and of no others."""
    judged = read_judged(model_uri)
    if card is None or is_shipped(card, How(manifest.quantization, tuple(manifest.keep_float))):
        return judged
    return judged._replace(mlflow_run_id=None)


def _card(parent_uri: str, manifest: Manifest, model_uri: str, *, required: bool) -> ModelCard | None:
    try:
        card = read_card(parent_uri)
    except ModelError:
        if required:
            raise
        return None
    if manifest.run_id != card.run_id:
        raise ModelError(f"{model_uri} comes from run {manifest.run_id}, but its parent is of run {card.run_id}")
    return card


def _against_champion(
    champion: dict[str, Any] | None, int8: Predictions, threshold: float, data_dir: str, dataset_id: str
) -> dict[str, Any] | None:
    if not champion:
        return None
    champion_threshold = read_judged(champion["model_uri"]).threshold
    other = predict_split(champion["model_uri"], data_dir, dataset_id, "test")
    theirs, ours = other.counts(champion_threshold), int8.counts(threshold)
    slices = {}
    for name in slice_f1(int8, threshold):
        field, _, value = name.partition("=")
        mask = (int8.samples.channels if field == "channel" else int8.samples.genres) == value
        loss = paired_difference(other.counts(champion_threshold, mask), int8.counts(threshold, mask), "f1")
        slices[name] = {"f1_loss": loss.model_dump()}
    return {
        "name": champion["name"],
        "version": champion["version"],
        "f1": metric_intervals(theirs)["f1"].model_dump(),
        "f1_gain": paired_difference(ours, theirs, "f1").model_dump(),
        "slices": slices,
    }


def _split_unit(data_dir: str, dataset_id: str) -> str:
    return str(storage.read_json(storage.join(data_dir, "datasets", dataset_id, "card.json"))["split_unit"])


def _run(args: argparse.Namespace) -> dict[str, Any]:
    champion = None
    if args.champion:
        champion = {"name": args.champion_name, "version": args.champion_version, "model_uri": args.champion}
    data_dir, dataset_id = args.data_dir, None
    if args.test_data:
        data_dir, dataset_id = find_dataset(args.test_data, data_dir)
    report = judge_files(
        args.model, parent_uri=args.parent, data_dir=data_dir, champion=champion, dataset_id=dataset_id
    )
    return report if args.json else readable(report)


def main(argv: list[str] | None = None) -> int:
    """Run the command."""
    parser = command_parser("ml_training.conversion.test_tflite", __doc__)
    parser.add_argument("--model", required=True, help="a .tflite file with its manifest beside it, or their folder")
    parser.add_argument("--parent", help="the float model that it was converted from (default: the manifest's)")
    parser.add_argument("--test-data", help="dataset version, its folder, or a data folder (default: the model's own)")
    parser.add_argument("--data-dir", default=read_settings().data_dir, help="bucket or folder that holds the data")
    parser.add_argument("--champion", help="the model.tflite in service, with its manifest beside it")
    parser.add_argument("--champion-name", default="champion")
    parser.add_argument("--champion-version", default="")
    parser.set_defaults(run=_run)
    return run_command(parser, argv)


if __name__ == "__main__":
    raise SystemExit(main())
