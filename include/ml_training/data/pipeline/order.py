"""In which order, and how often, an epoch shows its examples: a function of seed and epoch alone.

    order = epoch_order(groups, weights, Shuffling(seed=1, groups_at_once=64), epoch=3)    # int64 [N], example numbers

Examples lie in shards that have to be read whole, so they are not drawn from all shards at once: an epoch draws an
order of the shards, and mixes the examples of ``groups_at_once`` shards at a time. Any step of any epoch can be found
without going through those before it, so a training that was killed goes on exactly where it stopped.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ml_training.utils.errors import DatasetUnusable, UsageError

Array = npt.NDArray[Any]

ANYWHERE = -1  # group of an example that is a file of its own, and can be mixed in anywhere


class Shuffling(NamedTuple):
    """What decides an order besides the epoch. ``groups_at_once``: shards that are mixed with each other."""

    seed: int
    groups_at_once: int


def epoch_order(groups: Array, weights: Array | None, shuffling: Shuffling, *, epoch: int) -> npt.NDArray[np.int64]:
    """Return the examples of an epoch in order, int64 [N]; N is the number of examples also with weights.

    ``groups`` int32 [N] names the shard of each (or ``ANYWHERE``); ``weights`` float64 [N], with mean 1, says how often
    each is to be drawn: systematic sampling gives it that often, rounded down or up.
    """
    generator = np.random.default_rng([shuffling.seed, epoch])
    drawn = np.arange(len(groups)) if weights is None else _draw(weights, generator)
    drawn_groups = groups[drawn]
    blocks = _blocks(drawn_groups, shuffling.groups_at_once, generator)
    return np.asarray(drawn[np.argsort(blocks + generator.random(len(drawn)), kind="stable")], np.int64)


def _draw(weights: Array, generator: np.random.Generator) -> Array:
    """Draw each example ``weights`` times on average, with the least possible variance (systematic sampling)."""
    edges = np.cumsum(weights) / np.sum(weights) * len(weights)
    edges[-1] = len(weights)  # the sum as it would be without rounding: an epoch has the same length every time
    counts = np.diff(np.floor(edges + generator.random()), prepend=0.0).astype(np.int64)
    return np.repeat(np.arange(len(weights)), counts)


def _blocks(groups: Array, groups_at_once: int, generator: np.random.Generator) -> Array:
    """Return the block in which each example is mixed with others."""
    count = int(groups.max(initial=-1)) + 1
    ranks = generator.permutation(count)
    block_count = max(1, -(-count // groups_at_once))
    anywhere = generator.integers(0, block_count, size=len(groups))
    if not count:
        return anywhere
    return np.where(groups == ANYWHERE, anywhere, ranks[np.maximum(groups, 0)] // groups_at_once)


def example_weights(
    labels: Array, hardness: Array, *, ad_share: float | None, hardness_factor: float
) -> npt.NDArray[np.float64] | None:
    """Return how much each example counts, float64 [N] with mean 1; None when all count the same.

    An example of hardness h counts ``1 + hardness_factor * h`` among those of its class; the ads together count
    ``ad_share`` of all (None: by their number). Raises UsageError for values out of range, DatasetUnusable when
    ``ad_share`` is given and a class is missing.
    """
    if hardness_factor < 0 or (ad_share is not None and not 0 < ad_share < 1):
        raise UsageError(
            f"ad_share must lie between 0 and 1 and hardness_factor be at least 0, received {ad_share} and "
            f"{hardness_factor}"
        )
    if ad_share is None and not hardness_factor:
        return None
    weights = 1.0 + hardness_factor * hardness.astype(np.float64)
    if ad_share is not None:
        for value, share in ((1, ad_share), (0, 1 - ad_share)):
            total = weights[labels == value].sum()
            if not total:
                raise DatasetUnusable(f"examples of both classes are needed for ad_share, but label {value} is missing")
            weights[labels == value] *= share / total
    return np.asarray(weights / weights.mean(), np.float64)
