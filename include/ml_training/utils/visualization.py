"""Pictures for people: precision-recall curve, confusion matrix, a sheet of the worst errors.

save_precision_recall(curve, threshold=0.5, path=Path("pr_curve.png"))
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ml_training.utils.metrics import Counts, PrecisionRecallCurve

SHEET_COLUMNS = 6
INK, ACCENT = "#1f2933", "#c2410c"


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
    figure, axes = _figure(3.6, 3.2)
    table = np.array([[counts.true_negatives, counts.false_positives], [counts.false_negatives, counts.true_positives]])
    shares = table / np.maximum(1, table.sum(axis=1, keepdims=True))
    axes.imshow(shares, cmap="Oranges", vmin=0, vmax=1)
    for (row, column), value in np.ndenumerate(table):
        axes.text(column, row, f"{value}\n{shares[row, column]:.1%}", ha="center", va="center", color=INK)
    axes.set(xticks=[0, 1], yticks=[0, 1], xlabel="judged as", ylabel="is")
    axes.set_xticklabels(["content", "ad"])
    axes.set_yticklabels(["content", "ad"])
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
