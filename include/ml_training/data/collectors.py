"""Commands that bring recordings in: find new ones, extract their frames.

    python -m ml_training.data.collectors scan    --data-dir s3://adbreak --from-date 2026-01-05 --channels one two
    python -m ml_training.data.collectors extract --video-source DIR --output-dir data/raw_frames --fps 1.0

``extract`` takes files, folders or S3 addresses of either. A recording that cannot be read goes to quarantine with
the reason, and the others go on.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any, get_args

from ml_training.cloud import storage
from ml_training.config.settings import read_settings
from ml_training.data.extraction import Mode, Outcome, Settings, as_result, extract_recording, refuse
from ml_training.data.recordings import find_recordings
from ml_training.data.scan import Selection, scan
from ml_training.data.sweep import remember
from ml_training.data.workers import WorkerPool, available_cores
from ml_training.utils.command_line import command_parser, run_command
from ml_training.utils.errors import UsageError

MAXIMUM_FRAMES_PER_SECOND = 60.0


def extract(
    video_source: str | Sequence[str],
    output_dir: str,
    *,
    frames_per_second: float = 1.0,
    quarantine_dir: str | None = None,
    retry: bool = False,
    mode: Mode = "exact",
    stream: bool = False,
    workers: int | None = None,
) -> dict[str, Any]:
    """Extract frames and sound of every recording at ``video_source``, one address or several, below ``output_dir``.

    ``workers`` processes (default: one a core) share a long recording. Returns ``recordings`` (one outcome each) and
    how many were extracted, known and quarantined; for a single recording its outcome's fields as well. Raises
    DataError when a source holds no media file.
    """
    if not 0 < frames_per_second <= MAXIMUM_FRAMES_PER_SECOND:
        raise UsageError(
            f"--fps must be above 0 and at most {MAXIMUM_FRAMES_PER_SECOND:g}, received {frames_per_second:g}"
        )
    if workers is not None and workers < 1:
        raise UsageError(f"--workers must be at least 1, received {workers}")
    quarantine_dir = quarantine_dir or _beside(output_dir, "quarantine")
    sources = [video_source] if isinstance(video_source, str) else video_source
    found = [find_recordings(source) for source in sources]
    outcomes: list[Outcome] = [
        refuse(refused, quarantine_dir=quarantine_dir) for one in found for refused in one.refused
    ]
    settings = Settings(frames_per_second=frames_per_second, mode=mode, stream=stream, retry=retry)
    with WorkerPool(available_cores() if workers is None else workers) as pool:
        for recording in (recording for one in found for recording in one.recordings):
            outcome = extract_recording(
                recording, settings, output_dir=output_dir, quarantine_dir=quarantine_dir, pool=pool
            )
            outcomes.append(outcome)
    return _result(sorted(outcomes, key=lambda outcome: outcome.recording_id))


def _beside(uri: str, name: str) -> str:
    parent, _, last = uri.rstrip("/").rpartition("/")
    if not last or parent == "s3:/":
        return storage.join(uri, name)
    return storage.join(parent, name) if parent or uri.startswith("/") else name


def _result(outcomes: list[Outcome]) -> dict[str, Any]:
    counts = Counter[str](outcome.status for outcome in outcomes)
    alone = as_result(outcomes[0]) if len(outcomes) == 1 else {}
    return {
        **alone,
        "recordings": [as_result(outcome) for outcome in outcomes],
        **{status: counts[status] for status in ("extracted", "known", "quarantined")},
    }


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("ml_training.data.collectors", __doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    look = commands.add_parser("scan", help="list recordings that are new or changed")
    data_dir = read_settings().data_dir
    look.add_argument("--source", help="folder or S3 prefix; default: recordings/ of the data root")
    look.add_argument("--data-dir", default=data_dir, help=f"bucket or folder of the data (default: {data_dir})")
    look.add_argument("--fps", type=float, default=1.0, help="frames a second that the extraction takes (default: 1)")
    look.add_argument("--mode", choices=get_args(Mode), default="exact", help="mode that the extraction has")
    look.add_argument("--from-date", help="first day, YYYY-MM-DD (default: no bound)")
    look.add_argument("--to-date", help="last day, included (default: no bound)")
    look.add_argument("--channels", nargs="+", default=[], help="only these channels (default: all)")
    look.add_argument("--new-only", action="store_true", help="sweep: what is new or changed since it was remembered")
    look.add_argument("--note-look", action="store_true", help="store what is offered, for remember")
    look.set_defaults(run=_scan)
    keep = commands.add_parser("remember", help="let the sweep pass over what a scan offered and a run finished")
    keep.add_argument("--look", required=True, help="address that scan --note-look returned")
    keep.add_argument("--data-dir", default=data_dir, help=f"bucket or folder of the data (default: {data_dir})")
    keep.add_argument("--fps", type=float, default=1.0, help="frames a second of the scan (default: 1)")
    keep.add_argument("--mode", choices=get_args(Mode), default="exact", help="mode of the scan")
    keep.add_argument("--without", nargs="+", default=[], help="files that have no frames yet: to be offered again")
    keep.set_defaults(run=_remember)
    take = commands.add_parser("extract", help="extract frames with their true timestamps, and the sound")
    take.add_argument(
        "--video-source", required=True, nargs="+", help="recordings, or folders or S3 prefixes of recordings"
    )
    take.add_argument("--output-dir", required=True, help="where <recording_id>/<extraction_id>/ goes")
    take.add_argument("--fps", type=float, default=1.0, help="frames a second (default: 1)")
    take.add_argument("--quarantine-dir", help="where unreadable recordings go (default: quarantine beside the output)")
    take.add_argument(
        "--mode", choices=get_args(Mode), default="exact", help="candidates: all frames, or keyframes only"
    )
    take.add_argument("--stream", action="store_true", help="read objects of a bucket by ranges, without a local copy")
    take.add_argument("--workers", type=int, help="processes that share a long recording (default: one a core)")
    take.add_argument("--retry", action="store_true", help="try again what is in quarantine")
    take.set_defaults(run=_extract)
    return parser


def _scan(args: argparse.Namespace) -> dict[str, Any]:
    source = args.source or storage.join(args.data_dir, "recordings")
    return scan(
        source,
        data_dir=args.data_dir,
        frames_per_second=args.fps,
        mode=args.mode,
        selection=Selection(args.from_date, args.to_date, args.channels),
        new_only=args.new_only,
        note_look=args.note_look,
    )


def _remember(args: argparse.Namespace) -> dict[str, Any]:
    root, rate = args.data_dir, args.fps
    return dict(remember(args.look, data_dir=root, frames_per_second=rate, mode=args.mode, without=args.without))


def _extract(args: argparse.Namespace) -> dict[str, Any]:
    return extract(
        args.video_source,
        args.output_dir,
        frames_per_second=args.fps,
        quarantine_dir=args.quarantine_dir,
        retry=args.retry,
        mode=args.mode,
        stream=args.stream,
        workers=args.workers,
    )


def main(argv: list[str] | None = None) -> int:
    """Run the command."""
    return run_command(_parser(), argv)


if __name__ == "__main__":
    sys.exit(main())
