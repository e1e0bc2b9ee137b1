"""Names of models and of their versions.

    name = parse_model_name("show-specific-friends")         # model type 'show-specific', variant 'friends'
    version = parse_version("v1.2.0")
    f"{name}-v{version.next('minor')}"                        # 'show-specific-friends-v1.3.0'

Major: the input or the architecture changed. Minor: retrained or better. Patch: a fix for specific cases. The first
version of a name is 1.0.0.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

from ml_training.utils.errors import UsageError

MODEL_TYPES = ("base", "sports", "show-specific", "network")
VARIANT = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
VERSION = re.compile(r"v?(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})")
INTERFACE = ("architecture", "preprocessing", "labels")  # of the manifest, besides the shapes of input and output

Change = Literal["major", "minor", "patch"]


class ModelName(NamedTuple):
    """What a registered model is called: ``base-general``."""

    model_type: str
    variant: str

    def __str__(self) -> str:
        return f"{self.model_type}-{self.variant}"


class SemanticVersion(NamedTuple):
    """``major.minor.patch``; compares as a tuple does."""

    major: int
    minor: int
    patch: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"

    def next(self, change: Change) -> "SemanticVersion":
        """Return the version that follows after a change of this size."""
        if change == "major":
            return SemanticVersion(self.major + 1, 0, 0)
        if change == "minor":
            return SemanticVersion(self.major, self.minor + 1, 0)
        return SemanticVersion(self.major, self.minor, self.patch + 1)


FIRST_VERSION = SemanticVersion(1, 0, 0)


def parse_model_name(text: str) -> ModelName:
    """Split ``sports-nfl`` into its parts. Raises UsageError that says what a name looks like."""
    for model_type in MODEL_TYPES:
        variant = text.removeprefix(model_type + "-")
        if variant != text and VARIANT.fullmatch(variant):
            return ModelName(model_type, variant)
    raise UsageError(
        f"expected a model name such as base-general: one of {', '.join(MODEL_TYPES)}, then '-' and a variant of "
        f"lower-case letters and digits; received {text!r}"
    )


def parse_version(text: str) -> SemanticVersion:
    """Read ``1.2.0`` or ``v1.2.0``. Raises UsageError."""
    match = VERSION.fullmatch(text)
    if match is None:
        raise UsageError(f"expected a version such as 1.2.0, received {text!r}")
    return SemanticVersion(*(int(part) for part in match.groups()))


def full_name(name: ModelName | str, version: SemanticVersion | str) -> str:
    """Return the whole name of one version: ``base-general-v1.2.0``."""
    return f"{name}-v{version}"


def parse_full_name(text: str) -> tuple[ModelName, SemanticVersion]:
    """Split ``base-general-v1.2.0``; the opposite of ``full_name``. Raises UsageError."""
    name, separator, version = text.rpartition("-v")
    if not separator:
        raise UsageError(f"expected a name with its version such as base-general-v1.2.0, received {text!r}")
    return parse_model_name(name), parse_version(version)


def change_between(old: Mapping[str, Any], new: Mapping[str, Any]) -> Change:
    """Return ``major`` when the two manifests promise different inputs, outputs or networks, else ``minor``."""
    return "minor" if _interface(old) == _interface(new) else "major"


def _interface(manifest: Mapping[str, Any]) -> list[Any]:
    tensors = [manifest.get(side, {}) for side in ("input", "output")]
    shapes = [(tensor.get("shape"), tensor.get("dtype")) for tensor in tensors]
    return [shapes, *(manifest.get(key) for key in INTERFACE)]


def next_version(known: Iterable[SemanticVersion], change: Change) -> SemanticVersion:
    """Return the version after the highest of ``known``; 1.0.0 when there is none."""
    highest = max(known, default=None)
    return FIRST_VERSION if highest is None else highest.next(change)
