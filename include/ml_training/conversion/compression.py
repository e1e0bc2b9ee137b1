"""Networks whose files compress better: weights that are zero, or that have few different values.

    smaller = pruned(parent, 0.5, learn)          # half of the large layers' weights are zero
    smaller = clustered(parent, 16, learn)        # each large layer's weights have 16 different values

Magnitude pruning (Zhu & Gupta, arXiv:1710.01878) and weight sharing (Han et al., arXiv:1510.00149) by
tensorflow-model-optimization. ``learn`` trains the wrapped network in between: masks and clusters stay meanwhile.
Layers of few weights stay as they are: there is little to win, and the depthwise ones among them suffer most.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import tf_keras as keras

from ml_training.conversion.quantization import freeze_batch_norms

LARGE = 5_000  # weights of a layer that is worth it: the pointwise convolutions from stage 3 on, and the dense ones

Learn = Callable[[keras.Model], None]


def pruned(parent: keras.Model, share: float, learn: Learn) -> keras.Model:
    """Return a copy in which ``share`` (0 to 1) of the weights of each large layer are zero: the smallest ones."""
    from tensorflow_model_optimization.python.core.sparsity.keras import prune, pruning_schedule

    schedule = pruning_schedule.ConstantSparsity(share, begin_step=0, end_step=-1, frequency=1)
    model = _wrapped(parent, lambda layer: prune.prune_low_magnitude(layer, pruning_schedule=schedule))
    wrappers = [layer for layer in model.layers if hasattr(layer, "pruning_obj")]
    for layer in wrappers:
        layer.pruning_step.assign(0)
        layer.pruning_obj.conditional_mask_update()
    _apply_masks(wrappers)
    learn(model)
    _apply_masks(wrappers)  # the last step of learning moved weights off zero
    return prune.strip_pruning(model)


def clustered(parent: keras.Model, count: int, learn: Learn) -> keras.Model:
    """Return a copy in which the weights of each large layer have at most ``count`` different values."""
    from tensorflow_model_optimization.python.core.clustering.keras import cluster, cluster_config

    start = cluster_config.CentroidInitialization.KMEANS_PLUS_PLUS
    model = _wrapped(
        parent,
        lambda layer: cluster.cluster_weights(layer, number_of_clusters=count, cluster_centroids_init=start),
    )
    learn(model)
    model(np.zeros((1, *model.input_shape[1:]), np.float32), training=False)  # weights take their clusters' values
    return cluster.strip_clustering(model)


def _wrapped(parent: keras.Model, wrap: Callable[[Any], Any]) -> keras.Model:
    copy = keras.models.clone_model(parent)  # the library's wrappers take a layer's weights for themselves
    copy.set_weights(parent.get_weights())
    copy.trainable = True  # training leaves layers frozen, and the library takes those for layers without weights
    model = keras.models.clone_model(copy, clone_function=lambda layer: wrap(layer) if _is_large(layer) else layer)
    freeze_batch_norms(model)
    return model


def _is_large(layer: Any) -> bool:
    ours = type(layer) in (keras.layers.Conv2D, keras.layers.Dense)
    return ours and int(np.prod(layer.kernel.shape)) >= LARGE


def _apply_masks(wrappers: list[Any]) -> None:
    for layer in wrappers:
        layer.pruning_obj.weight_mask_op()
