"""The temporal model's head: five frames one second apart, the last of which is judged.

    head = build_head(ModelSection(architecture="temporal"), embedding_size=256)
    head(embeddings)                    # float32 [N, 5, 256] -> [N, 1]

A trunk gives each frame its embedding once; the head sees those of the last five. So a device runs one trunk pass a
frame, not five, and trunk and head are two files. The LSTM (Hochreiter & Schmidhuber, 1997) is unrolled: a fused one
would keep its state between two runs of the converted file, and would not be int8 throughout.
"""

import tf_keras as keras
from tf_keras import layers

from ml_training.config.schema import ModelSection
from ml_training.data.pipeline.examples import WINDOWS
from ml_training.models.blocks import class_output

HEAD_UNITS = 64


def build_head(section: ModelSection, *, embedding_size: int) -> keras.Model:
    """Build LSTM -> Dense 64 ReLU -> Dropout -> output; input ``embeddings`` float32 [N, 5, embedding_size]."""
    embeddings = layers.Input((len(WINDOWS.offsets_seconds), embedding_size), name="embeddings")
    x = layers.Dropout(section.dropout, name="embedding_dropout")(embeddings)
    # implementation 1: one product for each gate. The converter sometimes leaves the split of a common one in floats.
    x = layers.LSTM(section.sequence_units, unroll=True, implementation=1, name="lstm")(x)
    x = layers.Dense(HEAD_UNITS, activation="relu", name="head_dense")(x)
    x = layers.Dropout(section.dropout, name="dropout")(x)
    return keras.Model(embeddings, class_output(x, section), name="temporal")
