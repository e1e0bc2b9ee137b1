"""A contact sheet of a creative: one row of pictures an airing, so that a person sees what it is.

write_sheet("s3://adbreak", airings, Path("c1f0.png"))
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ml_training.cloud import storage
from ml_training.data.frames import Image, extraction_folder, load_images, read_extraction, read_index
from ml_training.utils.errors import UsageError

COLUMNS, WIDTH, HEIGHT, CAPTION = 8, 160, 90, 20
MOST_ROWS = 12


def write_sheet(data_dir: str, airings: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write eight pictures of each airing (the first twelve), evenly spaced, to a PNG or JPEG file."""
    rows = [_row(data_dir, airing) for airing in airings[:MOST_ROWS]]
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        written = cv2.imwrite(str(path), np.vstack(rows)[:, :, ::-1])
    except cv2.error:
        written = False
    if not written:
        raise UsageError(f"--sheet must end in .png or .jpg and be writable, received {path}")


def _row(data_dir: str, airing: Mapping[str, Any]) -> Image:
    name, start, end = str(airing["recording_id"]), float(airing["start_seconds"]), float(airing["end_seconds"])
    strip = np.zeros((HEIGHT + CAPTION, COLUMNS * WIDTH, 3), np.uint8)
    for column, image in enumerate(_pictures(data_dir, name, start, end)):
        strip[CAPTION:, column * WIDTH : (column + 1) * WIDTH] = cv2.resize(image, (WIDTH, HEIGHT))
    text = f"{name}  {start:.2f} to {end:.2f} s"
    cv2.putText(strip, text, (4, CAPTION - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (255, 255, 255), 1, cv2.LINE_AA)
    return strip


def _pictures(data_dir: str, recording_id: str, start: float, end: float) -> list[Image]:
    extraction_id = str(read_extraction(data_dir, recording_id)["extraction_id"])
    index = read_index(data_dir, recording_id, extraction_id)
    folder = extraction_folder(data_dir, recording_id, extraction_id)
    pts = index["pts_seconds"].to_numpy()
    wanted = np.searchsorted(pts, np.linspace(start, end, COLUMNS, endpoint=False))
    numbers = np.unique(np.clip(wanted, 0, len(pts) - 1)).tolist()
    rows = [(index["shard"][number].as_py(), index["row"][number].as_py()) for number in numbers]
    return [load_images(storage.join(folder, shard), [row])[0] for shard, row in rows]
