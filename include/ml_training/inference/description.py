"""What lies beside a model's files and says how to use them: parts, view, classes, threshold.

    description = read_description(Path("RUN/int8"))          # a folder, or one of the model's files in it
    description.parts[0].file, description.view.offsets_seconds, description.threshold

A converted model has ``manifest.json``, a float model ``model.json`` or the ``card.json`` of its training; all three
are read here, whatever their version.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from ml_training.utils.errors import ModelError
from ml_training.utils.records import Record

MANIFEST_NAME, DESCRIPTION_NAME, CARD_NAME = "manifest.json", "model.json", "card.json"
BESIDE = {
    ".tflite": (MANIFEST_NAME,),
    ".keras": (DESCRIPTION_NAME, CARD_NAME),
    "": (MANIFEST_NAME, DESCRIPTION_NAME, CARD_NAME),
}


class ViewDescription(Record):
    """Which media times around the judged frame a model sees, in seconds, and perhaps hears."""

    name: str = "frames"
    offsets_seconds: tuple[float, ...] = (0.0,)
    sound_seconds: tuple[float, float] | None = None


FRAME_VIEW = ViewDescription()
SEQUENCE_VIEWS = {
    "temporal": ViewDescription(name="windows", offsets_seconds=(-4.0, -3.0, -2.0, -1.0, 0.0)),
    "multimodal": ViewDescription(
        name="clips", offsets_seconds=tuple(float(second) for second in range(-5, 5)), sound_seconds=(-5.0, 5.0)
    ),
}


def view_of(architecture: str) -> ViewDescription:
    """Return what a model of this architecture sees."""
    return SEQUENCE_VIEWS.get(architecture, FRAME_VIEW)


class PartFile(Record):
    """One file of a model: the whole ``model``, or its ``trunk`` or ``head``."""

    name: Literal["model", "trunk", "head"]
    file: str
    sha256: str | None = None


class ModelDescription(Record):
    """How to use the files of one model; ``model.json`` holds it."""

    version: Literal[1] = 1
    architecture: str = "efficientnet_lite0"
    classes: tuple[str, ...] = ("content", "ad")
    threshold: float  # on the probability of an ad
    view: ViewDescription = FRAME_VIEW
    mfcc_bands: int | None = None  # of the sound, where the model hears any
    parts: list[PartFile]


def part_names(architecture: str) -> tuple[Literal["model", "trunk", "head"], ...]:
    """Return the parts that a model of this architecture is stored in."""
    return ("trunk", "head") if architecture in SEQUENCE_VIEWS else ("model",)


def read_description(path: Path) -> ModelDescription:
    """Read what lies beside a model. Raises ModelError when nothing does, or it is not what it should be."""
    folder, ending = (path, "") if path.is_dir() else (path.parent, path.suffix.replace(".json", ""))
    if ending not in BESIDE:
        raise ModelError(f"expected a .tflite or .keras file or their folder, received {path.name}")
    for name in BESIDE[ending]:
        file = folder / name
        if file.is_file():
            try:
                return READERS[name](json.loads(file.read_text()))
            except (ValueError, KeyError, TypeError, AttributeError, ValidationError) as error:
                raise ModelError(f"{file} does not describe a model: {error}") from error
    raise ModelError(f"{path} has none of {', '.join(BESIDE[ending])} beside it: train or convert it again")


def _from_manifest(content: dict[str, Any]) -> ModelDescription:
    """Read a manifest of version 1 (one file, one frame) or 2."""
    architecture = str(content.get("architecture", "efficientnet_lite0"))
    whole = [{"name": "model", "file": "model.tflite", "sha256": content["sha256"]}]
    parts = [{key: part[key] for key in ("name", "file", "sha256")} for part in content.get("parts", whole)]
    return ModelDescription(
        architecture=architecture,
        classes=content["labels"],
        threshold=content["threshold"],
        view=ViewDescription.model_validate(content["view"]) if "view" in content else FRAME_VIEW,
        mfcc_bands=content.get("mfcc_bands"),
        parts=[PartFile.model_validate(part) for part in parts],
    )


def _from_card(content: dict[str, Any]) -> ModelDescription:
    """Read the card that a training leaves."""
    model = content["config"]["model"]
    architecture = str(model["architecture"])
    return ModelDescription(
        architecture=architecture,
        classes=model.get("classes", ["content", "ad"]),
        threshold=content["threshold"],
        view=view_of(architecture),
        mfcc_bands=model.get("mfcc_bands") if view_of(architecture).sound_seconds else None,
        parts=[PartFile(name=name, file=f"{name}.keras") for name in part_names(architecture)],
    )


READERS: dict[str, Callable[[dict[str, Any]], ModelDescription]] = {
    MANIFEST_NAME: _from_manifest,
    DESCRIPTION_NAME: ModelDescription.model_validate,
    CARD_NAME: _from_card,
}
