"""Decides whether two recordings show the same at an offset, and where exactly it begins and ends.

    match = verify(first, second, candidate)         # None unless sound and picture agree, in order, for seconds
    match.first_start, match.second_start, match.second_end

Sound gives the exact bounds (frames of 20 ms), pictures (one a second) say whether it is the same film: programmes and
ads share music beds and voices. What is found depends on the two recordings alone, not on which came first.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ml_training.data.creatives.alignment import Candidate
from ml_training.data.creatives.fingerprints import Fingerprints
from ml_training.data.creatives.picture_prints import likeness
from ml_training.data.creatives.sound_prints import FRAME_RATE, QUIET_DB

Floats = npt.NDArray[np.float64]

REACH = round(130 * FRAME_RATE)  # frames looked at on either side of the votes
BITS = 32
ERROR_RATE = 0.2  # of the bits of two airings; a frame of 0.34 or more speaks against
SAME, OTHER = np.log((1 - ERROR_RATE) / 0.5), np.log(ERROR_RATE / 0.5)
REFINE = 10  # frames on either side in which the exact offset is sought
SOUND_DROP = 400.0  # evidence lost (about 1.2 s of other sound) ends a stretch
EDGE = 25  # frames on either side in which the exact bound is sought
ALIKE = 0.8  # likeness of two pictures of the same moment
NEAREST_SECONDS = 1.05  # pictures are one second apart: the nearest one before and the nearest one after
EDGE_SECONDS = 0.2  # pictures nearer to a bound than this may be of the neighbour
LONGEST_SILENCE = round(0.8 * FRAME_RATE)
LEAST_SECONDS = 4.0
LEAST_SECONDS_AGAIN = 6.0  # within one recording, where sets and beds recur
LOUDER = 0.5  # of the evidence of the best quarter
LEAST_PICTURES = 4
LEAST_PICTURE_SHARE = 0.75
LEAST_LAG = round(9 * FRAME_RATE)  # within a recording; nearer ones are loops, not airings


class Match(NamedTuple):
    """The same stretch in two recordings; seconds of media time in each."""

    first_start: float
    first_end: float
    second_start: float
    second_end: float
    score: float  # evidence of the sound, in nats
    pictures: float  # share of the compared pictures that are alike


def verify(first: Fingerprints, second: Fingerprints, candidate: Candidate) -> list[Match]:
    """Return where the two agree at about the candidate's offset."""
    offset = _exact_offset(first, second, candidate)
    if first.recording_id == second.recording_id and abs(offset) < LEAST_LAG:
        return []
    low = max(0, -offset, candidate.start - REACH)
    high = min(len(second.bits), len(first.bits) - offset, candidate.end + REACH)
    evidence = sound_evidence(first, second, offset, low, high)
    matches = []
    for start, end in _sound_stretches(evidence):
        whole = _confirmed(first, second, offset, (low + start, low + end), evidence[start:end])
        matches += whole or [
            match
            for left, right in _louder_parts(evidence[start:end])
            for match in _confirmed(
                first, second, offset, (low + start + left, low + start + right), evidence[start + left : start + right]
            )
        ]
    return matches


def _louder_parts(evidence: Floats) -> list[tuple[int, int]]:
    """Return the parts of a stretch where the sound agrees far better: an airing beside something with the same bed."""
    return _sound_stretches(evidence - LOUDER * np.quantile(evidence, 0.75))


def sound_evidence(first: Fingerprints, second: Fingerprints, offset: int, low: int, high: int) -> Floats:
    """Return the log odds of each frame of the second in ``low..high`` being the same sound as in the first."""
    if high <= low:
        return np.zeros(0)
    here, there = slice(low, high), slice(low + offset, high + offset)
    wrong = np.bitwise_count(first.bits[there] ^ second.bits[here]).astype(np.float64)
    quiet = (first.level[there] < QUIET_DB) | (second.level[here] < QUIET_DB)
    return np.where(quiet, 0.0, (BITS - wrong) * SAME + wrong * OTHER)


def _exact_offset(first: Fingerprints, second: Fingerprints, candidate: Candidate) -> int:
    """Return the offset within 0.2 s at which most bits agree."""
    best, best_score = candidate.offset, -np.inf
    for offset in range(candidate.offset - REFINE, candidate.offset + REFINE + 1):
        low = max(0, -offset, candidate.start)
        high = min(len(second.bits), len(first.bits) - offset, candidate.end + 50)
        score = float(sound_evidence(first, second, offset, low, high).sum())
        if score > best_score:
            best, best_score = offset, score
    return best


def _sound_stretches(evidence: Floats) -> list[tuple[int, int]]:
    """Return the stretches of frames that speak for the same sound, to the frame."""
    block = 5
    whole = len(evidence) // block * block
    coarse = evidence[:whole].reshape(-1, block).sum(axis=1)
    total = np.concatenate([[0.0], np.cumsum(evidence)])
    exact = []
    for start, end, _ in runs(coarse, SOUND_DROP):
        left, right = max(0, start * block - EDGE), min(len(evidence), end * block + EDGE)
        middle = (start + end) * block // 2
        begin = middle - int(
            np.argmin(total[left : middle + 1][::-1])
        )  # the last lowest: silence before it is left out
        exact.append((begin, middle + int(np.argmax(total[middle : right + 1]))))
    return exact


def runs(values: Floats, drop: float) -> list[tuple[int, int, float]]:
    """Return (start, end, sum) of the stretches of greatest sum; one ends where its sum has fallen by ``drop``."""
    found: list[tuple[int, int, float]] = []
    total = peak = 0.0
    start = end = 0
    for number, value in enumerate(values.tolist()):
        total += value
        if total > peak:
            peak, end = total, number + 1
        elif total <= 0 or peak - total > drop:
            if peak > 0:
                found.append((start, end, peak))
            total = peak = 0.0
            start = end = number + 1
        if peak == 0 and total <= 0:
            total, start = 0.0, number + 1
    return [*found, (start, end, peak)] if peak > 0 else found


def _confirmed(
    first: Fingerprints, second: Fingerprints, offset: int, bounds: tuple[int, int], evidence: Floats
) -> list[Match]:
    """Return the match when most pictures of a stretch of the same sound are the same, too.

    The whole stretch counts: where the sound goes on and the picture does not, it is a bed that two items share.
    """
    shift = offset / FRAME_RATE
    low, high = bounds[0] / FRAME_RATE, bounds[1] / FRAME_RATE
    again = first.recording_id == second.recording_id
    if high - low < (LEAST_SECONDS_AGAIN if again else LEAST_SECONDS):
        return []
    if again and (min(low, low + shift) < EDGE_SECONDS or max(high, high + shift) > len(first.bits) / FRAME_RATE - 1):
        return []  # cut off by the recording: it need not end there, as an airing does
    _, votes = compare_pictures(first, second, shift, low + EDGE_SECONDS, high - EDGE_SECONDS)
    good, bad = int((votes > 0).sum()), int((votes < 0).sum())
    needed = min(LEAST_PICTURES, round(high - low - 1))
    if good < needed or good < LEAST_PICTURE_SHARE * (good + bad):
        return []
    score = float(evidence.sum())
    first_start = low + shift - silence_before(first, low + shift)
    second_start = low - silence_before(second, low)
    return [Match(first_start, high + shift, second_start, high, score, good / (good + bad))]


def silence_before(prints: Fingerprints, seconds: float) -> float:
    """Return how long it is silent right before a moment, at most 0.8 s: black before a spot belongs to the spot."""
    frame = round(seconds * FRAME_RATE)
    loud = np.flatnonzero(prints.level[max(0, frame - LONGEST_SILENCE) : frame][::-1] >= QUIET_DB)
    silent = int(loud[0]) if len(loud) else min(frame, LONGEST_SILENCE)
    return silent / FRAME_RATE


def compare_pictures(
    first: Fingerprints, second: Fingerprints, shift: float, begin_seconds: float, end_seconds: float
) -> tuple[Floats, Floats]:
    """Return the times of the second's pictures in a stretch, and 1 (alike), -1 (unlike) or 0 (says nothing) each."""
    low, high = np.searchsorted(second.pts, (begin_seconds, end_seconds))
    times = second.pts[low:high]
    if not len(times) or not len(first.pts):
        return times, np.zeros(len(times))
    after = np.clip(np.searchsorted(first.pts, times + shift), 0, len(first.pts) - 1)
    before = np.maximum(after - 1, 0)
    best = np.full(len(times), -1.0)
    plain, compared = np.zeros(len(times), bool), np.zeros(len(times), bool)
    for near in (before, after):
        close = np.abs(first.pts[near] - times - shift) <= NEAREST_SECONDS
        alike = likeness(first.thumbs[near], second.thumbs[low:high])
        best = np.where(close, np.maximum(best, alike), best)
        plain |= close & first.plain[near]
        compared |= close
    informative = compared & ~second.plain[low:high] & ~plain
    return times, np.where(informative, np.where(best >= ALIKE, 1.0, -1.0), 0.0)


def best_matches(matches: Iterable[Match]) -> list[Match]:
    """Return matches of two recordings without those that overlap a better one by half, on either side."""
    kept: list[Match] = []
    for match in sorted(set(matches), key=lambda m: (-m.score, m)):
        if not any(_overlap(match, other) for other in kept):
            kept.append(match)
    return sorted(kept)


def _overlap(match: Match, other: Match) -> bool:
    half = (match.second_end - match.second_start) / 2
    first = min(match.first_end, other.first_end) - max(match.first_start, other.first_start)
    second = min(match.second_end, other.second_end) - max(match.second_start, other.second_start)
    return first > half and second > half
