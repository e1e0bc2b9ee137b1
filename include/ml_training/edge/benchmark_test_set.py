"""The small test set that travels to a device: frames around the borders of ad breaks, and what they score here.

    content = make_test_set(files, manifest, data_dir="s3://adbreak", frames=96)     # test.npz, or None
    # pictures [N, ...], places [M, T] (the window of each judged frame), labels [M], expected [M], threshold, column

The device judges the same frames; its scores should be those of this side, and its precision and recall those of any
run of the same files. So few frames say whether the device judges, not how good the model is.
"""

import io
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from ml_training.inference.description import ViewDescription
from ml_training.inference.models import fit_size, window_places
from ml_training.inference.parts import TflitePart
from ml_training.inference.scorer import load_interpreter
from ml_training.inference.sound import sound_inputs
from ml_training.training.split_frames import SplitFrames, open_stretch, read_split_frames
from ml_training.utils.errors import DataError, StorageError

BLOCK = 16  # frames in a row, half of them before the border
Arrays = dict[str, npt.NDArray[Any]]

logger = logging.getLogger(__name__)


class _Model(NamedTuple):
    """The model's files, open, and how it is used."""

    parts: list[TflitePart]
    view: ViewDescription
    bands: int | None
    column: int  # of the ads

    @classmethod
    def of(cls, files: Mapping[str, bytes], manifest: Mapping[str, Any]) -> Self:
        names = [str(part["file"]) for part in manifest["parts"]]
        parts = [TflitePart(load_interpreter(Path(name), content=files[name])) for name in names]
        column = list(manifest["labels"]).index("ad") if parts[-1].output_shape[-1] > 1 else 0
        view = ViewDescription.model_validate(manifest.get("view") or {})
        return cls(parts, view, manifest.get("mfcc_bands"), column)


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
        chosen = choose_blocks(split, frames)
        if not chosen:
            logger.warning("no test set travels along: the test split has no border of an ad")
            return None
        model = _Model.of(files, manifest)
        blocks = [_block(model, split, places, data_dir) for places in chosen]
    except (DataError, StorageError) as error:
        logger.warning("no test set travels along: %s", error)
        return None
    buffer = io.BytesIO()
    numbers = {"threshold": np.float64(manifest["threshold"]), "column": np.int64(model.column)}
    np.savez_compressed(buffer, **numbers, **join_blocks(blocks))  # type: ignore[arg-type]
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


def _block(model: _Model, split: SplitFrames, chosen: npt.NDArray[np.int64], data_dir: str) -> Arrays:
    """Return one block: pictures that its windows show, once each, and what the model makes of its frames."""
    recording = next(part for _, part in split.recordings() if part.start <= chosen[0] < part.stop)
    stretch = open_stretch(split.take(recording), data_dir)
    own = chosen - recording.start
    shown, places = np.unique(window_places(stretch.pts_seconds, model.view)[own], return_inverse=True)
    trunk, *rest = model.parts
    (shape,) = trunk.input_shapes.values()
    images = np.concatenate([fit_size(stretch.images(int(place), int(place) + 1), shape) for place in shown])
    (pictures,) = trunk.prepare({"image": images}).values()
    outputs = trunk.run({"image": images})
    arrays: Arrays = {"pictures": pictures, "places": places.reshape(len(own), -1), "labels": split.labels[chosen]}
    if not rest:
        outputs = outputs[arrays["places"][:, 0]]
    for head in rest:
        heard = sound_inputs(stretch, stretch.pts_seconds[own], seconds=model.view.sound_seconds, bands=model.bands)
        inputs = {"embeddings": outputs[arrays["places"]], **heard}
        outputs = head.run(inputs)
        prepared = head.prepare(inputs)
        arrays |= {f"head_{name}": values for name, values in prepared.items() if not _is_window(values, trunk)}
    return {**arrays, "expected": outputs[:, model.column].astype(np.float32)}


def _is_window(values: npt.NDArray[Any], trunk: TflitePart) -> bool:
    return values.ndim == 3 and values.shape[-1] == trunk.output_shape[-1]
