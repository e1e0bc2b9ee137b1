"""Makes clip_trunk_int8.tflite and clip_head_int8.tflite, a model of two files that looks around a frame and listens.

    .venv/ml/bin/python tests/data_files/make_clip_int8.py

Trunk: int8 [1, 8, 8, 3] -> int8 [1, 4], mean colours through a dense layer. Head: embeddings [1, 10, 4], sound
[1, 998, 40] and has_sound [1, 1] -> int8 [1, 1]; each place of the window weighs differently: a wrong one shows.
It needs TensorFlow (15 s of import), which is why the files are kept beside this script.
"""

from pathlib import Path

import numpy as np
import tf_keras as keras
from ml_training.conversion.files import to_int8

DRAW = np.random.default_rng(1)
HERE = Path(__file__).parent
layers = keras.layers


def examples(shapes: dict[str, tuple[int, ...]]) -> list[dict[str, np.ndarray]]:
    """Return inputs at many levels, so that the ranges are wide."""
    drawn = []
    for _ in range(64):
        levels = {name: DRAW.uniform(-1, 1) for name in shapes}
        noise = {name: DRAW.uniform(-0.3, 0.3, shape) for name, shape in shapes.items()}
        drawn.append({name: (levels[name] + noise[name]).astype(np.float32) for name in shapes})
    return drawn


def main() -> None:
    """Build, quantise and write both."""
    keras.utils.set_random_seed(1)
    wide = keras.initializers.RandomNormal(stddev=1.0, seed=1)  # so that sound counts
    picture = keras.Input((8, 8, 3), name="image")
    trunk = keras.Model(picture, layers.Dense(4)(layers.GlobalAveragePooling2D()(picture)))
    (HERE / "clip_trunk_int8.tflite").write_bytes(to_int8(trunk, examples({"image": (8, 8, 3)})))
    shapes = {"embeddings": (10, 4), "sound": (998, 40), "has_sound": (1,)}
    frames, sound, flag = (keras.Input(shape, name=name) for name, shape in shapes.items())
    heard = layers.Multiply()(
        [
            layers.Dense(8, kernel_initializer=wide)(layers.GlobalAveragePooling1D()(sound)),
            layers.Dense(8, kernel_initializer=wide)(flag),
        ]
    )
    both = layers.Concatenate()([layers.Flatten()(frames), heard])
    head = keras.Model([frames, sound, flag], layers.Dense(1, "sigmoid", kernel_initializer=wide)(both))
    (HERE / "clip_head_int8.tflite").write_bytes(to_int8(head, examples(shapes)))


if __name__ == "__main__":
    main()
