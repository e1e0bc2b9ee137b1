"""Pictures changed in ways that keep their label true.

    changed = augment(image, np.random.default_rng(1))       # uint8 [224, 224, 3] -> uint8 [224, 224, 3]

What changes is what differs between channels and captures of the same programme: framing, colour, mirror image,
sharpness, and the traces of compression.
"""

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]

SMALLEST_CROP = 0.8  # share of each side that a crop keeps at least
BRIGHTNESS, CONTRAST, SATURATION = 24.0, 0.2, 0.3  # largest changes: levels of 255, and shares
JPEG_QUALITIES = (35, 90)
BLUR_SHARE, JPEG_SHARE, MIRROR_SHARE = 0.2, 0.5, 0.5  # of the pictures


def augment(image: Image, generator: np.random.Generator) -> Image:
    """Change RGB uint8 [H, W, 3] at random: crop, mirror, colour, blur, compression."""
    changed = _crop(image, generator)
    if generator.random() < MIRROR_SHARE:
        changed = np.ascontiguousarray(changed[:, ::-1])
    changed = _colour(changed, generator)
    if generator.random() < BLUR_SHARE:
        changed = np.asarray(cv2.GaussianBlur(changed, (3, 3), 0), np.uint8)
    if generator.random() < JPEG_SHARE:
        changed = _compress(changed, int(generator.integers(*JPEG_QUALITIES)))
    return changed


def _crop(image: Image, generator: np.random.Generator) -> Image:
    height, width = image.shape[:2]
    shares = generator.uniform(SMALLEST_CROP, 1.0, size=2)
    kept_height, kept_width = round(height * shares[0]), round(width * shares[1])
    top = int(generator.integers(0, height - kept_height + 1))
    left = int(generator.integers(0, width - kept_width + 1))
    part = image[top : top + kept_height, left : left + kept_width]
    return np.asarray(cv2.resize(part, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def _colour(image: Image, generator: np.random.Generator) -> Image:
    brightness, contrast, saturation = generator.uniform(-1, 1, size=3) * (BRIGHTNESS, CONTRAST, SATURATION)
    levels = image.astype(np.float32)
    gray = levels.mean(axis=2, keepdims=True)
    levels = gray + (levels - gray) * (1 + saturation)
    levels = (levels - 127.5) * (1 + contrast) + 127.5 + brightness
    return np.clip(levels, 0, 255).astype(np.uint8)


def _compress(image: Image, quality: int) -> Image:
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
