"""Makes tiny_trunk.tflite and tiny_head.tflite: a model of two files, for tests where a real one would only be slower.

    .venv/ml/bin/python tests/data_files/make_tiny_parts.py

The trunk takes int8 [1, 8, 8, 3] and gives [1, 4]; the head takes windows of three of those, sound [1, 6, 2] and
whether there is any [1, 1], and gives [1, 1]. It needs TensorFlow, which is why the files, 4 kB, are kept here.
"""

from pathlib import Path

import numpy as np
import tensorflow as tf
import tf_keras as keras
from ml_training.conversion.files import to_int8

layers = keras.layers
HERE = Path(__file__).parent


def main() -> None:
    """Build, quantise and write both."""
    tf.random.set_seed(7)
    numbers = np.random.default_rng(7)
    picture = keras.Input((8, 8, 3), name="image")
    seen = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, strides=2, activation="relu")(picture))
    pictures = [{"image": numbers.uniform(-1, 1, (8, 8, 3)).astype(np.float32)} for _ in range(16)]
    (HERE / "tiny_trunk.tflite").write_bytes(to_int8(keras.Model(picture, seen), pictures))
    inputs = {"embeddings": (3, 4), "sound": (6, 2), "has_sound": (1,)}
    tensors = [keras.Input(shape, name=name) for name, shape in inputs.items()]
    joined = layers.Concatenate()([layers.Flatten()(tensors[0]), layers.Flatten()(tensors[1]), tensors[2]])
    head = keras.Model(tensors, layers.Dense(1, activation="sigmoid")(joined))
    heard = [
        {name: numbers.uniform(0, 1, shape).astype(np.float32) for name, shape in inputs.items()} for _ in range(16)
    ]
    (HERE / "tiny_head.tflite").write_bytes(to_int8(head, heard))


if __name__ == "__main__":
    main()
