"""Finds the ad breaks of recordings: one command, from a file to an edit list.

    python -m ml_training.detection.detect news.ts --model detectors/general --output breaks.edl
    python -m ml_training.detection.detect s3://adbreak/recordings/one --model base-general@champion --output out \\
        --format json --archive s3://adbreak
    python -m ml_training.detection.detect udp://239.0.0.1:1234 --stream --model detectors/general

A first pass reads keyframes and sound, a second every frame around the boundaries that were found. With ``--archive``
what airs in other recordings counts, too. A recording without ads gives an empty list.
"""

import argparse
import logging
import time
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any, NamedTuple, get_args

from ml_training.cloud import storage
from ml_training.data.recordings import Recording, find_recordings
from ml_training.detection.detector import Verdict
from ml_training.detection.first_pass import Choice, FirstPass, mode_of
from ml_training.detection.formats import FORMATS, format_of, write_breaks
from ml_training.detection.gather import StoredRecording
from ml_training.detection.judging import Judge
from ml_training.detection.second_pass import SecondPass
from ml_training.utils.command_line import command_parser, run_command
from ml_training.utils.errors import DataError, RecordingUnreadable, UsageError

logger = logging.getLogger(__name__)


class Outputs(NamedTuple):
    """Where results go: a file or a folder for the breaks, the same for plots; None for none."""

    output: str | None = None
    format: str | None = None
    plot: str | None = None

    def breaks_address(self, recording_id: str, *, several: bool) -> str | None:
        """Return where the breaks of a recording go."""
        if self.output is None:
            return None
        if not several and self._is_file(self.output):
            return self.output
        return storage.join(self.output, recording_id + FORMATS[self.format or "edl"].ending)

    def plot_address(self, recording_id: str, *, several: bool) -> str | None:
        """Return where the plot of a recording goes."""
        if self.plot is None or (not several and self.plot.endswith(".png")):
            return self.plot
        return storage.join(self.plot, f"{recording_id}.png")

    def check(self) -> None:
        """Raise UsageError for a format that nobody knows, before any work is done."""
        if self.format is not None and self.format not in FORMATS:
            raise UsageError(f"--format must be one of {', '.join(FORMATS)}, received {self.format!r}")
        if self.output is not None and self.format is None and self._is_file(self.output):
            format_of(self.output)

    @staticmethod
    def _is_file(address: str) -> bool:
        return not address.endswith("/") and PurePosixPath(address).suffix != ""


def detect(
    recordings: Sequence[str],
    judge: Judge,
    *,
    outputs: Outputs = Outputs(),  # noqa: B008 (frozen)
    mode: Choice = "auto",
    workers: int | None = None,
) -> dict[str, Any]:
    """Find the breaks of recordings: files, folders or addresses of either; several also repeat each other.

    Returns ``recordings`` (breaks, seconds taken, times real time, what was written) and ``failed``, by name with the
    reason. Raises DataError when there are none, or none can be read.
    """
    outputs.check()
    found = [recording for source in recordings for recording in _find(source)]
    several = len(found) > 1 or any(storage.join(source) != found[0].uri for source in recordings)
    failed: dict[str, str] = {}
    sources: dict[str, tuple[Recording, StoredRecording, float]] = {}
    with FirstPass(mode=mode, workers=workers) as first:
        for recording in found:
            started = time.monotonic()
            try:
                source = first.store(recording)
            except RecordingUnreadable as error:
                logger.warning("%s", error.message)
                failed[recording.recording_id] = error.message
                continue
            judge.meet(source)
            if outputs.plot is None:
                first.forget(source)
            sources[recording.recording_id] = recording, source, time.monotonic() - started
        if not sources:
            raise DataError(f"no recording could be read: {next(iter(failed.values()))}", failed=failed)
        results = [_finish(judge, *entry, outputs, several=several) for entry in sources.values()]
    return {"recordings": results, "failed": failed}


def _find(source: str) -> list[Recording]:
    found = find_recordings(source)
    for refused in found.refused:
        logger.warning("%s is passed over: %s", refused.uri, refused.reason)
    if not found.recordings:
        raise DataError(f"no recording of {source} can be judged: {found.refused[0].reason}")
    return found.recordings


def _finish(
    judge: Judge, recording: Recording, source: StoredRecording, seconds: float, outputs: Outputs, *, several: bool
) -> dict[str, Any]:
    started = time.monotonic()
    name, duration = recording.recording_id, source.duration_seconds
    again = SecondPass(recording.uri, zero_seconds=float(source.extraction["first_pts_seconds"]))
    verdict = judge.verdict(name, look=None if source.extraction["timestamp_resets"] else again.look)
    address = outputs.breaks_address(name, several=several)
    if address is not None:
        rate = float(source.extraction["average_frame_rate"]) or None
        write_breaks(
            verdict.breaks, address, format=outputs.format, frame_rate=rate, duration=duration, recording_id=name
        )
    plot = outputs.plot_address(name, several=several)
    if plot is not None:
        _plot(plot, judge, source, verdict)
    seconds += time.monotonic() - started
    logger.info("%s: %d breaks, %.0f times real time", name, len(verdict.breaks), duration / seconds)
    return {
        "recording_id": name,
        "breaks": [found.model_dump(mode="json") for found in verdict.breaks],
        "ad_seconds": round(sum(found.duration_seconds for found in verdict.breaks), 2),
        "duration_seconds": duration,
        "mode": mode_of(source.extraction),
        "seconds": round(seconds, 2),
        "times_real_time": round(duration / max(seconds, 1e-9), 1),
        **{key: value for key, value in (("written", address), ("plot", plot)) if value is not None},
    }


def _plot(address: str, judge: Judge, source: StoredRecording, verdict: Verdict) -> None:
    import numpy as np

    from ml_training.detection.plot import Thumbnail, save_plot, thumbnail_times

    features = judge.met[source.recording_id][0]
    times = np.arange(features.seconds, dtype=np.float64)
    curves: dict[str, Any] = {"chance of an ad": verdict.ad_share}
    if "picture" in features.groups:
        curves["single frames"] = 1 / (1 + np.exp(-features.groups["picture"][:, 0]))
    pts = source.index["pts_seconds"].to_numpy()
    thumbnails = []
    for seconds in thumbnail_times(verdict.breaks, source.duration_seconds):
        place = int(np.argmin(np.abs(pts - seconds)))
        thumbnails.append(Thumbnail(float(pts[place]), source.images(place, place + 1)[0]))
    save_plot(
        address,
        times,
        curves,
        verdict.breaks,
        duration=source.duration_seconds,
        title=source.recording_id,
        thumbnails=thumbnails,
    )


def _run(args: argparse.Namespace) -> dict[str, Any]:
    outputs = Outputs(args.output, args.format, args.plot)
    if not args.stream:
        outputs.check()
    if args.workers is not None and args.workers < 1:
        raise UsageError(f"--workers must be at least 1, received {args.workers}")
    judge = Judge.open(args.model, detector=args.detector, archive=args.archive)
    if args.stream:
        from ml_training.detection.stream import watch_stream

        if len(args.recordings) != 1:
            raise UsageError(f"--stream watches one stream, received {len(args.recordings)}")
        return watch_stream(args.recordings[0], judge, output=args.output)
    return detect(args.recordings, judge, outputs=outputs, mode=args.mode, workers=args.workers)


def main(argv: list[str] | None = None) -> int:
    """Run the command."""
    parser = command_parser("ml_training.detection.detect", __doc__)
    parser.add_argument("recordings", nargs="+", metavar="RECORDING", help="files, folders, or addresses of either")
    parser.add_argument("--model", required=True, help="a detector's folder; or a model's file, folder or name@alias")
    parser.add_argument("--detector", help="a detector's folder, where --model is a model of frames")
    parser.add_argument("--output", help="file for one recording, folder for several (default: only the result)")
    parser.add_argument("--format", help=f"one of {', '.join(FORMATS)} (default: by the ending of --output, or edl)")
    parser.add_argument("--archive", help="bucket or folder of recordings: what airs there, too, counts")
    parser.add_argument("--plot", help="PNG for one recording, folder for several")
    parser.add_argument("--mode", choices=get_args(Choice), default="auto", help="frames that are read first")
    parser.add_argument("--workers", type=int, help="processes that share a long recording (default: one a core)")
    parser.add_argument("--stream", action="store_true", help="watch a live stream, and say what is over as it ends")
    parser.set_defaults(run=_run)
    return run_command(parser, argv)


if __name__ == "__main__":
    raise SystemExit(main())
