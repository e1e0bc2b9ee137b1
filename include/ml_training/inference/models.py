"""Any trained or converted model as one thing: a stretch of a recording in, a probability for each of its frames out.

    model = open_model(Path("RUN/int8"))           # a folder, one of its files, or the YAML file of an ensemble
    scores = model.score(stretch)                  # float32 [N]: probability of an ad, of every frame
    ads = scores >= model.threshold

Single frames, windows, clips and ensembles answer alike, from Keras files and from ``.tflite`` files. Pictures are read
in batches and the trunk sees each of them once, so a recording of hours takes no more memory than its embeddings. At
the edges, and where frames are missing, the nearest frame stands in for one that a window would show.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from ml_training.inference.description import ModelDescription, ViewDescription, read_description
from ml_training.inference.embedding import embedding_part
from ml_training.inference.parts import Part, load_part
from ml_training.inference.sound import sound_inputs
from ml_training.inference.stretch import Images, Stretch
from ml_training.inference.windows import places_near
from ml_training.utils.errors import ModelError
from ml_training.utils.hashing import sha256_file

Floats = npt.NDArray[np.float32]

BATCH_SIZE = 32  # pictures, or windows
ENSEMBLE_ENDINGS = (".yaml", ".yml")


class Reading(NamedTuple):
    """What a model makes of N frames."""

    scores: Floats  # [N], probability of an ad
    classes: Floats  # [N, C], probability of each class, in the order of ``class_names``
    embeddings: Floats  # [N, D]


class StretchScorer(Protocol):
    """A model that judges every frame of a stretch."""

    threshold: float
    class_names: tuple[str, ...]

    def score(self, stretch: Stretch) -> Floats:
        """Return the probability that a frame is an ad's, float32 [N]."""
        ...

    def embeddings(self, stretch: Stretch) -> Floats:
        """Return what the trunk makes of each frame, float32 [N, D]."""
        ...

    def read(self, stretch: Stretch) -> Reading:
        """Return scores, classes and embeddings, with one pass of the trunk."""
        ...


def open_model(path: Path, *, threads: int = 1) -> StretchScorer:
    """Open a model by its folder, one of its files, or an ensemble by its YAML file.

    Raises ModelError when files are missing, broken or not those that the manifest names.
    """
    if path.suffix in ENSEMBLE_ENDINGS:
        from ml_training.inference.ensemble import open_ensemble

        return open_ensemble(path, threads=threads)
    description = read_description(path)
    folder = path if path.is_dir() else path.parent
    files = {part.name: _checked(folder, part.file, part.sha256) for part in description.parts}
    if set(files) == {"model"}:
        return FrameModel(files["model"], description, threads=threads)
    if set(files) == {"trunk", "head"}:
        trunk, head = load_part(files["trunk"], threads=threads), load_part(files["head"], threads=threads)
        return SequenceModel(trunk, head, description)
    raise ModelError(f"expected a model, or a trunk and a head, received {', '.join(files) or 'nothing'} in {folder}")


def _checked(folder: Path, name: str, sha256: str | None) -> Path:
    path = folder / name
    if not path.is_file():
        raise ModelError(f"there is no {name} in {folder}, though the model has it: copy it there")
    if sha256 is not None and sha256_file(path) != sha256:
        raise ModelError(f"{path} is not the file that its manifest names: convert or download the model again")
    return path


class FrameModel:
    """A network that judges each frame alone."""

    def __init__(self, path: Path, description: ModelDescription, *, threads: int = 1) -> None:
        self.threshold, self.class_names = description.threshold, tuple(description.classes)
        self._part = load_part(path, threads=threads)
        self._path, self._threads = path, threads
        self._embedding: Part | None = None

    def score(self, stretch: Stretch) -> Floats:
        """Return the probability of an ad, float32 [N]."""
        return ad_scores(_classes(_over_pictures(self._part, stretch), self.class_names), self.class_names)

    def embeddings(self, stretch: Stretch) -> Floats:
        """Return what the dense layer before the output makes of each frame, float32 [N, D]."""
        return _over_pictures(self._embedding_part(), stretch)

    def read(self, stretch: Stretch) -> Reading:
        """Return scores, classes and embeddings; the pictures pass the network twice."""
        classes = _classes(_over_pictures(self._part, stretch), self.class_names)
        return Reading(ad_scores(classes, self.class_names), classes, self.embeddings(stretch))

    def _embedding_part(self) -> Part:
        if self._embedding is None:
            self._embedding = embedding_part(self._path, threads=self._threads)
        return self._embedding


class SequenceModel:
    """A trunk that sees each frame once, and a head on the embeddings of several, perhaps with their sound."""

    def __init__(self, trunk: Part, head: Part, description: ModelDescription) -> None:
        self.threshold, self.class_names = description.threshold, tuple(description.classes)
        self._trunk, self._head = trunk, head
        self._view, self._bands = description.view, description.mfcc_bands

    def score(self, stretch: Stretch) -> Floats:
        """Return the probability of an ad, float32 [N]."""
        return self.read(stretch).scores

    def embeddings(self, stretch: Stretch) -> Floats:
        """Return what the trunk makes of each frame, float32 [N, D]."""
        return _over_pictures(self._trunk, stretch)

    def read(self, stretch: Stretch) -> Reading:
        """Return scores, classes and embeddings."""
        embeddings = self.embeddings(stretch)
        places = window_places(stretch.pts_seconds, self._view)
        outputs = []
        for batch in _batches(len(stretch)):
            pts_seconds = stretch.pts_seconds[batch]
            heard = sound_inputs(stretch, pts_seconds, seconds=self._view.sound_seconds, bands=self._bands)
            outputs.append(self._head.run({"embeddings": embeddings[places[batch]], **heard}))
        whole = np.concatenate(outputs) if outputs else np.zeros((0, *self._head.output_shape), np.float32)
        classes = _classes(whole, self.class_names)
        return Reading(ad_scores(classes, self.class_names), classes, embeddings)


def window_places(pts_seconds: npt.NDArray[np.float64], view: ViewDescription) -> npt.NDArray[np.int64]:
    """Return for each of N frames the frames of its window, int [N, T]: the nearest in time to each offset."""
    return places_near(pts_seconds, view.offsets_seconds)


def ad_scores(classes: Floats, class_names: tuple[str, ...]) -> Floats:
    """Return the column of the ads, float32 [N]."""
    return np.ascontiguousarray(classes[:, class_names.index("ad")], np.float32)


def fit_size(images: Images, shape: tuple[int, ...]) -> Images:
    """Return pictures uint8 [n, H, W, 3] in the size that a network takes, by area averaging."""
    if images.shape[1:] == shape or not len(images):
        return images
    height, width = shape[:2]
    return np.stack([cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA) for image in images]).astype(
        np.uint8
    )


def _over_pictures(part: Part, stretch: Stretch) -> Floats:
    (shape,) = part.input_shapes.values()
    outputs = [
        part.run({"image": fit_size(stretch.images(batch.start, batch.stop), shape)})
        for batch in _batches(len(stretch))
    ]
    return np.concatenate(outputs) if outputs else np.zeros((0, *part.output_shape), np.float32)


def _batches(count: int) -> Iterator[slice]:
    for start in range(0, count, BATCH_SIZE):
        yield slice(start, min(start + BATCH_SIZE, count))


def _classes(outputs: Floats, class_names: tuple[str, ...]) -> Floats:
    """Return float32 [N, C] in the order of the names; one sigmoid [N, 1] is the probability of an ad."""
    if outputs.shape[1] > 1:
        return outputs
    columns = [outputs if name == "ad" else 1.0 - outputs for name in class_names]
    return np.concatenate(columns, axis=1)
