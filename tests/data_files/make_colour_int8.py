"""Makes colour_int8.tflite, an int8 model that calls red pictures ads and blue ones content.

    .venv/ml/bin/python tests/data_files/make_colour_int8.py

Input int8 [1, 8, 8, 3], output int8 [1, 1]: a global average and one dense unit whose weights are set by hand. It needs
TensorFlow (15 s of import), which is why the file is kept beside this script.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf


def calibration() -> Iterator[list[np.ndarray]]:
    """Yield plain pictures that span the range of a preprocessed frame."""
    generator = np.random.default_rng(1)
    for _ in range(64):
        yield [np.ones((1, 8, 8, 3), np.float32) * generator.uniform(-1, 1, 3).astype(np.float32)]


def main() -> None:
    """Build, quantise and write the model."""
    inputs = tf.keras.layers.Input((8, 8, 3), batch_size=1, name="image")
    dense = tf.keras.layers.Dense(1, activation="sigmoid")
    model = tf.keras.Model(inputs, dense(tf.keras.layers.GlobalAveragePooling2D()(inputs)))
    dense.set_weights([np.array([[6.0], [0.0], [-6.0]], np.float32), np.zeros(1, np.float32)])
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = calibration
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    Path(__file__).with_name("colour_int8.tflite").write_bytes(converter.convert())


if __name__ == "__main__":
    main()
