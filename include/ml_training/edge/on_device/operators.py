"""How long each kind of operator takes, from the profiler in LiteRT's C interface.

    operators("model.tflite")                # {"Convolution (NHWC, QC8) IGEMM": 0.53, ...}: milliseconds a frame

The wheel's Python interface has no profiler; the library beside it has one (litert/c/litert_profiler.h). Another
version of the runtime may have another interface, so the device runner calls this in a process of its own.
"""

from __future__ import annotations

import ctypes
import os
import re
from importlib import util
from typing import Any

from ml_training.edge.on_device.runtime import RunnerError

PROFILED_RUNS, WARMUP_RUNS = 30, 5
CPU = 1  # LiteRtHwAccelerators of litert/c/litert_common.h
LONGEST_SHAPE = 8
ROW = re.compile(rb"^(\S.*?) +\d+ +[\d.]+ +\d+ +\d+ +(\d+)$", re.MULTILINE)  # name count avg min max total


class Library:
    """LiteRT's C interface: what it answers beside its handles is a RunnerError."""

    def __init__(self) -> None:
        found = util.find_spec("ai_edge_litert")
        if found is None or not found.submodule_search_locations:
            raise RunnerError("no_profile", "ai-edge-litert is not installed")
        try:
            self._library = ctypes.CDLL(os.path.join(found.submodule_search_locations[0], "libLiteRt.so"))
        except OSError as error:
            raise RunnerError("no_profile", f"the runtime has no C library: {error}") from error

    def call(self, name: str, *arguments: Any) -> None:
        """Call a function that answers with a status."""
        try:
            status = getattr(self._library, name)(*arguments)
        except AttributeError as error:
            raise RunnerError("no_profile", f"the runtime has no {name}") from error
        if status:
            raise RunnerError("no_profile", f"{name} answers {status}")

    def made(self, name: str, *arguments: Any) -> ctypes.c_void_p:
        """Call a function whose last argument receives a handle; return the handle."""
        handle = ctypes.c_void_p()
        self.call(name, *arguments, ctypes.byref(handle))
        return handle


def operators(path: str) -> dict[str, float]:
    """Return the milliseconds that each kind of operator takes a frame, the slowest first.

    Raises RunnerError where the runtime has no profiler, or another one.
    """
    library = Library()
    environment, options = library.made("LiteRtCreateEnvironment", 0, None), library.made("LiteRtCreateOptions")
    model = library.made("LiteRtCreateModelFromFile", environment, path.encode())
    library.call("LiteRtSetOptionsHardwareAccelerators", options, CPU)
    settings = ctypes.create_string_buffer(b"enable_profiling = true\n")
    release = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda pointer: None)  # Python keeps the settings
    opaque = library.made("LiteRtCreateOpaqueOptions", b"runtime_options_string", settings, release)
    library.call("LiteRtAddOpaqueOptions", options, opaque)
    compiled = library.made("LiteRtCreateCompiledModel", environment, model, options)
    profiler = library.made("LiteRtCompiledModelGetProfiler", compiled)
    signature = library.made("LiteRtGetModelSignature", model, ctypes.c_size_t(0))
    buffers = [*_buffers(library, "Input", environment, compiled, signature)]
    buffers += _buffers(library, "Output", environment, compiled, signature)
    for number in range(WARMUP_RUNS + PROFILED_RUNS):
        if number == WARMUP_RUNS:
            library.call("LiteRtStartProfiler", profiler)
        library.call("LiteRtRunCompiledModel", compiled, ctypes.c_size_t(0), *buffers)
    library.call("LiteRtStopProfiler", profiler)
    summary = ctypes.c_char_p()
    library.call("LiteRtGetProfileSummary", profiler, compiled, ctypes.byref(summary))
    return read_summary(summary.value or b"")


def _buffers(library: Library, kind: str, environment: Any, compiled: Any, signature: Any) -> tuple[Any, Any]:
    """Return how many inputs or outputs there are, and a buffer for each; a batch of any size becomes one."""
    count, first = ctypes.c_size_t(), ctypes.c_size_t(0)
    library.call(f"LiteRtGetNumSignature{kind}s", signature, ctypes.byref(count))
    handles = (ctypes.c_void_p * count.value)()
    for place in range(count.value):
        tensor = library.made(f"LiteRtGetSignature{kind}TensorByIndex", signature, ctypes.c_size_t(place))
        described = (ctypes.c_int32 * 64)()  # LiteRtRankedTensorType: element type, rank, eight sides, ...
        library.call("LiteRtGetRankedTensorType", tensor, described)
        for side in range(2, 2 + LONGEST_SHAPE):
            described[side] = 1 if described[side] == -1 else described[side]
        needs = (f"LiteRtGetCompiledModel{kind}BufferRequirements", compiled, first, ctypes.c_size_t(place))
        create = "LiteRtCreateManagedTensorBufferFromRequirements"
        handles[place] = library.made(create, environment, described, library.made(*needs)).value
    return count, handles


def read_summary(summary: bytes) -> dict[str, float]:
    """Return milliseconds a frame by kind of operator, from the table of the delegate's operators (microseconds)."""
    found = {name.decode().replace("Delegate/", ""): int(total) for name, total in ROW.findall(summary)}
    slowest = sorted(found.items(), key=lambda item: -item[1])
    return {name: total / PROFILED_RUNS / 1000 for name, total in slowest}
