"""The same recordings without one cue: what does a model lose when logos, separators or loudness tell it nothing?

items = ablated(items, ("logos",))

Times and labels stay as they are, so that a score on an ablated recording compares with the one on the plain recording.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ml_training.utils.errors import UsageError

if TYPE_CHECKING:
    from ml_training.data.synthetic.items import Item

EQUAL_DENSITY = 0.35
ABLATIONS = {
    "logos": "what showed the channel's logo shows none, and what showed none shows it",
    "separators": "no black and no silence between spots: the film begins earlier instead",
    "loudness": "everything has one level and one density",
}


def checked(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names in order, each once. Raises UsageError for a name that is not an ablation."""
    unknown = sorted(set(names) - set(ABLATIONS))
    if unknown:
        raise UsageError(f"--ablate knows {', '.join(ABLATIONS)}, received {', '.join(unknown)}")
    return tuple(name for name in ABLATIONS if name in names)


def ablated(items: list["Item"], names: Sequence[str]) -> list["Item"]:
    """Return the items without the cues that ``names`` lists."""
    for name in checked(names):
        items = [_WITHOUT[name](item) for item in items]
    return items


def _without_logos(item: "Item") -> "Item":
    return replace(item, logo=not item.logo, logo_fades=False)


def _without_separators(item: "Item") -> "Item":
    first, *rest = item.shots
    return replace(item, shots=[replace(first, ticks=first.ticks + item.black_ticks), *rest], black_ticks=0)


def _without_loudness(item: "Item") -> "Item":
    return replace(item, sound=replace(item.sound, gain_db=0.0, density=EQUAL_DENSITY))


_WITHOUT = {"logos": _without_logos, "separators": _without_separators, "loudness": _without_loudness}
