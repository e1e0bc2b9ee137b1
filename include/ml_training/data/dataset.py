"""Dataset versions: which frames train and judge a model, named by the hash of what they list.

    python -m ml_training.data.dataset build --config base_model --data-dir s3://adbreak
    python -m ml_training.data.dataset show  --dataset 4be1… --data-dir s3://adbreak

A version is ``datasets/<dataset_id>/manifest.parquet`` (a row a frame) and ``card.json``, written last. Built again
from the same recordings, labels and config, it finds itself and stops.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, TypeVar

import pyarrow as pa

from ml_training.cloud import storage
from ml_training.config.loading import load_config
from ml_training.config.schema import DataSection
from ml_training.config.settings import read_settings
from ml_training.data.dataset_card import describe, parent_of, require_usable
from ml_training.data.extraction import parquet_bytes
from ml_training.data.frames import read_extraction
from ml_training.data.labels import labelled_recordings, read_events, resolve
from ml_training.data.manifest import LabelledRecording, recording_rows
from ml_training.data.masking import airings, creative_splits
from ml_training.data.splits import Member, SplitRecord, assign_splits
from ml_training.utils.command_line import command_parser, run_command
from ml_training.utils.errors import DatasetUnusable, ObjectNotFound, UsageError
from ml_training.utils.hashing import code_version, short_hash

MANIFEST_VERSION = 1  # changes when the same recordings and labels would give another manifest
PARALLEL_REQUESTS = 8  # small objects: the bucket's answer time counts, not its bandwidth

Item = TypeVar("Item")


def build(data_dir: str, data: DataSection) -> dict[str, Any]:
    """Make the dataset version that the labelled recordings and ``data`` give, unless it is there.

    Returns ``dataset_id``, ``dataset_uri``, ``reused`` and the card. Raises DatasetUnusable when there are no
    recordings or no labels, when a split has no recordings, or when a split lacks one of the two classes.
    """
    labelled, notes = _labelled(data_dir, data.frames_per_second)
    members = [Member(r.recording_id, r.extraction["channel"], r.hours) for r in labelled.values()]
    splits = assign_splits(data_dir, members, data)
    chosen = _choose(labelled, data)
    dataset_id = _name(chosen, splits, data)
    uri = storage.join(data_dir, "datasets", dataset_id)
    if (card := _read_card(uri)) is not None:
        return {"dataset_id": dataset_id, "dataset_uri": uri, "reused": True, **card}
    manifest = _manifest(data_dir, chosen, splits, data)
    used = {name: splits[name] for name in chosen}
    require_usable(manifest, used)
    card = {
        "version": 1,
        "dataset_id": dataset_id,
        "config": data.model_dump(mode="json"),
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "code_version": code_version(),
        "parent": parent_of(data_dir, data.model_dump(mode="json")),
        **describe(manifest, chosen, used, notes),
    }
    storage.write_bytes(storage.join(uri, "manifest.parquet"), parquet_bytes(manifest))
    storage.write_json(storage.join(uri, "card.json"), card)
    return {"dataset_id": dataset_id, "dataset_uri": uri, "reused": False, **card}


def show(data_dir: str, dataset_id: str) -> dict[str, Any]:
    """Return the card of a dataset version. Raises DatasetUnusable when there is no such version."""
    uri = storage.join(data_dir, "datasets", dataset_id)
    card = _read_card(uri)
    if card is None:
        raise DatasetUnusable(f"there is no dataset {dataset_id} in {data_dir}: build it, or see its id")
    return {"dataset_uri": uri, **card}


def _labelled(data_dir: str, frames_per_second: float) -> tuple[dict[str, LabelledRecording], list[str]]:
    """Gather the recordings that have both labels and frames; the notes tell which have labels only."""
    names = labelled_recordings(data_dir)
    if not names:
        raise DatasetUnusable(
            f"there are no labels in {data_dir}: import some (python -m ml_training.data.labels import)"
        )
    gathered = _in_parallel(names, lambda name: _gather(data_dir, name, frames_per_second))
    found = {name: recording for name, recording in zip(names, gathered, strict=True) if recording is not None}
    without = [name for name in names if name not in found]
    if not found:
        raise DatasetUnusable(
            f"none of the {len(names)} labelled recordings in {data_dir} has frames at {frames_per_second:g} a second: "
            f"extract them (python -m ml_training.data.collectors extract --fps {frames_per_second:g})"
        )
    return found, [f"labelled, but without frames: {', '.join(without)}"] if without else []


def _gather(data_dir: str, recording_id: str, frames_per_second: float) -> LabelledRecording | None:
    try:
        extraction = read_extraction(data_dir, recording_id, frames_per_second=frames_per_second)
    except ObjectNotFound:
        return None
    events = read_events(data_dir, recording_id)
    return LabelledRecording(extraction, resolve(events), sorted({event.source for event in events}))


def _choose(labelled: Mapping[str, LabelledRecording], data: DataSection) -> dict[str, LabelledRecording]:
    chosen = {
        name: recording
        for name, recording in sorted(labelled.items())
        if (data.genres is None or recording.extraction["genre"] in data.genres)
        and (data.channels is None or recording.extraction["channel"] in data.channels)
    }
    if not chosen:
        genres = sorted({str(r.extraction["genre"]) for r in labelled.values()})
        channels = sorted({r.extraction["channel"] for r in labelled.values()})
        raise DatasetUnusable(
            f"none of the {len(labelled)} labelled recordings has genre {data.genres or 'any'} and channel "
            f"{data.channels or 'any'}: there are the genres {', '.join(genres)} and the channels {', '.join(channels)}"
        )
    return chosen


def _name(chosen: Mapping[str, LabelledRecording], splits: Mapping[str, SplitRecord], data: DataSection) -> str:
    listed = [
        [
            name,
            recording.extraction["extraction_id"],
            splits[name].split,
            [segment.model_dump(mode="json") for segment in recording.segments],
        ]
        for name, recording in chosen.items()
    ]
    return short_hash({"version": MANIFEST_VERSION, "config": data.model_dump(mode="json"), "recordings": listed})


def _manifest(
    data_dir: str, chosen: Mapping[str, LabelledRecording], splits: Mapping[str, SplitRecord], data: DataSection
) -> pa.Table:
    aired_in = airings({name: (splits[name].split, recording.segments) for name, recording in chosen.items()})
    belongs_to = creative_splits(aired_in, data.split_shares, data.split_salt)
    tables = _in_parallel(
        list(chosen),
        lambda name: recording_rows(data_dir, chosen[name], splits[name].split, data.label_classes, belongs_to),
    )
    return pa.concat_tables(tables)


def _in_parallel(names: list[str], work: Callable[[str], Item]) -> list[Item]:
    with ThreadPoolExecutor(PARALLEL_REQUESTS) as pool:
        return list(pool.map(work, names))


def _read_card(uri: str) -> dict[str, Any] | None:
    try:
        return dict(storage.read_json(storage.join(uri, "card.json")))
    except ObjectNotFound:
        return None


def _parser() -> argparse.ArgumentParser:
    data_dir = read_settings().data_dir
    parser = command_parser("ml_training.data.dataset", __doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("build", help="make a dataset version")
    make.add_argument("--config", required=True, help="name or path of a training config; its data section counts")
    make.add_argument("--data-dir", default=data_dir, help=f"bucket or folder of the data (default: {data_dir})")
    make.add_argument("--overrides", help='JSON of dotted names, such as {"data.frames_per_second": 2}')
    make.set_defaults(run=_build)
    look = commands.add_parser("show", help="show the card of a dataset version")
    look.add_argument("--dataset", required=True, help="the version's id")
    look.add_argument("--data-dir", default=data_dir, help=f"bucket or folder of the data (default: {data_dir})")
    look.set_defaults(run=lambda args: show(args.data_dir, args.dataset))
    return parser


def _build(args: argparse.Namespace) -> dict[str, Any]:
    try:
        overrides = json.loads(args.overrides or "{}")
    except ValueError as error:
        raise UsageError(f"--overrides must be JSON, received {args.overrides!r}: {error}") from error
    if not isinstance(overrides, dict):
        raise UsageError(f"--overrides must be a JSON object, received {args.overrides!r}")
    return build(args.data_dir, load_config(args.config, overrides).data)


def main(argv: list[str] | None = None) -> int:
    """Run the command."""
    return run_command(_parser(), argv)


if __name__ == "__main__":
    sys.exit(main())
