"""The manifest that travels with a model file: what it is, what it takes and gives, how to use it.

manifest = read_manifest("s3://adbreak/training/<run_id>/int8/model.tflite")
manifest.sha256, manifest.threshold, manifest.input.scale
"""

from datetime import datetime
from typing import Literal

from ml_training.cloud import storage
from ml_training.utils.errors import ModelError, ObjectNotFound
from ml_training.utils.records import Record

MANIFEST_NAME = "manifest.json"
GOLDEN_NAME = "golden.npz"


class TensorDescription(Record):
    """One input or output of a model file."""

    name: str
    shape: list[int]
    dtype: str
    scale: float
    zero_point: int


class Preprocessing(Record):
    """How a picture becomes the input."""

    resize: str
    input: str = "(x - 127) / 128, RGB"


class Golden(Record):
    """Inputs and the outputs that this file gave for them, in a file beside it."""

    inputs: str = GOLDEN_NAME
    n: int


class Manifest(Record):
    """What is known of a ``.tflite`` file."""

    version: Literal[1] = 1
    model_name: str
    sha256: str
    size_bytes: int
    quantization: str
    input: TensorDescription
    output: TensorDescription
    preprocessing: Preprocessing
    threshold: float  # the float model's, chosen on the validation split
    labels: list[str]
    dataset_id: str
    run_id: str
    mlflow_run_id: str | None
    code_version: str
    runtime: str
    golden: Golden
    parent_uri: str
    created_at: datetime


def read_manifest(model_uri: str) -> Manifest:
    """Read the manifest beside a ``.tflite`` file. Raises ModelError when there is none."""
    uri = f"{model_uri.rsplit('/', 1)[0]}/{MANIFEST_NAME}"
    try:
        return Manifest.model_validate(storage.read_json(uri))
    except ObjectNotFound as error:
        raise ModelError(f"{model_uri} has no {MANIFEST_NAME}: convert it with conversion.to_tflite") from error
