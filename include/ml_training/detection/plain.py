"""What stands in for the sequence model where nobody has learned one: the scores of frames, what repeats, separators.

    ads, edges = PlainSequence().log_odds(matrix(features))

Rules that hold for most broadcasters, with weights set by hand. A learned model is far better; it needs labels.
"""

import numpy as np

from ml_training.detection.features import COLUMNS, Floats, group_columns, group_flag

REPEATED, NOT_REPEATED = 3.0, -0.5  # log odds of a second that airs again elsewhere, in a piece as long as a spot
LONGEST_SPOT_SECONDS = 95.0
BIAS = -0.7  # log odds before any evidence: a fifth to a third of television is ads
DIP, BLACK, CUT, BOUND = 1.2, 2.0, 1.0, 2.0  # log odds of an edge
USUAL_EDGE = -2.0
SMOOTH_SECONDS = 9


class PlainSequence:
    """Has the method of ``SequenceModel`` and nothing learned."""

    def log_odds(self, rows: Floats) -> tuple[Floats, Floats]:
        """Return, for rows [T, WIDTH], the log odds of an ad and those of an edge against the usual, float32 [T]."""
        kernel = np.full(min(SMOOTH_SECONDS, len(rows)), 1.0) / min(SMOOTH_SECONDS, len(rows))
        ads = np.convolve(_column(rows, "picture", "log_odds"), kernel, mode="same") + BIAS
        for group in ("within", "archive"):
            if rows[:, group_flag(group)].any():
                spot = (_column(rows, group, "pieces") > 0) & (
                    _column(rows, group, "shortest") < np.log1p(LONGEST_SPOT_SECONDS)
                )
                ads += np.where(spot, REPEATED, NOT_REPEATED if group == "archive" else 0.0)
        bounds = np.maximum(_column(rows, "within", "bounds"), _column(rows, "archive", "bounds"))
        edges = (
            USUAL_EDGE
            + DIP * _column(rows, "separators", "dip")
            + BLACK * _column(rows, "separators", "black_near")
            + CUT * _column(rows, "shots", "change")
            + BOUND * np.minimum(bounds, 1)
        )
        return ads.astype(np.float32), edges.astype(np.float32)


def _column(rows: Floats, group: str, name: str) -> Floats:
    return np.asarray(rows[:, group_columns(group)][:, COLUMNS[group].index(name)], np.float32)
