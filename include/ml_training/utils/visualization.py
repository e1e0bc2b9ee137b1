"""Pictures for people: curves, calibration, slices, time lines of recordings, sheets of the worst errors.

save_precision_recall(curve, threshold=0.5, path=Path("pr_curve.png"))
save_time_lines([TimeLine("news-0105", pts_seconds, scores, true, found)], threshold=0.5, path=Path("time_lines.png"))
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ml_training.utils.metrics import Calibration, Counts, PrecisionRecallCurve
from ml_training.utils.records import Interval

SHEET_COLUMNS = 6
INK, ACCENT, QUIET, TRUE = "#1f2933", "#c2410c", "#9aa5b1", "#2563a8"
SCORE_BINS = 40
SLICES_SHOWN = 40

Array = npt.NDArray[Any]


class TimeLine(NamedTuple):
    """What a model said of a recording: scores [N] over seconds [N], and breaks as (start, end) in seconds."""

    title: str
    pts_seconds: Array
    scores: Array
    true: Sequence[tuple[float, float]]
    found: Sequence[tuple[float, float]]
    unscored: Sequence[tuple[float, float]] = ()


def save_precision_recall(
    curve: PrecisionRecallCurve, *, threshold: float, bounds: tuple[float, float], path: Path
) -> None:
    """Draw precision over recall with the operating point and the corner (precision, recall) that the gates ask for."""
    figure, axes = _figure(5, 4)
    axes.plot(curve.recall, curve.precision, color=INK)
    chosen = int(np.searchsorted(-curve.thresholds, -threshold, side="right")) - 1
    if chosen >= 0:
        axes.plot(curve.recall[chosen], curve.precision[chosen], "o", color=ACCENT, label=f"threshold {threshold:.3f}")
    axes.axhline(bounds[0], color=INK, linewidth=0.6, linestyle=":")
    axes.axvline(bounds[1], color=INK, linewidth=0.6, linestyle=":", label="gates")
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1.01), ylim=(0, 1.01))
    axes.legend(loc="lower left")
    _save(figure, path)


def save_confusion(counts: Counts, path: Path) -> None:
    """Draw the four counts as a table of squares."""
    figure, axes = _figure(5, 4)
    table = np.array([[counts.true_negatives, counts.false_positives], [counts.false_negatives, counts.true_positives]])
    shares = table / np.maximum(1, table.sum(axis=1, keepdims=True))
    axes.imshow(shares, cmap="Oranges", vmin=0, vmax=1)
    for (row, column), value in np.ndenumerate(table):
        colour = "white" if shares[row, column] > 0.6 else INK
        axes.text(column, row, f"{value}\n{shares[row, column]:.1%}", ha="center", va="center", color=colour)
    axes.set(xticks=[0, 1], yticks=[0, 1], xlabel="judged as", ylabel="is")
    axes.set_xticklabels(["content", "ad"])
    axes.set_yticklabels(["content", "ad"])
    _save(figure, path)


def save_calibration(found: Calibration, path: Path) -> None:
    """Draw the share of ads over the score, a dot a bin as large as its frames; on the line scores are shares."""
    figure, axes = _figure(5, 4)
    there = found.frames > 0
    axes.plot([0, 1], [0, 1], color=QUIET, linewidth=0.8)
    sizes = 20 + 400 * found.frames[there] / max(1.0, found.frames.max())
    axes.plot(found.mean_score[there], found.ad_share[there], color=INK, linewidth=0.6)
    axes.scatter(found.mean_score[there], found.ad_share[there], s=sizes, color=ACCENT, alpha=0.7)
    axes.set(xlabel="score", ylabel="share of ads", xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
    axes.set_title(f"calibration error {found.error:.3f}", fontsize=10)
    _save(figure, path)


def save_scores(labels: Array, scores: Array, *, threshold: float, path: Path) -> None:
    """Draw how the scores (0 to 1) [N] of ads and of content are spread, each class on its own scale."""
    figure, axes = _figure(5, 4)
    for value, name, colour in ((0, "content", TRUE), (1, "ad", ACCENT)):
        chosen = scores[labels == value]
        weights = np.full(len(chosen), 1 / max(1, len(chosen)))
        axes.hist(chosen, SCORE_BINS, (0, 1), weights=weights, color=colour, alpha=0.55, label=name)
    axes.axvline(threshold, color=INK, linewidth=0.8, linestyle=":", label=f"threshold {threshold:.3f}")
    axes.set(xlabel="score", ylabel="share of the class", yscale="log")
    axes.legend()
    _save(figure, path)


def save_slices(intervals: Mapping[str, Interval], *, name: str, path: Path) -> None:
    """Draw a figure of every slice as a dot with its interval, the worst on top; at most the 40 worst."""
    ordered = sorted(intervals.items(), key=lambda entry: -entry[1].value)[-SLICES_SHOWN:]
    figure, axes = _figure(6.5, 0.9 + 0.26 * len(ordered))
    for place, (_, interval) in enumerate(ordered):
        if interval.low is not None and interval.high is not None:
            axes.plot([interval.low, interval.high], [place, place], color=QUIET, linewidth=2)
        axes.plot(interval.value, place, "o", color=ACCENT, markersize=5)
    axes.set_yticks(range(len(ordered)), [f"{slice_name} ({i.recordings})" for slice_name, i in ordered], fontsize=8)
    axes.set(xlabel=f"{name} with its 95 % interval (recordings)", xlim=(-0.02, 1.02), ylim=(-0.7, len(ordered) - 0.3))
    axes.grid(axis="x", color=QUIET, linewidth=0.4)
    _save(figure, path)


def save_time_lines(lines: Sequence[TimeLine], *, threshold: float, path: Path) -> None:
    """Draw the score of each recording over its minutes; true breaks as a band, found ones as a bar above it."""
    figure, axes = _figure(11, 0.4 + 1.15 * max(1, len(lines)), rows=max(1, len(lines)))
    for line, cell in zip(lines, np.atleast_1d(axes), strict=False):
        for spans, colour, alpha in ((line.true, TRUE, 0.25), (line.unscored, QUIET, 0.25)):
            for start, end in spans:
                cell.axvspan(start / 60, end / 60, color=colour, alpha=alpha, linewidth=0)
        for start, end in line.found:
            cell.plot([start / 60, end / 60], [1.09, 1.09], color=ACCENT, linewidth=4, solid_capstyle="butt")
        cell.plot(line.pts_seconds / 60, line.scores, color=INK, linewidth=0.6)
        cell.axhline(threshold, color=INK, linewidth=0.5, linestyle=":")
        end = float(line.pts_seconds[-1]) / 60 if len(line.pts_seconds) else 1.0
        cell.set(xlim=(0, max(end, 1e-3)), ylim=(-0.03, 1.16), yticks=[0, 1])
        cell.set_title(line.title, fontsize=8, loc="left", pad=2)
        cell.tick_params(labelsize=7)
    np.atleast_1d(axes)[-1].set_xlabel("minutes", fontsize=8)
    _save(figure, path)


def save_sheet(images: Sequence[npt.NDArray[np.uint8]], captions: Sequence[str], *, title: str, path: Path) -> None:
    """Lay pictures uint8 [H, W, 3] with captions out in rows of six."""
    rows = max(1, -(-len(images) // SHEET_COLUMNS))
    figure, axes = _figure(2.0 * SHEET_COLUMNS, 2.3 * rows + 0.4, rows=rows, columns=SHEET_COLUMNS)
    for place, cell in enumerate(np.atleast_1d(axes).ravel()):
        cell.axis("off")
        if place < len(images):
            cell.imshow(images[place])
            cell.set_title(captions[place], fontsize=7, color=INK)
    figure.suptitle(title, fontsize=10, color=INK)
    _save(figure, path)


def _figure(width: float, height: float, *, rows: int = 1, columns: int = 1) -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns)


def _save(figure: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
