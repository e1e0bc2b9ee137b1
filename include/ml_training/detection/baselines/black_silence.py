"""The classic rule without learning: an ad break is a row of moments that are black and silent at once.

    outcome = detect(Path("news-0105.ts"))
    outcome.breaks                                       # needs ffmpeg on the PATH

Lienhart, Kuhmünch and Effelsberg (On the detection and recognition of television commercials, 1997) found that spots
are parted by black frames and silence; MythTV and comskip began with the same. Two or more such moments, each within
a spot's length of the next, make a break. Where spots follow each other without a gap the rule finds nothing.
"""

import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import NamedTuple

from ml_training.detection.baselines.ffmpeg_scan import Scan, Sensitivity, scan_recording
from ml_training.detection.baselines.outcome import CERTAIN, Outcome
from ml_training.detection.records import Break
from ml_training.statistics.breaks import Span


class Rule(NamedTuple):
    """What makes separators a break, in seconds."""

    slack: float = 0.2  # black and silence may miss each other by this much
    longest_spot: float = 35.0
    shortest_spot: float = 4.0  # separators that are nearer are one: a film that begins from black
    shortest_break: float = 8.0


def detect(path: Path, *, sensitivity: Sensitivity | None = None, rule: Rule | None = None) -> Outcome:
    """Find the breaks of a recording. Raises UsageError without ffmpeg, RecordingUnreadable where it cannot read."""
    started = time.monotonic()
    scan = scan_recording(path, sensitivity or Sensitivity())
    breaks = breaks_from(scan, rule or Rule())
    return Outcome(breaks, scan.duration_seconds, time.monotonic() - started)


def breaks_from(scan: Scan, rule: Rule) -> list[Break]:
    """Return the breaks that rows of two separators or more make, in order."""
    found: list[Break] = []
    for row in _rows(separators(scan, rule), rule):
        start, end = row[0][0], _end_of_last_spot(row, scan, rule)
        if end - start >= rule.shortest_break and len(row) > 1:
            spots = tuple(at for at, _ in row if at < end)
            found.append(Break(start_seconds=start, end_seconds=end, confidence=CERTAIN, spots=spots))
    return found


def separators(scan: Scan, rule: Rule) -> list[Span]:
    """Return the black stretches during which, or right beside which, it is silent."""
    return [
        (start, end)
        for start, end in scan.blacks
        if any(low - rule.slack < end and start < high + rule.slack for low, high in scan.silences)
    ]


def _rows(marks: Sequence[Span], rule: Rule) -> list[list[Span]]:
    """Group separators into rows of neighbours that a spot may lie between."""
    rows: list[list[Span]] = []
    for mark in marks:
        if rows and mark[0] - rows[-1][-1][1] < rule.shortest_spot:
            continue
        if rows and mark[0] - rows[-1][-1][1] <= rule.longest_spot:
            rows[-1].append(mark)
        else:
            rows.append([mark])
    return rows


def _end_of_last_spot(row: Sequence[Span], scan: Scan, rule: Rule) -> float:
    """Return where the next black or silence ends the last spot, else where it ends if it lasts as the others do."""
    low, high = row[-1][1] + rule.shortest_spot, row[-1][1] + rule.longest_spot
    closing = [start for start, _ in (*scan.blacks, *scan.silences) if low <= start <= high]
    lengths = [after[0] - before[0] for before, after in pairwise(row)]
    usual = row[-1][0] + (median(lengths) if lengths else 0.0)
    return min(closing, default=min(usual, scan.duration_seconds))
