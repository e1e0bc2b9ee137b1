"""What a single-frame network makes of a picture before it decides: the output of its last dense layer but one.

    part = embedding_part(Path("model.tflite"))       # or model.keras
    part.run({"image": images})                       # uint8 [n, 224, 224, 3] -> float32 [n, 256]

A ``.tflite`` file gives nothing but its output. So a copy of it in memory is made to end where its last fully connected
layer begins; weights and arithmetic stay as they are.
"""

from pathlib import Path

from ml_training.inference.flatbuffer import pack, unpack
from ml_training.inference.parts import KerasPart, Part, TflitePart
from ml_training.inference.scorer import load_interpreter, load_keras
from ml_training.utils.errors import ModelError

EMBEDDING_LAYER = "dense"


def embedding_part(path: Path, *, threads: int = 1) -> Part:
    """Load the part of a single-frame model that gives embeddings. Raises ModelError where there is no such layer."""
    if path.suffix == ".tflite":
        content = cut_at_last_layer(path.read_bytes(), path.name)
        return TflitePart(load_interpreter(path, content=content, threads=threads))
    import tf_keras

    model = load_keras(path)
    try:
        layer = model.get_layer(EMBEDDING_LAYER)
    except ValueError as error:
        raise ModelError(f"{path} has no layer {EMBEDDING_LAYER}: it gives no embeddings") from error
    return KerasPart(tf_keras.Model(model.input, layer.output))


def cut_at_last_layer(content: bytes, name: str) -> bytes:
    """Return a ``.tflite`` file that ends before its last fully connected layer. Raises ModelError without one."""
    from ai_edge_litert import schema_py_generated as schema

    model = unpack(content)
    graph = model.subgraphs[0]
    codes = [code.builtinCode for code in model.operatorCodes]
    dense = [
        place
        for place, operator in enumerate(graph.operators)
        if codes[operator.opcodeIndex] == schema.BuiltinOperator.FULLY_CONNECTED
    ]
    if len(dense) < 2:
        raise ModelError(f"{name} has no dense layer before its last one: it gives no embeddings")
    graph.outputs = [int(graph.operators[dense[-1]].inputs[0])]
    graph.operators = graph.operators[: dense[-1]]
    model.signatureDefs = []
    return pack(model)
