"""What can be measured in each second of a recording without understanding it: the cues that audits judge.

cues = recording_cues(Path("data/recordings/.../x.ts"))
cues.values["cut_rate"], cues.is_ad         # one number and one truth for each scored second
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt

from ml_training.data.synthetic.contact_sheet import decoded, label_at, labels_of
from ml_training.data.synthetic.pictures import Picture
from ml_training.utils.records import SCORED_LABELS

NEAR_SECONDS = 5  # cuts and black gaps are counted this far to either side
BLACK_LUMA, CUT_DIFFERENCE, EDGE_STEP = 12, 20.0, 60
SILENCE_DB = -90.0
CORNER = (45, 135)  # height and width of each corner, a fifth of a 360-line picture or less
PATCH, PATCHES = 48, 6  # side of a high-pass patch, and how many are cut from each second
RESIDUAL_LIMIT = 12  # a high-pass value is cut here, so that edges of text say no more than noise
Series = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Cues:
    """The scored seconds of a recording: which are ads, each cue, high-pass patches [seconds, PATCHES, 48, 48]."""

    channel: str
    is_ad: npt.NDArray[np.bool_]
    values: dict[str, Series]
    patches: npt.NDArray[np.int8]


@dataclass
class _Second:
    """What is measured in one second, from its first frame and from all its frames."""

    luma: float
    contrast: float
    saturation: float
    edges: float
    corner: Picture
    bars: float
    motion: float
    cuts: int
    black: bool
    patches: npt.NDArray[np.int8]


def recording_cues(path: Path) -> Cues:
    """Measure every scored second of a recording."""
    intervals = labels_of(path)
    times, seconds = _measure(path)
    level, dynamics = _loudness(path, times)
    cuts = np.array([s.cuts for s in seconds], float)
    black = np.array([s.black for s in seconds], float)
    cues = {
        "mean_luma": np.array([s.luma for s in seconds]),
        "luma_spread": np.array([s.contrast for s in seconds]),
        "saturation": np.array([s.saturation for s in seconds]),
        "cut_rate": _near(cuts, np.sum),
        "motion": np.array([s.motion for s in seconds]),
        "edge_density": np.array([s.edges for s in seconds]),
        "logo_corner": _corner_change([s.corner for s in seconds]),
        "border": np.array([s.bars for s in seconds]),
        "black_gap": _near(black, np.max),
        "loudness": level,
        "loudness_dynamics": dynamics,
    }
    labels = [label_at(intervals, time) for time in times]
    scored = np.array([label in SCORED_LABELS for label in labels])
    return Cues(
        channel=path.stem.partition("_")[0],
        is_ad=np.array([label == "ad" for label in labels])[scored],
        values={name: values[scored] for name, values in cues.items()},
        patches=np.stack([second.patches for second in seconds])[scored],
    )


def _near(values: Series, reduce: Any) -> Series:
    return np.array(
        [reduce(values[max(0, i - NEAR_SECONDS) : i + NEAR_SECONDS + 1]) for i in range(len(values))], float
    )


def _measure(path: Path) -> tuple[Series, list[_Second]]:
    """Walk through a recording; return the time of the first frame of each second, and what was measured."""
    times: list[float] = []
    seconds: list[_Second] = []
    previous: Picture | None = None
    for time, frame in decoded(path):
        picture = frame.to_ndarray(format="yuv420p")[: frame.height]
        small = cv2.resize(picture, (80, 45), interpolation=cv2.INTER_AREA)
        change = 0.0 if previous is None else float(np.mean(cv2.absdiff(small, previous)))
        previous = small
        if not times or time >= times[-1] + 1:
            times.append(time)
            seconds.append(_look(frame, len(seconds)))
        seconds[-1].motion += change / 25
        seconds[-1].cuts += change > CUT_DIFFERENCE
        seconds[-1].black |= bool(small.max() < BLACK_LUMA + 16)
    return np.array(times), seconds


def _look(frame: av.VideoFrame, number: int) -> _Second:
    """Measure one picture."""
    picture = frame.to_ndarray(format="rgb24")
    luma = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    steps = cv2.absdiff(luma[:, 1:], luma[:, :-1])
    height, width = CORNER
    corners = [luma[:height, :width], luma[:height, -width:], luma[-height:, :width], luma[-height:, -width:]]
    edge = np.concatenate([luma[:20].ravel(), luma[-20:].ravel(), luma[:, :20].ravel(), luma[:, -20:].ravel()])
    return _Second(
        luma=float(luma.mean()),
        contrast=float(luma.std()),
        saturation=float(cv2.cvtColor(picture, cv2.COLOR_RGB2HSV)[:, :, 1].mean()),
        edges=float(np.mean(steps > EDGE_STEP)),
        corner=np.stack([_outline(corner) for corner in corners]),
        bars=float(np.mean(edge < BLACK_LUMA)),
        motion=0.0,
        cuts=0,
        black=False,
        patches=_patches(luma, number),
    )


def _patches(luma: Picture, number: int) -> npt.NDArray[np.int8]:
    """Return what is left of a picture without its shapes: high-pass patches int8 [PATCHES, 48, 48]."""
    residual = luma.astype(np.float32) - cv2.GaussianBlur(luma, (0, 0), 1.2).astype(np.float32)
    fine = np.clip(np.round(residual * 127 / RESIDUAL_LIMIT), -127, 127).astype(np.int8)
    rng, (height, width) = np.random.default_rng(number), luma.shape
    corners = zip(rng.integers(0, height - PATCH, PATCHES), rng.integers(0, width - PATCH, PATCHES), strict=True)
    return np.stack([fine[y : y + PATCH, x : x + PATCH] for y, x in corners])


def _outline(corner: Picture) -> Picture:
    return (cv2.absdiff(corner, cv2.blur(corner, (9, 9))) > 14).astype(np.uint8)


def _corner_change(corners: list[Picture]) -> Series:
    """Return how much of what mostly stands in the corners of a recording is there in each second (a logo detector)."""
    stack = np.stack(corners).astype(np.float32)
    usual = stack.mean(axis=0) > 0.6
    return np.array([float(c[usual].mean()) if usual.any() else 0.0 for c in stack])


def _loudness(path: Path, times: Series) -> tuple[Series, Series]:
    """Return mean level (dB) and its spread over the codec's frames of 21 ms, for the two seconds around each time."""
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        start = (video.start_time or 0) * float(video.time_base or 0)
        pieces: list[tuple[float, float]] = []
        for frame in container.decode(audio=0):
            power = float(np.mean(frame.to_ndarray().astype(np.float32) ** 2))
            pieces.append(((frame.time or 0.0) - start, 10 * np.log10(power + 1e-9)))
    at, level = (np.array(column) for column in zip(*pieces, strict=True))
    windows = [level[(at >= t - 0.5) & (at < t + 1.5)] for t in times]
    return (
        np.array([w.mean() if len(w) else -90.0 for w in windows]),
        np.array([w.std() if len(w) else 0.0 for w in windows]),
    )
