"""The LiteRT runtime of a device, and the errors of what runs there.

    interpreter = import_runtime()(model_path="model.tflite", num_threads=1)

Runs on a device: standard library, numpy and ai_edge_litert only, Python 3.9 or newer, like all of this package.
"""

from __future__ import annotations

import sys
from typing import Any

NEEDED = {"numpy": "numpy", "ai_edge_litert": "ai-edge-litert"}


class RunnerError(Exception):
    """What keeps this device from measuring this model; ``kind`` is for programs, the message for people."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def tell(stage: str) -> None:
    """Say on standard error what is being done."""
    print(stage, file=sys.stderr, flush=True)


def import_runtime() -> Any:
    """Return the runtime's Interpreter class. Raises RunnerError that names the missing package."""
    try:
        import numpy  # noqa: F401
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        missing = NEEDED.get((error.name or "").split(".")[0], "ai-edge-litert")
        raise RunnerError("runtime_missing", f"cannot import {missing}: {error}") from error
    return Interpreter
