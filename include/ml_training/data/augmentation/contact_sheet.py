"""A sheet of pictures beside their changes: to see with one's own eyes that labels stay true.

    write_contact_sheet(stored_pictures("s3://adbreak", [], 8, seed=1), Path("sheet.png"))

One row a picture: as it is, each kind of change alone, then some whole changes as training sees them.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ml_training.cloud import storage
from ml_training.data.augmentation.pictures import ALTERATIONS, augment
from ml_training.data.frames import load_images, read_extraction, read_index, stretch_resize
from ml_training.utils.errors import DataError, ObjectNotFound, UsageError

Image = npt.NDArray[np.uint8]

TILE, HEADING, GAP = 160, 22, 3  # pixels
WHOLE_CHANGES = 5  # columns


def stored_pictures(data_dir: str, recordings: Sequence[str], count: int, seed: int) -> list[Image]:
    """Draw ``count`` stored frames of the recordings (none: of all), uint8 [224, 224, 3] each.

    Raises ObjectNotFound when there are no frames.
    """
    names = list(recordings) or sorted(_recordings_with_frames(data_dir))
    if not names:
        raise ObjectNotFound(f"there are no frames in {data_dir}: run data.collectors extract, or give --picture FILE")
    generator = np.random.default_rng(seed)
    chosen = [names[at % len(names)] for at in generator.permutation(max(count, len(names)))[:count]]
    return [_one_frame(data_dir, name, generator) for name in chosen]


def _recordings_with_frames(data_dir: str) -> Iterator[str]:
    for item in storage.list_objects(storage.join(data_dir, "frames") + "/"):
        if item.uri.endswith("/current.json"):
            yield item.uri.split("/")[-2]


def _one_frame(data_dir: str, recording_id: str, generator: np.random.Generator) -> Image:
    extraction = read_extraction(data_dir, recording_id)
    index = read_index(data_dir, recording_id, extraction["extraction_id"])
    at = int(generator.integers(len(index)))
    folder = storage.join(data_dir, "frames", recording_id, extraction["extraction_id"])
    return load_images(storage.join(folder, index["shard"][at].as_py()), [index["row"][at].as_py()])[0]


def read_picture(path: Path) -> Image:
    """Read a picture file and stretch it to 224x224. Raises DataError when it is none."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB) if path.is_file() else None
    if image is None:
        raise DataError(f"expected a picture (JPEG, PNG), received {path}, which cannot be read as one", path=str(path))
    return stretch_resize(np.asarray(image, np.uint8))


def write_contact_sheet(pictures: Sequence[Image], output: Path, *, seed: int = 1) -> dict[str, Any]:
    """Write the sheet as PNG or JPEG; returns its path and how many pictures and changes it shows.

    Raises UsageError when there are no pictures, or the output cannot be written.
    """
    if not pictures:
        raise UsageError("a contact sheet needs at least one picture: --pictures must be above 0")
    rows = [_row(picture, [seed, number]) for number, picture in enumerate(pictures)]
    names = ["as it is", *(kind.name for kind in ALTERATIONS), *["whole change"] * WHOLE_CHANGES]
    sheet = np.vstack([_headings(names), *rows])
    output.parent.mkdir(parents=True, exist_ok=True)
    try:
        written = cv2.imwrite(str(output), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
    except cv2.error:
        written = False
    if not written:
        raise UsageError(f"--output must end in .png or .jpg and be writable, received {output}")
    return {"output": str(output), "pictures": len(pictures), "changes": [kind.name for kind in ALTERATIONS]}


def _row(picture: Image, seed: list[int]) -> Image:
    alone = [kind.draw(np.random.default_rng([*seed, at]))(picture) for at, kind in enumerate(ALTERATIONS)]
    whole = [augment(picture, np.random.default_rng([*seed, 1000 + at])) for at in range(WHOLE_CHANGES)]
    return np.hstack([_tile(image) for image in (picture, *alone, *whole)])


def _tile(image: Image) -> Image:
    tile = np.full((TILE + GAP, TILE + GAP, 3), 255, np.uint8)
    tile[:TILE, :TILE] = cv2.resize(image, (TILE, TILE), interpolation=cv2.INTER_AREA)
    return tile


def _headings(names: Sequence[str]) -> Image:
    line = np.full((HEADING, len(names) * (TILE + GAP), 3), 255, np.uint8)
    for number, name in enumerate(names):
        place = (number * (TILE + GAP) + 2, HEADING - 7)
        cv2.putText(line, name, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (30, 30, 30), 1, cv2.LINE_AA)
    return line
