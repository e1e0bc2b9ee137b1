"""The card that lies beside a float model: what made it, and the threshold to use it with.

card = read_card("s3://adbreak/training/<run_id>/float/model.keras")
card.dataset_id, card.threshold
"""

from datetime import datetime
from typing import Literal

from pydantic import Field

from ml_training.cloud import storage
from ml_training.config.schema import TrainingConfig
from ml_training.utils.errors import ModelError, ObjectNotFound
from ml_training.utils.records import Record

CARD_NAME = "card.json"
MODEL_FILES = (".keras", ".tflite")


class ModelCard(Record):
    """What is known of a trained float model."""

    version: Literal[1] = 1
    model_name: str
    run_id: str
    dataset_id: str
    config: TrainingConfig
    code_version: str
    threshold: float  # chosen on the validation split
    validation_average_precision: float
    mlflow_run_id: str | None
    seconds: float
    created_at: datetime
    resources: dict[str, float | int | None] = Field(
        default_factory=dict
    )  # what it used, as training.resources sums it up


def beside(uri: str, name: str) -> str:
    """Return the address of a file in the folder of ``uri``."""
    folder, separator, _ = uri.rpartition("/")
    return f"{folder}{separator}{name}"


def read_card(model_uri: str) -> ModelCard:
    """Read the card beside a ``.keras`` file, or in a model's folder. Raises ModelError when there is none."""
    uri = beside(model_uri, CARD_NAME) if model_uri.endswith(MODEL_FILES) else storage.join(model_uri, CARD_NAME)
    try:
        return ModelCard.model_validate(storage.read_json(uri))
    except ObjectNotFound as error:
        raise ModelError(f"{model_uri} has no {CARD_NAME} beside it: it was not written by training.train") from error
