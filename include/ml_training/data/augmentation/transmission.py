"""Changes that a picture meets on its way: colour, gamma, scaling chain, sharpness, grain, compression.

    step = draw_compression(np.random.default_rng(1))
    compressed = step(image)                       # uint8 [H, W, 3] -> uint8 [H, W, 3]

Each is one or two calls of OpenCV on 8-bit pictures: the whole change has to stay cheap, since it runs on the cores
that feed the training.
"""

import functools
from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
Step = Callable[[Image], Image]

BRIGHTNESS, CONTRAST, SATURATION = 24.0, 0.2, 0.3  # largest changes: levels of 255, and shares
WHITE_BALANCE = 0.05  # largest change of one colour's gain
LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
GAMMAS = (0.75, 1.33)
SCALES = (0.4, 0.95)  # of the side: 224 pixels come from pictures of 90 to 213 pixels
JPEG_QUALITIES = (30, 90)
GRAIN_LEVELS = (2.0, 4.0, 7.0)  # standard deviations, of 255
GRAIN_MARGIN = 64  # pixels by which the stored noise is larger than the picture
GRAIN_SEED = 20_261


def draw_colour(generator: np.random.Generator) -> Step:
    """Change brightness, contrast, saturation and white balance: one affine map of the three colours."""
    brightness, contrast, saturation = generator.uniform(-1, 1, size=3) * (BRIGHTNESS, CONTRAST, SATURATION)
    gains = 1 + generator.uniform(-WHITE_BALANCE, WHITE_BALANCE, size=3)
    mixing = (1 + saturation) * np.eye(3) - saturation * LUMA  # away from the gray of the same brightness
    mixing = (1 + contrast) * mixing * gains
    offset = np.full(3, brightness - 127.5 * contrast)
    matrix = np.column_stack([mixing, offset]).astype(np.float32)
    return lambda image: np.asarray(cv2.transform(image, matrix), np.uint8)


def draw_gamma(generator: np.random.Generator) -> Step:
    """Make the middle of the scale brighter or darker; black and white stay."""
    gamma = np.exp(generator.uniform(*np.log(GAMMAS)))
    table = np.round(255 * (np.arange(256) / 255) ** gamma).astype(np.uint8)
    return lambda image: np.asarray(cv2.LUT(image, table), np.uint8)


def draw_scaling(generator: np.random.Generator) -> Step:
    """Scale down and up again, as a broadcast does that passes through another format."""
    across, down = generator.uniform(*SCALES, size=2)
    smaller = (cv2.INTER_AREA, cv2.INTER_LINEAR)[int(generator.integers(2))]
    larger = (cv2.INTER_LINEAR, cv2.INTER_CUBIC)[int(generator.integers(2))]

    def scale(image: Image) -> Image:
        height, width = image.shape[:2]
        small = cv2.resize(image, (round(width * across), round(height * down)), interpolation=smaller)
        return np.asarray(cv2.resize(small, (width, height), interpolation=larger), np.uint8)

    return scale


def draw_sharpness(generator: np.random.Generator) -> Step:
    """Blur slightly, or sharpen as television sets and encoders do."""
    amount = generator.uniform(-1.0, 0.8)  # below 0: share of the blurred picture; above: of what blurring takes away

    def change(image: Image) -> Image:
        blurred = cv2.GaussianBlur(image, (3, 3), 0)
        return np.asarray(cv2.addWeighted(image, 1 + amount, blurred, -amount, 0), np.uint8)

    return change


def draw_grain(generator: np.random.Generator) -> Step:
    """Add noise of a film's or a camera's kind, the same in all three colours."""
    level = int(generator.integers(len(GRAIN_LEVELS)))
    top, left = (int(at) for at in generator.integers(0, GRAIN_MARGIN, size=2))

    def add_grain(image: Image) -> Image:
        height, width = image.shape[:2]
        noise = _grain(height + GRAIN_MARGIN, width + GRAIN_MARGIN)[level]
        return np.asarray(cv2.add(image, noise[top : top + height, left : left + width], dtype=cv2.CV_8U), np.uint8)

    return add_grain


@functools.lru_cache(maxsize=4)
def _grain(height: int, width: int) -> tuple[npt.NDArray[np.int16], ...]:
    """Return noise int16 [height, width, 3] for each level, the same in every process."""
    noise = np.random.default_rng(GRAIN_SEED).normal(size=(height, width, 1)).astype(np.float32)
    soft = cv2.GaussianBlur(noise, (3, 3), 0.6)[:, :, None]
    soft = soft / soft.std()
    return tuple(np.repeat(np.round(soft * level), 3, axis=2).astype(np.int16) for level in GRAIN_LEVELS)


def draw_compression(generator: np.random.Generator) -> Step:
    """Leave the traces of a JPEG of some quality."""
    quality = int(generator.integers(*JPEG_QUALITIES))

    def compress(image: Image) -> Image:
        swapped = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        _, data = cv2.imencode(".jpg", swapped, [cv2.IMWRITE_JPEG_QUALITY, quality])
        return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR_RGB), np.uint8)

    return compress
