"""Learning from another model: its scores as targets, its embeddings as a guide.

    teacher = Teacher(load_keras(path), share=0.7, embedding_weight=1.0)
    losses = teacher.losses(teacher.student(model), images, targets)        # float32 [B]

The teacher looks at each picture as it was changed for the student, so there is no end of examples (Beyer et al., "A
good teacher is patient and consistent", arXiv:2106.05237). Beside the scores the student's embedding (the layer
``dense``) is drawn to the teacher's, by the distance of the two as unit vectors: a score says one number of a picture,
an embedding hundreds (Romero et al., arXiv:1412.6550).
"""

from typing import Any

import tensorflow as tf
import tf_keras as keras

from ml_training.training.losses import example_losses, sized
from ml_training.utils.errors import ModelError

EMBEDDING = "dense"


class Teacher:
    """A model that does not learn, and how much its word counts."""

    def __init__(self, model: keras.Model, *, share: float, embedding_weight: float) -> None:
        model.trainable = False
        self.input_size = int(model.input_shape[1])
        self._classes = int(model.output_shape[-1])
        self._model = with_embedding(model)
        self._share, self._embedding_weight = share, embedding_weight

    def student(self, model: keras.Model) -> keras.Model:
        """Return ``model`` with its embedding as a second output. Raises ModelError when it cannot learn from this."""
        if int(model.output_shape[-1]) != self._classes:
            raise ModelError(
                f"the teacher tells {max(2, self._classes)} classes apart, the student "
                f"{max(2, int(model.output_shape[-1]))}: give both configs the same model.classes"
            )
        student = with_embedding(model)
        theirs, ours = (int(one.output_shape[1][-1]) for one in (self._model, student))
        if self._embedding_weight and theirs != ours:
            raise ModelError(
                f"the teacher's embedding has {theirs} numbers, the student's {ours}: give both configs the same "
                "model.dense_units, or training.teacher.embedding_weight 0"
            )
        return student

    def losses(self, student: keras.Model, images: Any, targets: Any) -> Any:
        """Return the loss of each example, float32 [B], for pictures [B, S, S, 3] that are scaled."""
        scores, embeddings = self._model(sized(images, self._model), training=False)
        outputs, learned = student(sized(images, student), training=True)
        mixed = self._share * tf.cast(scores, tf.float32) + (1.0 - self._share) * tf.cast(targets, tf.float32)
        losses = example_losses(tf.stop_gradient(mixed), outputs)
        if not self._embedding_weight:
            return losses
        distance = _unit(learned) - tf.stop_gradient(_unit(embeddings))
        return losses + self._embedding_weight * tf.reduce_sum(tf.square(distance), axis=-1)


def with_embedding(model: keras.Model) -> keras.Model:
    """Return a model of the same layers that gives its output and its embedding. Raises ModelError without one."""
    try:
        return keras.Model(model.input, [model.output, model.get_layer(EMBEDDING).output])
    except ValueError as error:
        raise ModelError(f"{model.name} has no layer {EMBEDDING!r}: only a model of single frames can teach") from error


def _unit(vectors: Any) -> Any:
    return tf.math.l2_normalize(tf.cast(vectors, tf.float32), axis=-1, epsilon=1e-6)
