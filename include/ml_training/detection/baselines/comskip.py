"""What comskip says of a recording, where that program is on the PATH.

    outcome = detect(Path("news-0105.ts"))

comskip (github.com/erikkaashoek/Comskip) finds ad breaks without learning, by black frames, silence, logo, changes of
scene and aspect. It runs with its own defaults; its list of breaks is read by ``data.label_formats``.
"""

import subprocess
import tempfile
import time
from pathlib import Path

from ml_training.data.label_formats.reading import read_label_file
from ml_training.data.media_file import MediaFile
from ml_training.detection.baselines.outcome import CERTAIN, Outcome, find_tool
from ml_training.detection.records import Break
from ml_training.utils.errors import RecordingUnreadable

SETTINGS = "output_default=0\noutput_edl=1\n"  # times instead of frame numbers; all else as it comes
DEADLINE_SECONDS = 4 * 3600
FOUND_BREAKS, FOUND_NONE = 0, 1  # exit codes
MESSAGE_LINES = 5


def detect(path: Path) -> Outcome:
    """Find the breaks of a recording. Raises UsageError without comskip, RecordingUnreadable where it cannot read."""
    program = find_tool("comskip")
    with MediaFile(str(path)) as media:
        duration = float(media.container.duration or 0) / 1e6
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder) / "comskip.ini"
        settings.write_text(SETTINGS)
        command = [program, "--quiet", f"--ini={settings}", f"--output={folder}", str(path)]
        done = subprocess.run(command, capture_output=True, check=False, timeout=DEADLINE_SECONDS, cwd=folder)
        said = (done.stdout + done.stderr).decode("utf-8", "replace")
        written = Path(folder) / f"{path.stem}.edl"
        if done.returncode not in (FOUND_BREAKS, FOUND_NONE):
            last = " ".join(said.strip().splitlines()[-MESSAGE_LINES:])
            raise RecordingUnreadable(f"comskip cannot read {path.name}: {last}", uri=str(path), tool_output=said)
        breaks = read_breaks(written.read_bytes(), written.name) if written.exists() else []
    return Outcome(breaks, duration, time.monotonic() - started)


def read_breaks(data: bytes, name: str) -> list[Break]:
    """Return the breaks of an edit list that comskip wrote; an empty one says that there are none."""
    return [
        Break(start_seconds=segment.start_seconds, end_seconds=segment.end_seconds, confidence=CERTAIN)
        for batch in read_label_file(data, name)
        for segment in batch.segments
    ]
