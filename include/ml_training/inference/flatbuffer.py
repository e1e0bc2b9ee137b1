"""A ``.tflite`` file as objects that can be looked through and changed, and back as a file.

    model = unpack(content)
    model.subgraphs[0].outputs = [model.subgraphs[0].operators[-2].outputs[0]]
    content = pack(model)
    for operator in operators(model): operator.name, operator.activations          # 'CONV_2D', {'conv1': 'int8'}

Weights lie at multiples of 16 bytes, as the converter's own writer has them; some processors read nothing else.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import flatbuffers
import numpy as np

IDENTIFIER = b"TFL3"
BUFFER_ALIGNMENT = 16


class Operator(NamedTuple):
    """One operator of a file."""

    name: str  # such as CONV_2D
    output: str  # the name of its first output
    activations: dict[str, str]  # tensors that flow in and out, by name: their type


class _AlignedBuilder(flatbuffers.Builder):
    """Puts vectors of bytes, which are the weights, at multiples of 16."""

    def StartVector(self, elemSize: int, numElems: int, alignment: int) -> Any:
        return super().StartVector(elemSize, numElems, BUFFER_ALIGNMENT if elemSize == 1 else alignment)


def unpack(content: bytes) -> Any:
    """Return the ``ModelT`` of a file."""
    from ai_edge_litert import schema_py_generated as schema

    return schema.ModelT.InitFromPackedBuf(content, 0)


def pack(model: Any) -> bytes:
    """Return the file of a ``ModelT``."""
    size = sum(len(buffer.data) for buffer in model.buffers if buffer.data is not None)
    builder = _AlignedBuilder(size + size // 8 + 65_536)
    builder.Finish(model.Pack(builder), file_identifier=IDENTIFIER)
    return bytes(builder.Output())


def operators(model: Any) -> Iterator[Operator]:
    """Yield the operators of all subgraphs, in order; shapes, axes, biases and constant weights are no activations."""
    codes = builtin_names()
    for graph in model.subgraphs:
        constants = {place for place, tensor in enumerate(graph.tensors) if _is_constant(model, tensor)}
        for operator in graph.operators:
            code = model.operatorCodes[operator.opcodeIndex]
            inputs = [int(place) for place in operator.inputs if place >= 0 and int(place) not in constants]
            places = [*inputs, *(int(place) for place in operator.outputs)]
            yield Operator(
                codes[max(code.builtinCode, code.deprecatedBuiltinCode)],
                text_of(graph.tensors[int(operator.outputs[0])].name),
                {text_of(graph.tensors[place].name): tensor_type(graph.tensors[place]) for place in places},
            )


@lru_cache(maxsize=1)
def builtin_names() -> dict[int, str]:
    """Return the names of the runtime's operators by number."""
    from ai_edge_litert import schema_py_generated as schema

    return {number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}


def tensor_type(tensor: Any) -> str:
    """Return the type of a ``TensorT``, such as ``int8``."""
    return _type_names()[tensor.type].lower()


def text_of(value: Any) -> str:
    """Return a name, which the file keeps as bytes."""
    return value.decode() if isinstance(value, bytes) else str(value or "")


def buffer_named(model: Any, name: str) -> bytes | None:
    """Return the bytes of a metadata entry; None when the file has none of this name."""
    for entry in model.metadata or []:
        if text_of(entry.name) == name:
            data = model.buffers[entry.buffer].data
            return b"" if data is None else np.asarray(data, np.uint8).tobytes()
    return None


@lru_cache(maxsize=1)
def _type_names() -> dict[int, str]:
    from ai_edge_litert import schema_py_generated as schema

    return {number: name for name, number in vars(schema.TensorType).items() if isinstance(number, int)}


def _is_constant(model: Any, tensor: Any) -> bool:
    data = model.buffers[tensor.buffer].data
    return data is not None and len(data) > 0
