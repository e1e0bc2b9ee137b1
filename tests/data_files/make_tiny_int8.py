"""Makes tiny_int8.tflite, the int8 model that tests run where a real one would only be slower.

    .venv/ml/bin/python tests/data_files/make_tiny_int8.py

Input int8 [1, 8, 8, 3], output int8 [1, 1]: one convolution, global average, a sigmoid. It needs TensorFlow (15 s of
import), which is why the file, 2.3 kB, is kept beside this script.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf


def calibration() -> Iterator[list[np.ndarray]]:
    """Yield inputs that span the range of a preprocessed frame."""
    generator = np.random.default_rng(1)
    for _ in range(32):
        yield [generator.uniform(-1, 1, (1, 8, 8, 3)).astype(np.float32)]


def main() -> None:
    """Build, quantise and write the model."""
    tf.keras.utils.set_random_seed(1)
    model = tf.keras.Sequential(
        [
            tf.keras.layers.Input((8, 8, 3), batch_size=1),
            tf.keras.layers.Conv2D(4, 3, strides=2, activation="relu"),
            tf.keras.layers.GlobalAveragePooling2D(),
            tf.keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = calibration
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    Path(__file__).with_name("tiny_int8.tflite").write_bytes(converter.convert())


if __name__ == "__main__":
    main()
