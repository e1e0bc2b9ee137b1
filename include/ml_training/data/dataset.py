"""Dataset versions: which frames train and judge a model, named by the hash of what they list.

    python -m ml_training.data.dataset build  --config base_model --data-dir s3://adbreak
    python -m ml_training.data.dataset show   --dataset 4be1… --data-dir s3://adbreak
    python -m ml_training.data.dataset verify --dataset 4be1… --data-dir s3://adbreak
    python -m ml_training.data.dataset diff   4be1… 71c0… --data-dir s3://adbreak
    python -m ml_training.data.dataset import-clips --source clips --data-dir s3://adbreak

A version is ``datasets/<dataset_id>/``: ``listing.jsonl`` (what it lists; its hash is the name), ``manifest.parquet``
(a row a frame) and ``card.json``, written last. Built again from the same recordings, labels, catalogue and config, it
finds itself and stops.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from ml_training.cloud import storage
from ml_training.config.loading import load_config
from ml_training.config.schema import DataSection
from ml_training.config.settings import read_settings
from ml_training.data.clips import import_clips
from ml_training.data.dataset_card import Counts, UsedRecording, describe, parent_of, require_usable
from ml_training.data.dataset_diff import diff, summarise
from ml_training.data.dataset_listing import Listing, listing_uri
from ml_training.data.dataset_sources import gather, list_version
from ml_training.data.dataset_verification import verify
from ml_training.data.manifest import derive_rows, write_manifest
from ml_training.data.splits import SPLITS
from ml_training.utils.command_line import command_parser, run_command
from ml_training.utils.errors import DatasetUnusable, ObjectNotFound, UsageError
from ml_training.utils.hashing import code_version, sha256_file
from ml_training.utils.parallel import stream_in_threads
from ml_training.utils.scratch import scratch_folder
from ml_training.utils.source_control import git_commit


def build(data_dir: str, data: DataSection) -> dict[str, Any]:
    """Make the dataset version that the labelled recordings and ``data`` give, unless it is there.

    Returns ``dataset_id``, ``dataset_uri``, ``reused`` and the card. Raises DatasetUnusable when there are no
    recordings or no labels, when a split has no recordings, or when a split lacks one of the two classes.
    """
    gathered = gather(data_dir, data)
    listing = list_version(gathered, data)
    dataset_id = listing.dataset_id
    uri = storage.join(data_dir, "datasets", dataset_id)
    if (card := _read_card(uri)) is not None:
        return {"dataset_id": dataset_id, "dataset_uri": uri, "reused": True, **card}
    used = gathered.used(data)
    with scratch_folder(read_settings().work_dir, "dataset") as folder:
        path = folder / "manifest.parquet"
        counts = _write(path, data_dir, listing, used)
        parent = parent_of(data_dir, data.model_dump(mode="json"))
        storage.write_bytes(listing_uri(data_dir, dataset_id), listing.content)
        card = {
            "version": 2,
            "dataset_id": dataset_id,
            "manifest_sha256": sha256_file(path),
            "config": data.model_dump(mode="json"),
            "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "code_version": code_version(),
            "git_commit": git_commit(),
            "parent": parent,
            **describe(counts, used, gathered.notes),
        }
        card["changes"] = summarise(data_dir, parent, listing, card)
        storage.upload(path, storage.join(uri, "manifest.parquet"))
    storage.write_json(storage.join(uri, "card.json"), card)
    return {"dataset_id": dataset_id, "dataset_uri": uri, "reused": False, **card}


def show(data_dir: str, dataset_id: str) -> dict[str, Any]:
    """Return the card of a dataset version. Raises DatasetUnusable when there is no such version."""
    uri = storage.join(data_dir, "datasets", dataset_id)
    card = _read_card(uri)
    if card is None:
        raise DatasetUnusable(f"there is no dataset {dataset_id} in {data_dir}: build it, or see its id")
    return {"dataset_uri": uri, **card}


def _write(path: Path, data_dir: str, listing: Listing, used: list[UsedRecording]) -> Counts:
    """Write the manifest, a recording at a time, and return what is in it."""
    names = {split: [r.recording_id for r in used if r.split == split] for split in SPLITS}
    counts = Counts()
    for rows in write_manifest(path, _tables(data_dir, listing)):
        counts.add(rows)
    require_usable(counts, names)
    return counts


def _tables(data_dir: str, listing: Listing) -> Iterator[pa.Table]:
    return stream_in_threads(listing.recordings.values(), lambda listed: derive_rows(data_dir, listed, listing)[0])


def _read_card(uri: str) -> dict[str, Any] | None:
    try:
        return dict(storage.read_json(storage.join(uri, "card.json")))
    except ObjectNotFound:
        return None


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("ml_training.data.dataset", __doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    make = _command(commands, "build", "make a dataset version", _build)
    make.add_argument("--config", default="base_model", help="training config whose data section counts: name or path")
    make.add_argument("--overrides", help='JSON of dotted names, such as {"data.frames_per_second": 2}')
    look = _command(commands, "show", "show its card", lambda args: show(args.data_dir, args.dataset))
    prove = _command(commands, "verify", "prove that a version holds what it says", _verify)
    prove.add_argument("--pictures", type=int, default=200, help="so many pictures are decoded (default: 200)")
    differ = _command(commands, "diff", "what changed from a version to another", _diff)
    differ.add_argument("versions", nargs=2, metavar=("A", "B"), help="ids of the earlier and the later version")
    for command in (look, prove):
        command.add_argument("--dataset", required=True, help="the version's id")
    clips = _command(commands, "import-clips", "take folders of labelled clips as recordings", _import_clips)
    clips.add_argument("--source", required=True, help="the folder that holds ads/, games/ (one for each label)")
    clips.add_argument("--folders", help='JSON of folder and label (default: {"ads": "ad", "games": "content"})')
    clips.add_argument("--channel", help="of clips that lie in no sub-folder of a channel's name (default: unknown)")
    clips.add_argument("--genre", help="of the clips, such as sport")
    clips.add_argument("--author", default="clips", help="who says what is in the folders (default: clips)")
    return parser


def _command(commands: Any, name: str, description: str, run: Any) -> argparse.ArgumentParser:
    data_dir = read_settings().data_dir
    command: argparse.ArgumentParser = commands.add_parser(name, help=description)
    command.add_argument("--data-dir", default=data_dir, help=f"bucket or folder of the data (default: {data_dir})")
    command.set_defaults(run=run)
    return command


def _build(args: argparse.Namespace) -> dict[str, Any]:
    return build(args.data_dir, load_config(args.config, _json_object("--overrides", args.overrides)).data)


def _verify(args: argparse.Namespace) -> dict[str, Any]:
    return verify(args.data_dir, args.dataset, pictures=args.pictures)


def _diff(args: argparse.Namespace) -> dict[str, Any]:
    return diff(args.data_dir, *args.versions)


def _import_clips(args: argparse.Namespace) -> dict[str, Any]:
    return import_clips(
        args.source,
        args.data_dir,
        folders=_json_object("--folders", args.folders) or None,
        channel=args.channel,
        genre=args.genre,
        author=args.author,
    )


def _json_object(option: str, text: str | None) -> dict[str, Any]:
    try:
        value = json.loads(text or "{}")
    except ValueError as error:
        raise UsageError(f"{option} must be JSON, received {text!r}: {error}") from error
    if not isinstance(value, dict):
        raise UsageError(f"{option} must be a JSON object, received {text!r}")
    return value


def main(argv: list[str] | None = None) -> int:
    """Run the command."""
    return run_command(_parser(), argv)


if __name__ == "__main__":
    sys.exit(main())
