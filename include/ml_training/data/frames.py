"""Extracted frames: how a picture becomes a stored frame, and how stored frames are read again.

    index = read_index("s3://adbreak", "news-0105")                     # one row a frame, by media time
    images = load_images("s3://adbreak/frames/news-0105/1f…/frames-00000.parquet", [0, 5])   # uint8 [2, 224, 224, 3]

``stretch_resize`` is the one resize that training, conversion and devices share.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from ml_training.cloud import storage
from ml_training.utils.errors import DataError, ObjectNotFound

Image = npt.NDArray[np.uint8]

FRAME_SIZE = 224  # pixels, the input of every model of the project
RESIZE_NAME = "stretch-inter_area-224"
JPEG_QUALITY = 90
BLACK_LUMA = 24.0  # of 255: studio black is 0 after conversion; grain and a raised black level stay below this
BLACK_BRIGHTEST = 48.0  # of 255: 99 % of the pixels of a black frame are darker than this
PHASH_INPUT, PHASH_SIDE = 32, 8  # the usual 64-bit perceptual hash: low 8x8 of the DCT of 32x32 pixels
BLOCKS, COLOUR_BITS = 4, 2  # of the histograms that show a change of shot
COLOURS = 1 << 3 * COLOUR_BITS
_BLOCK = np.arange(FRAME_SIZE) * BLOCKS // FRAME_SIZE
BLOCK_OFFSETS = ((_BLOCK[:, None] * BLOCKS + _BLOCK) * COLOURS).astype(np.uint16)

INDEX_SCHEMA = pa.schema(
    [
        ("recording_id", pa.string()),
        ("frame_index", pa.int32()),
        ("pts_seconds", pa.float64()),
        ("shard", pa.string()),
        ("row", pa.int32()),
        ("luma", pa.float32()),
        ("sharpness", pa.float32()),
        ("motion", pa.float32()),
        ("phash", pa.string()),
        ("is_black", pa.bool_()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("sha256", pa.string()),
        ("loudness_lufs", pa.float32()),
        ("is_silent", pa.bool_()),
        ("shot_change", pa.float32()),
    ]
)


class Appearance(NamedTuple):
    """What one frame looks like, in a few numbers; the columns of the index with the same names."""

    luma: float  # mean brightness, 0..255
    sharpness: float  # variance of the Laplacian
    motion: float  # mean absolute difference to the previous stored frame, 0..255; 0 for the first
    phash: str  # 16 hexadecimal digits
    is_black: bool
    shot_change: float  # share of the picture whose colours are others than in the previous stored frame, 0..1


class Seen(NamedTuple):
    """What the next frame is compared with."""

    gray: Image
    colours: npt.NDArray[np.intp]  # histogram of each block


def stretch_resize(image: Image) -> Image:
    """Resize RGB uint8 [H, W, 3] to [224, 224, 3], without regard to its shape, by area averaging."""
    return np.asarray(cv2.resize(image, (FRAME_SIZE, FRAME_SIZE), interpolation=cv2.INTER_AREA), np.uint8)


def encode_jpeg(image: Image) -> bytes:
    """Encode RGB uint8 [H, W, 3] as JPEG of quality 90."""
    done, data = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not done:
        raise DataError(f"a frame of shape {image.shape} cannot be encoded as JPEG")
    return data.tobytes()


def decode_jpeg(data: bytes) -> Image:
    """Decode a JPEG to RGB uint8 [H, W, 3]. Raises DataError when it is none."""
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if image is None:
        raise DataError(f"expected a JPEG, received {len(data)} bytes that do not decode")
    return np.ascontiguousarray(image[:, :, ::-1], np.uint8)


def measure(image: Image, previous: Seen | None) -> tuple[Appearance, Seen]:
    """Describe RGB uint8 [224, 224, 3]; returns the numbers, and what the next call compares with."""
    gray = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
    seen = Seen(gray, block_colours(image))
    luma = float(gray.mean())
    motion = 0.0 if previous is None else float(cv2.absdiff(gray, previous.gray).mean())
    change = 0.0 if previous is None else colour_change(seen.colours, previous.colours)
    sharpness = float(cv2.Laplacian(gray, cv2.CV_32F).var())
    return Appearance(luma, sharpness, motion, perceptual_hash(gray), is_black(gray), change), seen


def is_black(gray: Image) -> bool:
    """Tell whether a gray image is one that a viewer calls black."""
    return float(gray.mean()) < BLACK_LUMA and float(np.percentile(gray, 99)) < BLACK_BRIGHTEST


def block_colours(image: Image) -> npt.NDArray[np.intp]:
    """Count the colours (2 bits of red, green and blue each) in each of 4 x 4 blocks of RGB uint8 [224, 224, 3]."""
    levels = image >> (8 - COLOUR_BITS)
    codes = (levels[..., 0] << 2 * COLOUR_BITS) | (levels[..., 1] << COLOUR_BITS) | levels[..., 2]
    return np.bincount((codes.astype(np.uint16) + BLOCK_OFFSETS).ravel(), minlength=BLOCKS**2 * COLOURS)


def colour_change(one: npt.NDArray[np.intp], other: npt.NDArray[np.intp]) -> float:
    """Return 1 - the intersection of two histograms of ``block_colours``: 0 the same colours in place, 1 none is.

    Histogram intersection: Swain and Ballard, Color Indexing, 1991; by blocks, so that place counts too.
    """
    return 1.0 - float(np.minimum(one, other).sum()) / FRAME_SIZE**2


def perceptual_hash(gray: Image) -> str:
    """Return the 64-bit DCT hash of a gray image as 16 hexadecimal digits: like pictures differ in few bits."""
    small = cv2.resize(gray, (PHASH_INPUT, PHASH_INPUT), interpolation=cv2.INTER_AREA)
    low = cv2.dct(small.astype(np.float32))[:PHASH_SIDE, :PHASH_SIDE].ravel()
    bits = low > np.median(low[1:])
    return np.packbits(bits).tobytes().hex()


def read_current(root: str, recording_id: str) -> dict[str, Any] | None:
    """Return the pointer to a recording's newest extraction; None where there is none."""
    try:
        return dict(storage.read_json(storage.join(root, "frames", recording_id, "current.json")))
    except ObjectNotFound:
        return None


def extraction_folder(root: str, recording_id: str, extraction_id: str) -> str:
    """Return the address of an extraction's folder."""
    return storage.join(root, "frames", recording_id, extraction_id)


def read_extraction(root: str, recording_id: str, *, frames_per_second: float | None = None) -> dict[str, Any]:
    """Return the ``extraction.json`` of the newest extraction, or of the one with this frame rate.

    Raises ObjectNotFound when the recording has no such extraction.
    """
    current = read_current(root, recording_id)
    if current is None:
        raise ObjectNotFound(f"there are no frames of {recording_id} in {root}: run data.collectors extract")
    newest = _read_extraction(root, recording_id, current["extraction_id"])
    if frames_per_second is None or newest["frames_per_second"] == frames_per_second:
        return newest
    for item in storage.list_objects(storage.join(root, "frames", recording_id) + "/"):
        if item.uri.endswith("/extraction.json"):
            other = dict(storage.read_json(item.uri))
            same_source = other["source_version"] == newest["source_version"]
            if same_source and other["frames_per_second"] == frames_per_second:
                return other
    raise ObjectNotFound(
        f"{recording_id} has {newest['frames_per_second']:g} frames a second, {frames_per_second:g} are asked for: run "
        f"data.collectors extract --fps {frames_per_second:g}"
    )


def _read_extraction(root: str, recording_id: str, extraction_id: str) -> dict[str, Any]:
    return dict(
        storage.read_json(storage.join(extraction_folder(root, recording_id, extraction_id), "extraction.json"))
    )


def read_index(root: str, recording_id: str, extraction_id: str | None = None) -> pa.Table:
    """Return the index of a recording's frames (``INDEX_SCHEMA``), by default of its newest extraction.

    Raises ObjectNotFound when the recording has no frames.
    """
    if extraction_id is None:
        extraction_id = str(read_extraction(root, recording_id)["extraction_id"])
    path = storage.cached_copy(storage.join(extraction_folder(root, recording_id, extraction_id), "index.parquet"))
    return pq.read_table(path, schema=INDEX_SCHEMA)


def load_images(shard_uri: str, rows: Sequence[int] | npt.NDArray[np.integer[Any]]) -> Image:
    """Decode rows of a shard, in the order asked for, to RGB uint8 [len(rows), 224, 224, 3].

    Raises DataError when a row is not there or is no picture of that size.
    """
    column = pq.read_table(storage.cached_copy(shard_uri), columns=["jpeg"]).column("jpeg")
    images = np.empty((len(rows), FRAME_SIZE, FRAME_SIZE, 3), np.uint8)
    for position, row in enumerate(rows):
        if not 0 <= row < len(column):
            raise DataError(f"{shard_uri} has rows 0 to {len(column) - 1}, received {row}")
        image = decode_jpeg(column[int(row)].as_py())
        if image.shape != images.shape[1:]:
            raise DataError(f"{shard_uri} row {row} has shape {image.shape}, expected {images.shape[1:]}")
        images[position] = image
    return images
