"""What a step computes around the network: scaled inputs before it, the loss behind it; all TensorFlow.

losses = example_losses(targets, model(sized(prepared(images), model)))       # float32 [B]
"""

from typing import Any

import tensorflow as tf
import tf_keras as keras


def example_losses(targets: Any, outputs: Any) -> Any:
    """Return the cross-entropy of each example, float32 [B]; targets and outputs are [B, 1] or [B, classes]."""
    targets = tf.cast(targets, tf.float32)
    if outputs.dtype != tf.float32:
        outputs = tf.cast(outputs, tf.float32)
    if outputs.shape[-1] == 1:
        return tf.reduce_mean(keras.backend.binary_crossentropy(targets, outputs), axis=-1)
    return keras.backend.categorical_crossentropy(targets, outputs)


def prepared(array: Any) -> Any:
    """Scale bytes as ``inference.scorer.scale`` does; give other numbers as float32."""
    numbers = tf.cast(array, tf.float32)
    return (numbers - 127.0) / 128.0 if array.dtype == tf.uint8 else numbers


def sized(images: Any, model: keras.Model) -> Any:
    """Resize pictures [B, S, S, 3] to the input of ``model`` by area averaging, where they have another size.

    Other inputs stay as they are.
    """
    if isinstance(images, dict) or len(images.shape) != 4 or images.shape[1] == model.input_shape[1]:
        return images
    return tf.image.resize(images, model.input_shape[1:3], method="area")
