"""One picture of what detection saw in a recording: scores over time, the breaks, and what was on air.

    times = thumbnail_times(breaks, duration=1800.0)
    thumbnails = [Thumbnail(seconds, picture_at(seconds)) for seconds in times]
    save_plot("news-0105.png", pts_seconds, {"frames": frame_scores, "sequence": probabilities}, breaks,
              duration=1800.0, thumbnails=thumbnails, title="news-0105")

Above stand the thumbnails, each at its time, those within a break with a coloured edge; in the middle the scores, with
the breaks shaded and their confidence on top; below, where they are given, the breaks that people labelled.
"""

import io
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ml_training.cloud import storage
from ml_training.detection.records import Break
from ml_training.utils.visualization import ACCENT, INK

THUMBNAILS = 14
WIDTH_INCHES, DPI = 16.0, 110
PIXELS_A_POINT = 2.0  # of curves; what is closer together is drawn as its mean and its range
COLOURS = (INK, "#2563eb", "#0f766e", "#7c3aed")
LABELLED = "#64748b"


class Thumbnail(NamedTuple):
    """A picture of the recording, RGB uint8 [H, W, 3], and its media time."""

    seconds: float
    image: npt.NDArray[np.uint8]


def thumbnail_times(breaks: Sequence[Break], duration: float, *, count: int = THUMBNAILS) -> list[float]:
    """Return ``count`` times spread over the recording; where a break lies in a slot, a time within the break."""
    slot = duration / count
    return [_time_in(number * slot, (number + 1) * slot, breaks) for number in range(count)]


def _time_in(start: float, end: float, breaks: Sequence[Break]) -> float:
    overlaps = [(max(start, found.start_seconds), min(end, found.end_seconds)) for found in breaks]
    longest = max(overlaps, key=lambda span: span[1] - span[0], default=(start, end))
    return sum(longest) / 2 if longest[1] > longest[0] else (start + end) / 2


def save_plot(
    path_or_uri: str,
    pts_seconds: npt.NDArray[np.float64],
    curves: Mapping[str, npt.NDArray[Any]],
    breaks: Sequence[Break],
    *,
    duration: float,
    title: str,
    thumbnails: Sequence[Thumbnail] = (),
    labelled: Sequence[tuple[float, float]] = (),
) -> None:
    """Draw a PNG and store it in a file or at ``s3://bucket/key``.

    ``curves`` are named values in 0..1, each [N] like ``pts_seconds``; ``labelled`` are true breaks in seconds.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH_INCHES, 5.2 if thumbnails else 4.0), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    rows = figure.subplots(2, 1, sharex=True, height_ratios=[1, 2.6]) if thumbnails else [None, figure.subplots()]
    if thumbnails:
        _draw_thumbnails(rows[0], thumbnails, breaks, duration)
    _draw_curves(rows[1], pts_seconds, curves)
    _draw_breaks(rows[1], breaks, labelled)
    _dress(rows[1], duration)
    if curves:
        figure.legend(loc="upper right", ncols=len(curves), fontsize=8, frameon=False)
    figure.suptitle(f"{title}: {_summary(breaks)}", fontsize=11, color=INK)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    storage.write_bytes(path_or_uri, buffer.getvalue())


def _summary(breaks: Sequence[Break]) -> str:
    if not breaks:
        return "no ads"
    seconds = sum(found.duration_seconds for found in breaks)
    return f"{len(breaks)} ad break{'s' if len(breaks) > 1 else ''}, {clock(seconds)} in all"


def clock(seconds: float) -> str:
    """Return 75.2 as ``1:15``, 3675 as ``1:01:15``."""
    whole = round(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"


def _draw_thumbnails(axes: Any, thumbnails: Sequence[Thumbnail], breaks: Sequence[Break], duration: float) -> None:
    width = 0.94 * duration / len(thumbnails)
    axes.set(ylim=(0, 1), yticks=[])
    for place, (seconds, image) in enumerate(thumbnails):
        left = (place + 0.03) * duration / len(thumbnails)
        axes.imshow(image, extent=(left, left + width, 0.12, 1), aspect="auto")
        within = any(found.start_seconds <= seconds < found.end_seconds for found in breaks)
        edge = {"edgecolor": ACCENT if within else LABELLED, "linewidth": 2.5 if within else 0.6, "facecolor": "none"}
        axes.add_patch(_rectangle(left, width, edge))
        axes.plot([left + width / 2, seconds], [0.12, 0], color=edge["edgecolor"], linewidth=0.8)
        axes.text(left, 0.01, clock(seconds), fontsize=7, color=INK)
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)
    axes.tick_params(bottom=False)


def _rectangle(left: float, width: float, edge: Mapping[str, Any]) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((left, 0.12), width, 0.88, **edge)


def _draw_curves(axes: Any, pts_seconds: npt.NDArray[np.float64], curves: Mapping[str, npt.NDArray[Any]]) -> None:
    step = max(1, round(len(pts_seconds) / (WIDTH_INCHES * DPI / PIXELS_A_POINT)))
    for colour, (name, values) in zip(COLOURS, curves.items(), strict=False):
        times, low, mean, high = _thinned(pts_seconds, np.asarray(values, float), step)
        axes.plot(times, mean, color=colour, linewidth=1.0, label=name)
        if step > 1:
            axes.fill_between(times, low, high, color=colour, alpha=0.18, linewidth=0)


def _thinned(times: Any, values: Any, step: int) -> tuple[Any, Any, Any, Any]:
    """Return times, least, mean and greatest value [K] of every ``step`` frames."""
    if not len(times):
        return times, values, values, values
    starts = np.arange(0, len(times), step)
    counts = np.diff(np.append(starts, len(times)))
    mean = np.add.reduceat(values, starts) / counts
    return times[starts], np.minimum.reduceat(values, starts), mean, np.maximum.reduceat(values, starts)


def _draw_breaks(axes: Any, breaks: Sequence[Break], labelled: Sequence[tuple[float, float]]) -> None:
    for found in breaks:
        axes.axvspan(found.start_seconds, found.end_seconds, color=ACCENT, alpha=0.18, linewidth=0)
        middle = (found.start_seconds + found.end_seconds) / 2
        axes.text(middle, 1.03, f"{found.confidence:.0%}", ha="center", fontsize=8, color=ACCENT)
        for spot in found.spots:
            axes.plot([spot, spot], [0, 1], color=ACCENT, linewidth=0.7, linestyle=":")
    for start, end in labelled:
        axes.axvspan(start, end, ymax=0.045, color=LABELLED, linewidth=0)
    if labelled:
        axes.text(0.004, 0.055, "labelled", transform=axes.transAxes, fontsize=7, color=LABELLED)


def _dress(axes: Any, duration: float) -> None:
    axes.set(xlim=(0, duration), ylim=(-0.06, 1.12), yticks=[0, 0.5, 1], ylabel="probability of an ad")
    axes.xaxis.set_major_locator(_time_locator(duration))
    axes.xaxis.set_major_formatter(lambda seconds, _: clock(seconds))
    axes.grid(axis="y", color=LABELLED, alpha=0.25, linewidth=0.5)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _time_locator(duration: float) -> Any:
    from matplotlib.ticker import MultipleLocator

    steps = (5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)
    return MultipleLocator(next((step for step in steps if duration / step <= 16), 7200))
