"""A sheet of pictures of a recording, each with its time and its label: to look at what was generated.

contact_sheet(Path("data/recordings/channel-01/2026-01-05/channel-01_2026-01-05_2000.ts"), Path("sheet.png"))
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import av.error
import cv2
import numpy as np

from ml_training.data.synthetic.generate import LABELS_FILE
from ml_training.data.synthetic.pictures import Picture
from ml_training.utils.errors import DataError, RecordingUnreadable, UsageError

COLUMNS, WIDTH, HEIGHT = 6, 320, 180
COLOURS = {"ad": (235, 60, 50), "content": (40, 150, 70)}
OTHER_COLOUR = (70, 90, 200)


def decoded(recording: Path) -> Iterator[tuple[float, av.VideoFrame]]:
    """Yield (presentation seconds from the first frame, frame) of a recording.

    Raises:
        RecordingUnreadable: the file is not there or holds no video.
    """
    try:
        with av.open(str(recording)) as container:
            first: float | None = None
            for frame in container.decode(video=0):
                first = frame.time if first is None else first
                yield frame.time - first, frame
    except (av.error.FFmpegError, IndexError, OSError) as error:
        raise RecordingUnreadable(f"no video can be read from {recording}: {error}", uri=str(recording)) from error


def labels_of(recording: Path) -> list[dict[str, Any]]:
    """Return the intervals of a recording from the nearest ``labels.json`` above it.

    Raises:
        DataError: there is none, or the recording is not in it.
    """
    for folder in recording.resolve().parents:
        if (folder / LABELS_FILE).exists():
            labels = json.loads((folder / LABELS_FILE).read_text())
            if recording.stem in labels:
                return list(labels[recording.stem])
    raise DataError(f"no {LABELS_FILE} above {recording} names {recording.stem}", recording_id=recording.stem)


def label_at(intervals: list[dict[str, Any]], seconds: float) -> str:
    """Return the label at a media time (the last one after the end)."""
    return next((str(i["label"]) for i in intervals if seconds < i["end"]), str(intervals[-1]["label"]))


def contact_sheet(recording: Path, output: Path, *, every_seconds: float = 5.0) -> dict[str, Any]:
    """Write a sheet with a picture every ``every_seconds``; return its path and the number of pictures."""
    if every_seconds <= 0:
        raise UsageError(f"--every must be above 0, received {every_seconds}")
    intervals, tiles, due = labels_of(recording), [], 0.0
    for seconds, frame in decoded(recording):
        if seconds >= due:
            tiles.append(_tile(frame.to_ndarray(format="rgb24"), seconds, label_at(intervals, seconds)))
            due += every_seconds
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % COLUMNS)
    rows = [np.hstack(tiles[i : i + COLUMNS]) for i in range(0, len(tiles), COLUMNS)]
    output.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(output), cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR)):
        raise UsageError(f"--output must end in .png or .jpg and be writable, received {output}")
    return {"output": str(output), "pictures": len(tiles)}


def _tile(picture: Picture, seconds: float, label: str) -> Picture:
    tile = cv2.resize(picture, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    colour = COLOURS.get(label, OTHER_COLOUR)
    cv2.rectangle(tile, (0, 0), (WIDTH - 1, HEIGHT - 1), colour, 2)
    cv2.rectangle(tile, (0, HEIGHT - 18), (110, HEIGHT), colour, -1)
    cv2.putText(
        tile, f"{seconds:.1f} {label}", (4, HEIGHT - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (255, 255, 255), 1, cv2.LINE_AA
    )
    return tile
