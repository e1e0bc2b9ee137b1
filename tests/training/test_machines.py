"""Two replicas learn together what one learns alone.

TensorFlow takes the number of processors once a process, so this has one of its own.
"""

import subprocess
import sys

PROGRAM = """
import numpy as np
import tensorflow as tf
import tf_keras as keras

processors = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], processors)
from ml_training.training.learner import Learner, LearnerOptions

def learned(strategy):
    keras.utils.set_random_seed(1)
    with strategy.scope():
        image = keras.layers.Input((8, 8, 3))
        x = keras.layers.Dense(4, "relu")(keras.layers.GlobalAveragePooling2D()(image))
        model = keras.Model(image, keras.layers.Dense(1, "sigmoid")(x))
    learner = Learner(model, LearnerOptions(learning_rate=1e-2, steps=6, ema_decay=0.9), strategy=strategy)
    generator = np.random.default_rng(0)
    for _ in range(6):
        images = generator.integers(0, 255, (8, 8, 8, 3)).astype(np.uint8)
        learner.step(images, generator.integers(0, 2, (8, 1)).astype(np.float32), np.arange(8, dtype=np.float32))
    return [*model.get_weights(), *(average.numpy() for average in learner.average), np.array(learner.loss())]

alone = learned(tf.distribute.get_strategy())
together = learned(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]))
for one, other in zip(alone, together, strict=True):
    assert np.allclose(one, other, atol=1e-5), (one, other)
print("the same")
"""


def test_two_replicas_learn_what_one_learns():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False, timeout=240)
    assert done.stdout.strip() == "the same", done.stderr[-2000:]
