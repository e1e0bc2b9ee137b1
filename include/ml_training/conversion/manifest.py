"""The manifest that travels with a model's files: what they are, what they take and give, how to use them.

manifest = read_manifest("s3://adbreak/training/<run_id>/int8/model.tflite")
manifest.sha256, manifest.threshold, [part.file for part in manifest.parts], manifest.view.offsets_seconds

Version 2 knows models of several files. A manifest of version 1 is read as one of version 2 with a single part.
"""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field, model_validator

from ml_training.cloud import storage
from ml_training.inference.description import MANIFEST_NAME, ViewDescription
from ml_training.models.stored import model_folder
from ml_training.utils.errors import ModelError, ObjectNotFound
from ml_training.utils.records import Record

GOLDEN_NAME = "golden.npz"
PartName = Literal["model", "trunk", "head"]

__all__ = ["GOLDEN_NAME", "MANIFEST_NAME", "Manifest", "PartName", "read_manifest"]


class TensorDescription(Record):
    """One input or output of a model file."""

    name: str
    shape: list[int]
    dtype: str
    scale: float
    zero_point: int


class PartDescription(Record):
    """One file of a model."""

    name: PartName
    file: str
    sha256: str
    size_bytes: int
    inputs: list[TensorDescription]
    output: TensorDescription


class Preprocessing(Record):
    """How a picture, and perhaps sound, becomes the input."""

    resize: str
    input: str = "(x - 127) / 128, RGB"
    sound: str | None = None


class Golden(Record):
    """Inputs and the outputs that these files gave for them, in a file beside them.

    ``inputs`` and ``outputs`` are the first part's; those of a head are ``head_<input>`` and ``head_outputs``.
    """

    inputs: str = GOLDEN_NAME
    n: int


class Manifest(Record):
    """What is known of a converted model."""

    version: Literal[2] = 2
    model_name: str
    architecture: str = "efficientnet_lite0"
    sha256: str  # of the first part's file
    size_bytes: int  # of all parts
    quantization: str  # int8-qat, int8-ptq, int16-ptq, float16 or float32
    keep_float: list[str] = Field(default_factory=list)  # layers that compute in float32 all the same
    calibration_id: str | None = None  # of the set of frames that the ranges come from
    input: TensorDescription  # of the first part: a picture
    output: TensorDescription  # of the last part: the scores
    parts: list[PartDescription]
    view: ViewDescription = ViewDescription()
    mfcc_bands: int | None = None
    preprocessing: Preprocessing
    threshold: float  # the float model's, chosen on the validation split
    labels: list[str]
    dataset_id: str
    run_id: str
    mlflow_run_id: str | None
    code_version: str
    git_commit: str | None = None
    runtime: str  # that made the golden outputs
    minimum_runtime: str | None = None  # the oldest ai-edge-litert that runs these files
    golden: Golden
    parent_uri: str
    created_at: datetime

    @model_validator(mode="before")
    @classmethod
    def _from_version_1(cls, content: Any) -> Any:
        if not isinstance(content, dict) or content.get("version") != 1:
            return content
        whole = {key: content[key] for key in ("sha256", "size_bytes", "output")}
        part = {"name": "model", "file": "model.tflite", "inputs": [content["input"]], **whole}
        return {**content, "version": 2, "parts": [part]}


def read_manifest(model_uri: str) -> Manifest:
    """Read the manifest beside a ``.tflite`` file, or in a folder. Raises ModelError when there is none."""
    try:
        return Manifest.model_validate(storage.read_json(storage.join(model_folder(model_uri), MANIFEST_NAME)))
    except ObjectNotFound as error:
        raise ModelError(f"{model_uri} has no {MANIFEST_NAME}: convert it with conversion.to_tflite") from error
