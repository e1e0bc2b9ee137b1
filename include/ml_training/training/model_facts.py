"""What lies beside a model and says what it is: the dataset version it was made from, and its threshold.

    facts_of("s3://adbreak/training/<run_id>/float/model.keras").threshold
    folder_of("RUN/int8/model.tflite")                       # 'RUN/int8'

A model is named by its file, by its folder where it has several parts, or by an ensemble's YAML.
"""

from typing import NamedTuple

from ml_training.cloud import storage
from ml_training.inference.description import BESIDE, CARD_NAME, DESCRIPTION_NAME, MANIFEST_NAME
from ml_training.inference.models import ENSEMBLE_ENDINGS
from ml_training.training.model_card import beside
from ml_training.utils.errors import ModelError, ObjectNotFound

MODEL_FILES = (".keras", ".tflite", *ENSEMBLE_ENDINGS)
PARTS = ("model", "trunk", "head")
ORDER = (MANIFEST_NAME, CARD_NAME, DESCRIPTION_NAME)  # the last one says how to use a model, not what it was made from


class ModelFacts(NamedTuple):
    """What is known of a model; None where nothing is."""

    dataset_id: str | None = None
    threshold: float | None = None  # chosen on the validation split
    mlflow_run_id: str | None = None


def folder_of(uri: str) -> str:
    """Return the folder that a model is in, or is."""
    return (uri.rpartition("/")[0] or ".") if uri.endswith(MODEL_FILES) else uri.rstrip("/")


def same_model(one: str, other: str) -> bool:
    """Tell whether two addresses name one model: both the same, or one the folder of the other."""
    return one == other or (folder_of(one) == folder_of(other) and folder_of(one) in (one, other))


def version_of(uri: str) -> str:
    """Return what changes when a model's files do: by it stored predictions are told from those of another model."""
    names = [f"{part}{ending}" for part in PARTS for ending in (".keras", ".tflite")]
    files = [storage.join(folder_of(uri), name) for name in names]
    return " ".join(storage.stat(file).version for file in files if storage.exists(file))


def facts_of(uri: str) -> ModelFacts:
    """Return what is known of a model; nothing of an ensemble. Raises ModelError when nothing lies beside it."""
    if uri.endswith(ENSEMBLE_ENDINGS):
        return ModelFacts()
    ending = uri[uri.rindex(".") :] if uri.endswith(MODEL_FILES) else ""
    known = [name for name in ORDER if name in BESIDE[ending]]
    for name in known:
        try:
            found = storage.read_json(storage.join(folder_of(uri), name))
        except ObjectNotFound:
            continue
        return ModelFacts(**{field: found.get(field) for field in ModelFacts._fields})
    maker = "training.train writes it" if ending == ".keras" else "convert the model with conversion.to_tflite"
    raise ModelError(f"{uri} has no {known[0]} beside it: {maker}", uri=beside(uri, known[0]))
