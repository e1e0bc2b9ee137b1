"""Reads pictures and sound of examples, keeping the shards that are in use in memory.

    store = ShardStore(pictures=128, sounds=16)
    image = store.picture("s3://adbreak/frames/a/1f/frames-00000.parquet", 5)       # uint8 [224, 224, 3]
    small = store.picture("s3://adbreak/frames/a/1f/frames-00000.parquet", 5, size=96, rough=True)

A shard is read whole (some 3 MB of JPEG, 8 MB of sound), and its pictures are decoded from memory without a copy.
Small rough pictures are kept as they were decoded, up to a bound: a network that is small enough for them learns a
hundred epochs, and spends half of what feeding costs on decoding. Several threads may read at once.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, Generic, NamedTuple, TypeVar

import cv2
import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from ml_training.cloud import storage
from ml_training.data.audio.sound import SAMPLE_RATE, Sound, load_sound
from ml_training.data.frames import FRAME_SIZE, stretch_resize
from ml_training.data.pipeline.examples import PICTURE_FILE
from ml_training.utils.errors import DataError

Image = npt.NDArray[np.uint8]
SMALL_BYTES = 512 << 20  # of decoded pictures: five hours at one 96x96 picture a second
Key = TypeVar("Key")
Value = TypeVar("Value")


class _Kept(Generic[Key, Value]):
    """The values used last, each loaded once however many threads ask for it."""

    def __init__(self, load: Callable[[Key], Value], capacity: int) -> None:
        self._load, self._capacity = load, max(1, capacity)
        self._lock = threading.Lock()
        self._values: OrderedDict[Key, Future[Value]] = OrderedDict()

    def get(self, key: Key) -> Value:
        with self._lock:
            found = self._values.get(key)
            if found is not None:
                self._values.move_to_end(key)
            else:
                mine: Future[Value] = Future()
                self._values[key] = mine
                if len(self._values) > self._capacity:
                    self._values.popitem(last=False)
        if found is not None:
            return found.result()
        try:
            mine.set_result(self._load(key))
        except BaseException as error:
            with self._lock:
                self._values.pop(key, None)
            mine.set_exception(error)
        return mine.result()


class _SmallPictures:
    """Decoded pictures, the first ones that came, until their bound is reached: in an epoch each is asked for once, so
    to let the oldest go would let all go."""

    def __init__(self, most_bytes: int) -> None:
        self._left, self._lock = most_bytes, threading.Lock()
        self._images: dict[tuple[str, int, int], Image] = {}

    def get(self, key: tuple[str, int, int]) -> Image | None:
        return self._images.get(key)

    def keep(self, key: tuple[str, int, int], image: Image) -> None:
        with self._lock:
            if key not in self._images and image.nbytes <= self._left:
                self._left -= image.nbytes
                self._images[key] = image


class _Jpegs(NamedTuple):
    """The JPEGs of a shard, one after the other."""

    data: npt.NDArray[np.uint8]
    edges: npt.NDArray[np.int32]  # [rows + 1]


class ShardStore:
    """Pictures and sound by address, with at most ``pictures`` and ``sounds`` shards in memory."""

    def __init__(self, *, pictures: int, sounds: int) -> None:
        self._pictures: _Kept[str, _Jpegs] = _Kept(_read_jpegs, pictures)
        self._sounds: _Kept[tuple[str, str, str, int], Sound] = _Kept(self._read_sound, sounds)
        self._extractions: dict[tuple[str, str, str], Mapping[str, Any]] = {}
        self._small = _SmallPictures(SMALL_BYTES)

    def picture(self, file: str, row: int, *, size: int = FRAME_SIZE, rough: bool = False) -> Image:
        """Return a picture as RGB uint8 [size, size, 3]; ``PICTURE_FILE`` as row reads the file itself.

        ``rough`` decodes small pictures at half their size, in a third of the time, and keeps them: good enough where
        they are changed at random anyway. It is not to be written to. Raises ObjectNotFound, and DataError when there
        is no such row or no picture in it.
        """
        if row == PICTURE_FILE:
            image = _decode(np.frombuffer(storage.cached_copy(file).read_bytes(), np.uint8), file)
            whole = image if image.shape[:2] == (FRAME_SIZE, FRAME_SIZE) else stretch_resize(image)
            return resized(whole, size)
        if not rough or size > FRAME_SIZE // 2:
            return resized(self._decoded(file, row, half=False), size)
        key = file, row, size
        if (known := self._small.get(key)) is not None:
            return known
        image = resized(self._decoded(file, row, half=True), size)
        self._small.keep(key, image)
        return image

    def _decoded(self, file: str, row: int, *, half: bool) -> Image:
        shard = self._pictures.get(file)
        if not 0 <= row < len(shard.edges) - 1:
            raise DataError(f"{file} has rows 0 to {len(shard.edges) - 2}, received {row}")
        image = _decode(shard.data[shard.edges[row] : shard.edges[row + 1]], f"{file} row {row}", half=half)
        expected = FRAME_SIZE // 2 if half else FRAME_SIZE
        if image.shape != (expected, expected, 3):
            times = " at half its size" if half else ""
            raise DataError(f"{file} row {row}{times} has shape {image.shape}, expected {(expected, expected, 3)}")
        return image

    def sound(self, data_dir: str, extraction: Mapping[str, Any], start_seconds: float, seconds: float) -> Sound:
        """Return int16 [seconds * 16000] of a recording from ``start_seconds`` on; zeros outside the recording."""
        length = round(extraction["shard_seconds"] * SAMPLE_RATE)
        first, count = round(start_seconds * SAMPLE_RATE), round(seconds * SAMPLE_RATE)
        sound = np.zeros(count, np.int16)
        key = (data_dir, str(extraction["recording_id"]), str(extraction["extraction_id"]))
        self._extractions[key] = extraction
        for number in range(max(0, first // length), (first + count - 1) // length + 1):
            shard, begin = self._sounds.get((*key, number)), number * length
            left, right = max(first, begin), min(first + count, begin + length)
            sound[left - first : right - first] = shard[left - begin : right - begin]
        return sound

    def _read_sound(self, key: tuple[str, str, str, int]) -> Sound:
        data_dir, number = key[0], key[3]
        extraction = self._extractions[key[:3]]
        start = number * extraction["shard_seconds"]
        return load_sound(data_dir, extraction, start, start + extraction["shard_seconds"])


def _read_jpegs(uri: str) -> _Jpegs:
    table = pq.read_table(storage.cached_copy(uri), columns=["jpeg"], use_threads=False)
    whole = table["jpeg"].combine_chunks()
    whole = whole.chunk(0) if hasattr(whole, "num_chunks") else whole
    _, edges, data = whole.buffers()
    start = whole.offset
    return _Jpegs(np.frombuffer(data, np.uint8), np.frombuffer(edges, np.int32)[start : start + len(whole) + 1])


def resized(image: Image, size: int) -> Image:
    """Resize RGB uint8 [S, S, 3] to [size, size, 3] by area averaging, as ``frames.stretch_resize`` does."""
    if image.shape[0] == size:
        return image
    return np.asarray(cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA), np.uint8)


def _decode(data: npt.NDArray[np.uint8], source: str, *, half: bool = False) -> Image:
    mode = cv2.IMREAD_REDUCED_COLOR_2 if half else cv2.IMREAD_COLOR_RGB
    image = cv2.imdecode(data, mode) if len(data) else None
    if image is not None and half:
        image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    if image is None:
        raise DataError(f"{source}: expected a JPEG, received {len(data)} bytes that do not decode")
    return np.asarray(image, np.uint8)
