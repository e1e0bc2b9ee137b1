"""Labels are events that nothing overwrites: who said what of which stretch of a recording.

    python -m ml_training.data.labels import    --labels labels.json --data-dir s3://adbreak --source file --author ann
    python -m ml_training.data.labels show      --recording news-0105 --data-dir s3://adbreak
    python -m ml_training.data.labels conflicts --data-dir s3://adbreak

``label_resolution.resolve`` makes of all events of a recording the one list of segments that holds.
"""

import argparse
import getpass
import sys
from typing import Any

from ml_training.config.settings import read_settings
from ml_training.data.creatives.catalogue import derived_events
from ml_training.data.label_events import append_events, labelled_recordings, read_events
from ml_training.data.label_formats.reading import FORMATS
from ml_training.data.label_imports import ImportOptions, import_labels
from ml_training.data.label_resolution import find_conflicts, labeler, resolve, segment_numbers
from ml_training.utils.command_line import command_parser, run_command
from ml_training.utils.errors import DataError
from ml_training.utils.records import LabelEvent

__all__ = ["append_events", "import_labels", "labelled_recordings", "read_events", "resolve", "segment_numbers"]

SOURCES = ("file", "generator", "person", "edl", "model")


def all_events(data_dir: str, recording_id: str) -> list[LabelEvent]:
    """Return the stored events of a recording and those that follow from labels on the creatives that air in it."""
    return [*read_events(data_dir, recording_id), *derived_events(data_dir, recording_id)]


def show(data_dir: str, recording_id: str) -> dict[str, Any]:
    """Return the segments of a recording that hold, its seconds per label and where its labels come from."""
    events = all_events(data_dir, recording_id)
    if not events:
        raise DataError(f"{recording_id} has no labels in {data_dir}: import some, or see whether the id is right")
    segments = resolve(events)
    seconds: dict[str, float] = {}
    for segment in segments:
        length = segment.end_seconds - segment.start_seconds
        seconds[segment.label] = round(seconds.get(segment.label, 0.0) + length, 3)
    return {
        "recording_id": recording_id,
        "segments": [segment.model_dump(mode="json") for segment in segments],
        "seconds": seconds,
        "events": len(events),
        "sources": sorted({labeler(event) for event in events}),
        "conflicts": len(find_conflicts(events)),
    }


def conflicts(data_dir: str, recording_ids: list[str] | None = None) -> dict[str, Any]:
    """Return where labelers contradict each other, in the recordings named or in all, and whose word holds.

    ``pairs`` has for every two labelers the seconds of which they say different things. Raises DataError when there
    are no labels.
    """
    names = recording_ids or labelled_recordings(data_dir)
    if not names:
        raise DataError(f"there are no labels in {data_dir}: import some first")
    found: list[dict[str, Any]] = []
    pairs: dict[str, float] = {}
    for name in names:
        for conflict in find_conflicts(all_events(data_dir, name)):
            found.append({"recording_id": name, **conflict._asdict()})
            seconds = conflict.end_seconds - conflict.start_seconds
            said = list(conflict.said.items())
            for at, (one, word) in enumerate(said):
                for other, other_word in said[at + 1 :]:
                    if word != other_word:
                        pairs[f"{one} and {other}"] = round(pairs.get(f"{one} and {other}", 0.0) + seconds, 3)
    return {
        "recordings": len(names),
        "in_conflict": len({item["recording_id"] for item in found}),
        "seconds": round(sum(item["end_seconds"] - item["start_seconds"] for item in found), 3),
        "pairs": dict(sorted(pairs.items(), key=lambda item: -item[1])),
        "conflicts": found,
    }


def _parser() -> argparse.ArgumentParser:
    data_dir = read_settings().data_dir
    parser = command_parser("ml_training.data.labels", __doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    add = commands.add_parser("import", help="append labels from a file, or from the label files in a folder")
    add.add_argument("--labels", required=True, help="file, folder, or the S3 address of either")
    add.add_argument("--data-dir", default=data_dir, help=f"bucket or folder of the data (default: {data_dir})")
    add.add_argument("--format", choices=FORMATS, default="auto", help="of the file (default: by ending and content)")
    add.add_argument("--source", choices=SOURCES, help="what the labels come from (default: by the format)")
    add.add_argument("--author", default=None, help="who says so (default: the user who runs the command)")
    add.add_argument("--recordings", nargs="+", help="only these recordings (default: all of the file)")
    add.add_argument("--recording", help="the recording of a file that names none (default: the file's name)")
    add.add_argument("--fps", type=float, help="frames a second, where a file has frame numbers")
    add.add_argument("--ads-only", action="store_true", help="do not take as content what an edit list does not name")
    add.set_defaults(run=_import)
    look = commands.add_parser("show", help="show the labels of a recording that hold")
    look.add_argument("--recording", required=True, help="the recording's id")
    look.add_argument("--data-dir", default=data_dir, help=f"bucket or folder of the data (default: {data_dir})")
    look.set_defaults(run=lambda args: show(args.data_dir, args.recording))
    differ = commands.add_parser("conflicts", help="where labelers contradict each other, and whose word holds")
    differ.add_argument("--recordings", nargs="+", help="only these recordings (default: all)")
    differ.add_argument("--data-dir", default=data_dir, help=f"bucket or folder of the data (default: {data_dir})")
    differ.set_defaults(run=lambda args: conflicts(args.data_dir, args.recordings))
    return parser


def _import(args: argparse.Namespace) -> dict[str, Any]:
    return import_labels(
        args.labels,
        args.data_dir,
        source=args.source,
        author=args.author or getpass.getuser(),
        only=args.recordings,
        options=ImportOptions(args.format, args.fps, args.recording, not args.ads_only),
    )


def main(argv: list[str] | None = None) -> int:
    """Run the command."""
    return run_command(_parser(), argv)


if __name__ == "__main__":
    sys.exit(main())
