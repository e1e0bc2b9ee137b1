"""Models in a bucket or a folder: stored whole, opened whole.

    save_parts(parts_of(network), describe(config.model, threshold), "s3://adbreak/training/RUN/float")
    with open_stored("s3://adbreak/training/RUN/int8") as model:         # inference.models.StretchScorer
        model.score(stretch)

A single-frame model is ``model.keras``; a temporal or multimodal one is ``trunk.keras`` and ``head.keras``. Beside them
lies ``model.json``, which says how to use them. An address may be the folder or one of the files in it.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml_training.cloud import storage
from ml_training.config.schema import ModelSection
from ml_training.inference.description import (
    BESIDE,
    DESCRIPTION_NAME,
    ModelDescription,
    PartFile,
    part_names,
    read_description,
    view_of,
)
from ml_training.inference.embedding import EMBEDDING_LAYER
from ml_training.inference.models import ENSEMBLE_ENDINGS, StretchScorer, open_model
from ml_training.inference.scorer import load_keras
from ml_training.utils.errors import ModelError, ObjectNotFound
from ml_training.utils.hashing import sha256_file

if TYPE_CHECKING:
    import tf_keras as keras  # brings TensorFlow, which a .tflite file does without

MODEL_ENDINGS = (".keras", ".tflite", ".json")


def describe(section: ModelSection, threshold: float) -> ModelDescription:
    """Return how a float model of this config is used."""
    view = view_of(section.architecture)
    return ModelDescription(
        architecture=section.architecture,
        classes=tuple(section.classes),
        threshold=threshold,
        view=view,
        mfcc_bands=section.mfcc_bands if view.sound_seconds else None,
        parts=[PartFile(name=name, file=f"{name}.keras") for name in part_names(section.architecture)],
    )


def save_parts(parts: "dict[str, keras.Model]", description: ModelDescription, folder: str) -> str:
    """Store networks by the names of the description's parts, and the description; returns the first file's address.

    ``parts`` is ``{"model": ...}`` or ``{"trunk": ..., "head": ...}``. The description is written last.
    """
    stored = []
    with tempfile.TemporaryDirectory() as temporary:
        for part in description.parts:
            path = Path(temporary) / part.file
            parts[part.name].save(path)
            storage.upload(path, storage.join(folder, part.file))
            stored.append(part.model_copy(update={"sha256": sha256_file(path)}))
    complete = description.model_copy(update={"parts": stored})
    storage.write_json(storage.join(folder, DESCRIPTION_NAME), complete.model_dump(mode="json"))
    return storage.join(folder, stored[0].file)


def model_folder(uri: str) -> str:
    """Return the folder of a model that is named by it or by one of its files."""
    folder, _, name = uri.rstrip("/").rpartition("/")
    return (folder or ".") if name.endswith(MODEL_ENDINGS) else uri.rstrip("/")


@contextmanager
def local_model(uri: str) -> Iterator[Path]:
    """Yield a local folder, or file in it, that ``open_model`` takes; what was copied is removed at the end.

    Raises ModelError when nothing describes a model there.
    """
    if not storage.is_s3(uri):
        yield Path(uri)
        return
    folder, name = model_folder(uri), uri.rsplit("/", 1)[-1]
    with tempfile.TemporaryDirectory() as temporary:
        local = Path(temporary)
        ending = Path(name).suffix if name.endswith((".keras", ".tflite")) else ""
        _fetch_description(folder, local, ending)
        description = read_description(local)
        for part in description.parts:
            storage.download(storage.join(folder, part.file), local / part.file)
        yield local


@contextmanager
def open_stored(uri: str, *, data_dir: str | None = None, threads: int = 1) -> Iterator[StretchScorer]:
    """Open a model at an address, or an ensemble by its YAML file; ``data_dir`` is where its registered members are.

    Raises ModelError and StorageError.
    """
    if uri.endswith(ENSEMBLE_ENDINGS):
        from ml_training.models.ensemble import open_ensemble

        with open_ensemble(uri, data_dir=data_dir, threads=threads) as ensemble:
            yield ensemble
        return
    with local_model(uri) as path:
        yield open_model(path, threads=threads)


def load_trunk(uri: str) -> "keras.Model":
    """Load what gives the embeddings of a float model: its ``trunk.keras``, or ``model.keras`` up to the dense layer.

    Raises ModelError when the folder holds neither.
    """
    folder = model_folder(uri)
    for name in ("trunk.keras", "model.keras"):
        try:
            with storage.local_copy(storage.join(folder, name)) as path:
                loaded = load_keras(path)
        except ObjectNotFound:
            continue
        if name == "trunk.keras":
            return loaded
        import tf_keras as keras

        return keras.Model(loaded.input, loaded.get_layer(EMBEDDING_LAYER).output, name=loaded.name)
    raise ModelError(f"{folder} has no trunk.keras and no model.keras: expected the folder of a trained float model")


def load_parts(uri: str) -> dict[str, Any]:
    """Load the networks of a float model by the names of its parts. Raises ModelError."""
    folder = model_folder(uri)
    with local_model(folder) as path:
        description = read_description(path)
        return {part.name: load_keras(path / part.file) for part in description.parts}


def _fetch_description(folder: str, local: Path, ending: str) -> None:
    names: Sequence[str] = BESIDE[ending]
    for name in names:
        try:
            storage.download(storage.join(folder, name), local / name)
            return
        except ObjectNotFound:
            continue
    raise ModelError(f"{folder} has none of {', '.join(names)}: train or convert the model again")
