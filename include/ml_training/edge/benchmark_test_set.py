"""The small test set that travels to a device: frames around the borders of ad breaks, and what they score here.

    content = make_test_set(files, manifest, data_dir="s3://adbreak", frames=96)     # test.npz, or None
    # pictures [N, ...], places [M, T] (the window of each judged frame), labels [M], expected [M], threshold, column

The device judges the same frames; its scores should be those of this side, and its precision and recall those of any
run of the same files. So few frames say whether the device judges, not how good the model is.
"""

import io
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ml_training.inference.description import ViewDescription
from ml_training.inference.models import fit_size, window_places
from ml_training.inference.parts import TflitePart
from ml_training.inference.scorer import load_interpreter
from ml_training.inference.sound import clip_windows, hear
from ml_training.inference.stretch import Stretch
from ml_training.training.split_frames import SplitFrames, open_stretch, read_split_frames
from ml_training.utils.errors import DataError, StorageError

BLOCK = 16  # frames in a row, half of them before the border
Arrays = dict[str, npt.NDArray[Any]]

logger = logging.getLogger(__name__)


def make_test_set(
    files: Mapping[str, bytes], manifest: Mapping[str, Any], *, data_dir: str, frames: int
) -> bytes | None:
    """Return a test set of about ``frames`` frames from the test split of the model's dataset version, as an .npz file.

    None, with a line in the log, where that version cannot be read: the measurement goes on without it.
    """
    dataset_id = manifest.get("dataset_id")
    if not frames or not dataset_id:
        return None
    try:
        split = read_split_frames(data_dir, str(dataset_id), "test")
        blocks = [_block(files, manifest, split, chosen, data_dir) for chosen in choose_blocks(split, frames)]
    except (DataError, StorageError) as error:
        logger.warning("no test set travels along: %s", error)
        return None
    if not blocks:
        logger.warning("no test set travels along: the test split has no border of an ad")
        return None
    arrays = join_blocks(blocks)
    labels = list(manifest["labels"])
    column = labels.index("ad") if _outputs(manifest) > 1 else 0
    buffer = io.BytesIO()
    numbers = {"threshold": np.float64(manifest["threshold"]), "column": np.int64(column)}
    np.savez_compressed(buffer, **numbers, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def choose_blocks(split: SplitFrames, frames: int) -> list[npt.NDArray[np.int64]]:
    """Return the places of judged frames, in blocks around borders of ads, spread over recordings.

    Each block is of one recording.
    """
    found: list[list[npt.NDArray[np.int64]]] = []
    for _, part in split.recordings():
        places = np.arange(part.start, part.stop)[split.scored[part]]
        labels = split.labels[places]
        borders = np.flatnonzero(labels[1:] != labels[:-1]) + 1
        starts = np.clip(borders - BLOCK // 2, 0, max(len(places) - BLOCK, 0))
        found.append([places[start : start + BLOCK] for start in dict.fromkeys(starts.tolist())])
    wanted = max(1, frames // BLOCK)
    rounds = max((len(blocks) for blocks in found), default=0)
    return [blocks[turn] for turn in range(rounds) for blocks in found if turn < len(blocks)][:wanted]


def join_blocks(blocks: list[Arrays]) -> Arrays:
    """Put blocks behind each other; places count on through their pictures."""
    offsets = np.cumsum([0, *(len(block["pictures"]) for block in blocks)])
    moved = [{**block, "places": block["places"] + offset} for block, offset in zip(blocks, offsets[:-1], strict=True)]
    return {name: np.concatenate([block[name] for block in moved]) for name in moved[0]}


def _block(
    files: Mapping[str, bytes],
    manifest: Mapping[str, Any],
    split: SplitFrames,
    chosen: npt.NDArray[np.int64],
    data_dir: str,
) -> Arrays:
    """Return one block: pictures that its windows show, once each, and what the model makes of its frames."""
    recording = next(part for _, part in split.recordings() if part.start <= chosen[0] < part.stop)
    stretch = open_stretch(split.take(recording), data_dir)
    view = ViewDescription.model_validate(manifest.get("view") or {})
    windows = window_places(stretch.pts_seconds, view)[chosen - recording.start]
    shown, places = np.unique(windows, return_inverse=True)
    parts = list(_parts(files, manifest))
    trunk = parts[0]
    (shape,) = trunk.input_shapes.values()
    images = np.concatenate([fit_size(stretch.images(int(place), int(place) + 1), shape) for place in shown])
    (pictures,) = trunk.prepare({"image": images}).values()
    outputs = trunk.run({"image": images})
    arrays: Arrays = {"pictures": pictures, "places": places.reshape(windows.shape), "labels": split.labels[chosen]}
    if len(parts) > 1:
        heard = _heard(stretch, stretch.pts_seconds[chosen - recording.start], view, manifest.get("mfcc_bands"))
        inputs = {"embeddings": outputs[arrays["places"]], **heard}
        outputs = parts[1].run(inputs)
        prepared = parts[1].prepare(inputs)
        arrays |= {f"head_{name}": values for name, values in prepared.items() if not _is_window(values, trunk)}
    else:
        outputs = outputs[arrays["places"][:, 0]]
    column = list(manifest["labels"]).index("ad") if outputs.shape[1] > 1 else 0
    return {**arrays, "expected": outputs[:, column].astype(np.float32)}


def _parts(files: Mapping[str, bytes], manifest: Mapping[str, Any]) -> Iterator[TflitePart]:
    for name in part_files(manifest):
        yield TflitePart(load_interpreter(Path(name), content=files[name]))


def part_files(manifest: Mapping[str, Any]) -> list[str]:
    """Return the names of a model's files, the first part's first."""
    return [str(part["file"]) for part in manifest.get("parts") or [{"file": "model.tflite"}]]


def _is_window(values: npt.NDArray[Any], trunk: TflitePart) -> bool:
    return values.ndim == 3 and values.shape[-1] == trunk.output_shape[-1]


def _heard(
    stretch: Stretch, pts_seconds: npt.NDArray[np.float64], view: ViewDescription, bands: int | None
) -> dict[str, npt.NDArray[np.float32]]:
    if view.sound_seconds is None or bands is None:
        return {}
    sound = hear(stretch, pts_seconds, seconds=view.sound_seconds, bands=bands)
    flags = np.full((len(pts_seconds), 1), 0.0 if sound is None else 1.0, np.float32)
    if sound is None:
        windows = clip_windows(view.sound_seconds[1] - view.sound_seconds[0])
        sound = np.zeros((len(pts_seconds), windows, bands), np.float32)
    return {"sound": sound, "has_sound": flags}


def _outputs(manifest: Mapping[str, Any]) -> int:
    return int(manifest["output"]["shape"][-1])
