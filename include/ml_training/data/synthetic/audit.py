"""Does any single cue give the label away? Each cue's AUC over all scored seconds of a folder of recordings.

    audit(Path("data"))["auc"]      # {"mean_luma": 0.55, "cut_rate": 0.71, ...}

The rule for generated broadcasts is that every cue only correlates with the label. An AUC is given as the larger of a
and 1 - a; above the bound (0.85) the audit fails.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

from ml_training.data.synthetic.contact_sheet import decoded, label_at, labels_of
from ml_training.data.synthetic.generate import recordings_below
from ml_training.data.synthetic.pictures import Picture
from ml_training.utils.errors import DataError, ValidationFailed
from ml_training.utils.records import SCORED_LABELS

NEAR_SECONDS = 5  # cuts and black gaps are counted this far to either side
BLACK_LUMA, CUT_DIFFERENCE, EDGE_STEP = 12, 20.0, 60
SILENCE_DB = -90.0
LOGO_SECONDS = 60  # a shorter recording may show one set all the time: its corners stand as still as a logo
CORNER = (45, 135)  # height and width of each corner, a fifth of a 360-line picture or less
Series = npt.NDArray[np.float64]


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


def audit(recordings_dir: Path, *, bound: float = 0.85) -> dict[str, Any]:
    """Return the AUC of each cue and the share of ads.

    The cue ``logo_corner`` is None, not measured, where a recording is too short to tell a logo from the set behind it.

    Raises:
        DataError: the folder holds no labelled recording, or only one class.
        ValidationFailed: a cue's AUC is above ``bound``.
    """
    paths = recordings_below(recordings_dir)
    if not paths:
        raise DataError(
            f"no recording below {recordings_dir}: expected files as `generate` writes them", path=str(recordings_dir)
        )
    tables = [_recording_cues(path) for path in paths]
    ads = np.concatenate([is_ad for is_ad, _ in tables])
    if len(np.unique(ads)) < 2:
        raise DataError(f"the recordings below {recordings_dir} hold only one class", path=str(recordings_dir))
    auc: dict[str, float | None] = {
        name: _auc(ads, np.concatenate([cues[name] for _, cues in tables])) for name in tables[0][1]
    }
    if min(len(is_ad) for is_ad, _ in tables) < LOGO_SECONDS:
        auc["logo_corner"] = None
    failed = {name: value for name, value in auc.items() if value is not None and value > bound}
    if failed:
        raise ValidationFailed(
            f"single cues give the label away: expected AUC <= {bound}, received {failed} of {auc}", auc=auc
        )
    return {
        "recordings": len(paths),
        "seconds": len(ads),
        "ad_share": round(float(ads.mean()), 3),
        "bound": bound,
        "auc": auc,
    }


def _auc(ads: npt.NDArray[np.bool_], values: Series) -> float:
    area = float(roc_auc_score(ads, values))
    return round(max(area, 1 - area), 3)


def _recording_cues(path: Path) -> tuple[npt.NDArray[np.bool_], dict[str, Series]]:
    """Return which scored seconds of a recording are ads, and the cues of those seconds."""
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
    is_ad = np.array([label == "ad" for label in labels])
    return is_ad[scored], {name: values[scored] for name, values in cues.items()}


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
            seconds.append(_look(frame))
        seconds[-1].motion += change / 25
        seconds[-1].cuts += change > CUT_DIFFERENCE
        seconds[-1].black |= bool(small.max() < BLACK_LUMA + 16)
    return np.array(times), seconds


def _look(frame: av.VideoFrame) -> _Second:
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
    )


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
