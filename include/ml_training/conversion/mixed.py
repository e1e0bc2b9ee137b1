"""Int8 files in which some layers stay in float32, and what each layer loses by int8.

    content = keep_in_float(model, examples, ["stem_conv"])
    for layer in layer_losses(model, examples): layer.name, layer.rms_steps

Both stand on TensorFlow's QuantizationDebugger, which runs each operator of a calibrated network in float and in int8
on the same inputs. The converter fuses layers into one operator, whose name holds those of all of them.
"""

import csv
import difflib
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tf_keras as keras

from ml_training.conversion.files import make_converter, representative_dataset
from ml_training.inference.flatbuffer import operators, unpack
from ml_training.utils.errors import UsageError

Array = npt.NDArray[Any]
Examples = Sequence[Mapping[str, Array]]


class LayerLoss(NamedTuple):
    """What one operator loses: int8 against float, on the same inputs."""

    name: str  # of its layers, joined by +
    operator: str  # such as CONV_2D
    rms_steps: float  # root of the mean square of the difference, in quantization steps; rounding alone: 0.29
    rms: float  # the same in the output's own units
    largest: float


def keep_in_float(model: keras.Model, examples: Examples, layers: Sequence[str]) -> bytes:
    """Return an int8 file in which the operators of ``layers`` compute in float32.

    Inputs and output are int8 unless such a layer is the first or the last. Raises UsageError for a layer that the
    network has not, or that the converter left no operator of.
    """
    import tensorflow as tf
    from tensorflow.lite.python import util

    require_layers([model], layers)
    debugger = _debugger(model, examples)
    nodes = [
        operator.output
        for operator in operators(unpack(bytes(debugger.calibrated_model)))
        if set(layers_of(operator.output)) & set(layers)
    ]
    missing = set(layers) - {name for node in nodes for name in layers_of(node)}
    if missing:
        raise UsageError(f"{', '.join(sorted(missing))} computes nothing of its own in the file: name another layer")
    debugger.options = tf.lite.experimental.QuantizationDebugOptions(denylisted_nodes=nodes)
    content = bytes(debugger.get_nondebug_quantized_model())
    return bytes(util.modify_model_io_type(content, tf.int8, tf.int8))


def layer_losses(model: keras.Model, examples: Examples) -> list[LayerLoss]:
    """Return what each operator of the int8 file loses, in the network's order."""
    debugger = _debugger(model, examples)
    debugger.run()
    text = io.StringIO()
    debugger.layer_statistics_dump(text)
    text.seek(0)
    return [_loss(row) for row in csv.DictReader(text)]


def layers_of(name: str) -> list[str]:
    """Return the layers in an operator's name: ``net/stem_relu/Relu6;net/stem_conv/Conv2D`` has two."""
    paths = [part.split("/") for part in name.split(";")]
    return list(dict.fromkeys(path[1] if len(path) > 1 else path[0] for path in paths))


def require_layers(models: Iterable[keras.Model], layers: Sequence[str]) -> None:
    """Raise UsageError when none of the networks has one of the layers."""
    known = [layer.name for model in models for layer in model.layers]
    for name in layers:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            told = f", perhaps {near[0]}" if near else ""
            raise UsageError(f"the network has no layer {name}{told}: quantization_debug lists them")


def _debugger(model: keras.Model, examples: Examples) -> Any:
    import tensorflow as tf

    return tf.lite.experimental.QuantizationDebugger(
        converter=make_converter(model, "int8", examples), debug_dataset=representative_dataset(model, examples)
    )


def _loss(row: Mapping[str, str]) -> LayerLoss:
    scale, rms = float(row["scale"]), float(np.sqrt(float(row["mean_squared_error"])))
    return LayerLoss(
        name="+".join(layers_of(row["tensor_name"])),
        operator=row["op_name"],
        rms_steps=rms / scale if scale else 0.0,
        rms=rms,
        largest=float(row["max_abs_error"]),
    )
