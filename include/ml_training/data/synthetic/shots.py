"""A shot: one camera position from cut to cut, and how its picture looks at each moment.

shot = Shot(canvas=BACKDROPS["hills"](rng, style), camera=draw_camera(rng), layers=[Layer((sprite,), 40, 250)])
picture = shot.draw(seconds=1.2, length=4.0)        # uint8 RGB [360, 640, 3]
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from ml_training.data.synthetic.footage import Footage
from ml_training.data.synthetic.pictures import SCREEN, Picture, Sprite, paste, saturated
from ml_training.data.synthetic.randomness import between, chance

HEIGHT, WIDTH = SCREEN
FADE_SECONDS = 0.3


@dataclass(frozen=True)
class Camera:
    """A slow move over the canvas: zoom (1 shows all of it) and the middle of the view, at the start and at the end."""

    zoom: tuple[float, float] = (1.2, 1.2)
    x: tuple[float, float] = (0.5, 0.5)
    y: tuple[float, float] = (0.5, 0.5)
    shake: float = 0.0

    @property
    def stands_still(self) -> bool:
        """Whether all pictures of the shot have the same background."""
        return not self.shake and all(a == b for a, b in (self.zoom, self.x, self.y))


@dataclass(frozen=True)
class Layer:
    """A sprite over the canvas; several sprites take turns ``rate`` times a second (a mouth, a pair of legs).

    Position in screen pixels; ``drift`` is the way covered during the shot, ``sway`` the reach of a swing in pixels.
    """

    sprites: tuple[Sprite, ...]
    x: float
    y: float
    drift: tuple[float, float] = (0.0, 0.0)
    sway: tuple[float, float] = (0.0, 0.0)
    rate: float = 4.0
    phase: float = 0.0
    appears: float = 0.0

    def draw(self, picture: Picture, seconds: float, length: float) -> None:
        """Draw the layer as it stands ``seconds`` after the start of a shot of ``length`` seconds."""
        visible = (seconds - self.appears) / FADE_SECONDS if self.appears else 1.0
        if visible <= 0:
            return
        share = seconds / length
        swing = np.sin(2 * np.pi * (0.35 * seconds + self.phase))
        sprite = self.sprites[self._turn(seconds)]
        sprite = sprite.faded(visible) if visible < 1 else sprite
        paste(picture, sprite, self.x + self.drift[0] * share + self.sway[0] * swing,
              self.y + self.drift[1] * share + self.sway[1] * swing * swing)  # fmt: skip

    def _turn(self, seconds: float) -> int:
        if len(self.sprites) == 1:
            return 0
        step = int((seconds + 10 * self.phase) * self.rate)
        return (step * 2654435761 >> 7) % len(self.sprites)


@dataclass
class Shot:
    """A canvas (a picture larger than the screen, or footage), a camera, and layers from back to front."""

    canvas: Picture | Footage
    camera: Camera = field(default_factory=Camera)
    layers: list[Layer] = field(default_factory=list)
    still: Picture | None = None

    def draw(self, seconds: float, length: float) -> Picture:
        """Return the picture ``seconds`` after the start of the shot, which lasts ``length`` seconds."""
        picture = self._background(seconds, seconds / length)
        for layer in self.layers:
            layer.draw(picture, seconds, length)
        return picture

    def graded(self, grade: Picture) -> "Shot":
        """Return the shot with all its colours changed by a table for cv2.LUT."""
        layers = [
            replace(layer, sprites=tuple(sprite.graded(grade) for sprite in layer.sprites)) for layer in self.layers
        ]
        canvas = self.canvas.graded(grade) if isinstance(self.canvas, Footage) else cv2.LUT(self.canvas, grade)
        return Shot(canvas, self.camera, layers)

    def saturated(self, factor: float) -> "Shot":
        """Return the shot with the colours of its canvas stronger or weaker."""
        canvas = self.canvas.saturated(factor) if isinstance(self.canvas, Footage) else saturated(self.canvas, factor)
        return Shot(canvas, self.camera, self.layers)

    def _background(self, seconds: float, share: float) -> Picture:
        """Return what the camera sees of the canvas; a camera that stands still looks once."""
        if self.still is not None:
            return self.still.copy()
        zoom, x, y = (a + (b - a) * share for a, b in (self.camera.zoom, self.camera.x, self.camera.y))
        canvas = self.canvas.at(seconds) if isinstance(self.canvas, Footage) else self.canvas
        height, width = canvas.shape[:2]
        scale = WIDTH / width * max(zoom, 1.0)
        left = float(np.clip(x * width - WIDTH / 2 / scale, 0, width - WIDTH / scale))
        top = float(np.clip(y * height - HEIGHT / 2 / scale, 0, height - HEIGHT / scale))
        left += self.camera.shake * np.sin(seconds * 9.1) * np.cos(seconds * 3.7)
        top += self.camera.shake * np.cos(seconds * 7.3)
        transform = np.array([[scale, 0, -left * scale], [0, scale, -top * scale]], np.float32)
        picture = cv2.warpAffine(
            canvas, transform, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        if self.camera.stands_still and canvas is self.canvas:
            self.still = picture.copy()
        return picture


def draw_camera(rng: np.random.Generator, pace: float = 1.0) -> Camera:
    """Draw a camera: still, panning, zooming or held by hand; ``pace`` scales how far it goes."""
    zoom = between(rng, 1.1, 1.6)
    if chance(rng, 0.35):
        return Camera((zoom, zoom), shake=2.0 * pace if chance(rng, 0.3) else 0.0)
    reach = 0.12 * pace
    x, y = between(rng, 0.35, 0.65), between(rng, 0.4, 0.6)
    return Camera(
        (zoom, zoom * (1 + between(rng, -0.12, 0.2) * pace)),
        (x, x + between(rng, -reach, reach)),
        (y, y + between(rng, -0.4, 0.4) * reach),
    )


def draw_grade(rng: np.random.Generator, contrast: float = 0.15) -> Picture:
    """Draw a grade: gamma, contrast and tint, as a table [1, 256, 3] for cv2.LUT."""
    level = np.linspace(0, 1, 256)
    strength = 1 + between(rng, -contrast, contrast)
    curve = np.clip((level ** between(rng, 0.8, 1.25) - 0.5) * strength + 0.5, 0, 1)
    tint = rng.uniform(0.9, 1.05, 3)
    return np.clip(curve[:, None] * tint[None, :] * 255, 0, 255).astype(np.uint8)[None]


def shot_lengths(rng: np.random.Generator, ticks: int, mean_ticks: float) -> list[int]:
    """Split ``ticks`` into shots of about ``mean_ticks``, none shorter than 8 unless all is shorter."""
    lengths: list[int] = []
    left = ticks
    while left > 0:
        length = max(8, round(mean_ticks * between(rng, 0.6, 1.5)))
        if left - length < 8:
            length = left
        lengths.append(length)
        left -= length
    return lengths


@dataclass(frozen=True)
class PlannedShot:
    """A shot that lasts ``ticks`` (1/12.5 s each) and is drawn only when its turn comes.

    ``aspect`` is set where the shot has another than its item: archive pictures in 4:3, a film that opens its bars.
    """

    ticks: int
    build: Callable[[], Shot]
    aspect: str | None = None
