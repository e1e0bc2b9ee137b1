"""Other tools on your own recordings: a rule on black and silence, and comskip, each with its speed.

    python -m ml_training.detection.baselines --tool black-silence --recordings news-0105.ts --output breaks.edl
    python -m ml_training.detection.baselines --tool comskip --recordings DIR --output DIR --format json

With one recording ``--output`` is a file or a folder, with several a folder. What cannot be read is named under
``failed``, the others go on.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ml_training.cloud import storage
from ml_training.data.recordings import find_recordings
from ml_training.detection.baselines import black_silence, comskip
from ml_training.detection.baselines.outcome import Outcome
from ml_training.detection.formats import FORMATS, write_breaks
from ml_training.utils.command_line import command_parser, run_command
from ml_training.utils.errors import DataError, RecordingUnreadable, UsageError

TOOLS: dict[str, Callable[[Path], Outcome]] = {"black-silence": black_silence.detect, "comskip": comskip.detect}


def run_tool(tool: str, recordings: list[str], output: str, *, format: str | None = None) -> dict[str, Any]:
    """Run one tool on recordings (files, folders, S3 addresses) and write the breaks of each.

    Returns, for each recording, its breaks and the times real time. Raises UsageError where the tool is not on the
    PATH, DataError where no recording could be read.
    """
    found = {recording.recording_id: recording.uri for source in recordings for recording in _found(source)}
    one_file = len(found) == 1 and any(output.endswith(known.ending) for known in FORMATS.values())
    judged: list[dict[str, Any]] = []
    failed: list[dict[str, str]] = []
    for recording_id, uri in sorted(found.items()):
        target = output if one_file else storage.join(output, recording_id + FORMATS[format or "edl"].ending)
        try:
            with storage.local_copy(uri) as path:
                outcome = TOOLS[tool](path)
        except RecordingUnreadable as error:
            failed.append({"recording_id": recording_id, "reason": error.message})
            continue
        write_breaks(
            outcome.breaks, target, format=format, duration=outcome.duration_seconds, recording_id=recording_id
        )
        judged.append(_described(recording_id, outcome, target))
    if failed and not judged:
        raise DataError(f"{tool} could read none of {len(failed)} recordings: {failed[0]['reason']}", failed=failed)
    return {"tool": tool, "recordings": judged, "failed": failed}


def _found(source: str) -> list[Any]:
    return list(find_recordings(source).recordings)


def _described(recording_id: str, outcome: Outcome, target: str) -> dict[str, Any]:
    return {
        "recording_id": recording_id,
        "breaks": [[round(b.start_seconds, 3), round(b.end_seconds, 3)] for b in outcome.breaks],
        "duration_seconds": round(outcome.duration_seconds, 3),
        "seconds": round(outcome.wall_seconds, 3),
        "times_real_time": round(outcome.times_real_time, 1),
        "output": target,
    }


def _run(args: argparse.Namespace) -> dict[str, Any]:
    if args.format and FORMATS[args.format].counts_frames:
        raise UsageError(f"--format {args.format} counts frames, which these tools do not give: take edl, json or csv")
    return run_tool(args.tool, args.recordings, args.output, format=args.format)


def main(argv: list[str] | None = None) -> int:
    """Run the command."""
    parser = command_parser("ml_training.detection.baselines", __doc__)
    parser.add_argument("--tool", required=True, choices=sorted(TOOLS), help="which tool")
    parser.add_argument("--recordings", required=True, nargs="+", help="files, folders, or S3 addresses of either")
    parser.add_argument("--output", required=True, help="file (of one recording) or folder")
    parser.add_argument("--format", choices=list(FORMATS), help="of the breaks (default: by the ending, else edl)")
    parser.set_defaults(run=_run)
    return run_command(parser, argv)


if __name__ == "__main__":
    sys.exit(main())
