"""Changes of what part of the picture is seen: crop, mirror image, black bars.

    step = draw_crop(np.random.default_rng(1))
    cropped = step(image)                          # uint8 [H, W, 3] -> uint8 [H, W, 3]

A mirror image shows mirrored writing, which no channel sends. It stays in because it halves what a network can learn
from the side on which one channel happens to keep its logo; what is laid over a picture afterwards is never mirrored.
"""

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
Step = Callable[[Image], Image]

SMALLEST_CROP = 0.8  # share of each side that a crop keeps at least: more would cut away what makes the frame an ad
SMALLEST_PICTURE = 0.7  # share of a side between bars: 4:3 in a 16:9 picture keeps 0.75, cinema in 16:9 keeps 0.74
BRIGHTEST_BAR = 16  # of 255: bars are black, up to a raised black level


def draw_crop(generator: np.random.Generator) -> Step:
    """Keep a part of the picture and stretch it to the whole."""
    height_share, width_share = generator.uniform(SMALLEST_CROP, 1.0, size=2)
    top_share, left_share = generator.random(2)

    def crop(image: Image) -> Image:
        height, width = image.shape[:2]
        kept_height, kept_width = round(height * height_share), round(width * width_share)
        top, left = int((height - kept_height) * top_share), int((width - kept_width) * left_share)
        part = image[top : top + kept_height, left : left + kept_width]
        return np.asarray(cv2.resize(part, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)

    return crop


def draw_mirror(generator: np.random.Generator) -> Step:
    """Swap left and right."""
    return lambda image: np.asarray(cv2.flip(image, 1), np.uint8)


def draw_bars(generator: np.random.Generator) -> Step:
    """Shrink the picture and put black bars above and below it, or at its sides."""
    beside = generator.random() < 0.5
    share = generator.uniform(SMALLEST_PICTURE, 0.95)
    level = int(generator.integers(0, BRIGHTEST_BAR + 1))

    def add_bars(image: Image) -> Image:
        height, width = image.shape[:2]
        inner_height, inner_width = (height, round(width * share)) if beside else (round(height * share), width)
        framed = np.full_like(image, level)
        top, left = (height - inner_height) // 2, (width - inner_width) // 2
        inner = framed[top : top + inner_height, left : left + inner_width]
        inner[:] = cv2.resize(image, (inner_width, inner_height), interpolation=cv2.INTER_LINEAR)
        return framed

    return add_bars
