"""Pictures changed in ways that keep their label true.

    changed = augment(image, np.random.default_rng(1))       # uint8 [224, 224, 3] -> uint8 [224, 224, 3]
    change = draw_change(np.random.default_rng(1))           # drawn once, the same for all frames of a window
    window = [apply_change(frame, change) for frame in window]

What changes is what differs between channels and captures of the same programme, in the order in which it happens to a
broadcast: framing, colour, what the channel lays over it, and the chain of scaling, noise and compression after that.
Every change is drawn for ads and content alike, so none of them tells the classes apart.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ml_training.data.augmentation import framing, overlays, transmission

Image = npt.NDArray[np.uint8]
Step = Callable[[Image], Image]


class Alteration(NamedTuple):
    """One kind of change: ``draw`` fixes everything random about it and returns what does it to a picture."""

    name: str
    share: float  # of the pictures
    draw: Callable[[np.random.Generator], Step]


ALTERATIONS = (
    Alteration("logo removed", 0.15, overlays.draw_removal),
    Alteration("crop", 1.0, framing.draw_crop),
    Alteration("mirror", 0.5, framing.draw_mirror),
    Alteration("bars", 0.08, framing.draw_bars),
    Alteration("colour", 1.0, transmission.draw_colour),
    Alteration("gamma", 0.3, transmission.draw_gamma),
    Alteration("logo", 0.25, overlays.draw_logo),
    Alteration("caption", 0.2, overlays.draw_caption),
    Alteration("scaling chain", 0.3, transmission.draw_scaling),
    Alteration("soft or sharp", 0.2, transmission.draw_sharpness),
    Alteration("grain", 0.2, transmission.draw_grain),
    Alteration("compression", 0.4, transmission.draw_compression),
)


def augment(image: Image, generator: np.random.Generator) -> Image:
    """Change RGB uint8 [H, W, 3] at random; the picture that was given stays as it is."""
    return apply_change(image, draw_change(generator))


def draw_change(generator: np.random.Generator) -> list[Step]:
    """Draw a change as a list of steps; pictures of the same stretch of time are to share one."""
    chances = generator.random(len(ALTERATIONS))
    return [kind.draw(generator) for kind, chance in zip(ALTERATIONS, chances, strict=True) if chance < kind.share]


def apply_change(image: Image, change: Sequence[Step]) -> Image:
    """Do the steps of a change to RGB uint8 [H, W, 3], in order."""
    for step in change:
        image = step(image)
    return image
