"""Decides whether two recordings show the same at an offset, and where exactly it begins and ends.

    match = verify(first, second, candidate)         # None unless sound and picture agree, in order, for seconds
    match.first_start, match.second_start, match.second_end

Sound gives the exact bounds (frames of 20 ms), pictures (one a second) say whether it is the same film: programmes and
ads share music beds and voices. What is found depends on the two recordings alone, not on which came first.
"""

from collections.abc import Iterable
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from ml_training.data.creatives.alignment import Candidate
from ml_training.data.creatives.fingerprints import Fingerprints
from ml_training.data.creatives.picture_prints import Thumbs, likeness
from ml_training.data.creatives.sound_prints import FRAME_RATE, QUIET_DB
from ml_training.data.creatives.squeezed import squeezed_votes

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

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
SECOND = round(FRAME_RATE)
PROMISING = 3.0  # nats a frame over one second: other sound gives -7, another airing 5 to 14
LEAST_SECONDS = 4.0
SHORTEST = round(LEAST_SECONDS * FRAME_RATE)
LEAST_SECONDS_AGAIN = 6.0  # within one recording, where sets and beds recur
LOUDER = 0.5  # of the evidence of the best quarter
LEAST_PICTURES = 4
LEAST_PICTURE_SHARE = 0.75
LEAST_SECONDS_SQUEEZED, LEAST_PICTURES_SQUEEZED = 6.0, 5  # where the picture is smaller in one of them
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
    low, high = _common(first, second, offset, candidate, REACH)
    if not _promising(sound_evidence(first, second, offset, *_common(first, second, offset, candidate, SECOND))):
        return []
    evidence = sound_evidence(first, second, offset, low, high)
    matches = []
    for start, end in _sound_stretches(evidence):
        whole = _confirmed(first, second, offset, (low + start, low + end), evidence[start:end])
        matches += whole or [
            match
            for left, right in (_louder_parts(evidence[start:end]) if end - start > SHORTEST else ())
            for match in _confirmed(
                first, second, offset, (low + start + left, low + start + right), evidence[start + left : start + right]
            )
        ]
    return matches


def _common(
    first: Fingerprints, second: Fingerprints, offset: int, candidate: Candidate, reach: int
) -> tuple[int, int]:
    """Return the frames of the second around the candidate's votes that the first has, too."""
    low = max(0, -offset, candidate.start - reach)
    return low, min(len(second.bits), len(first.bits) - offset, candidate.end + reach)


def _promising(evidence: Floats) -> bool:
    """Tell whether any second speaks clearly for the same sound: most candidates are chance, and end here."""
    whole = len(evidence) // SECOND * SECOND
    return bool((evidence[:whole].reshape(-1, SECOND).mean(axis=1) > PROMISING).any())


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
        low, high = _common(first, second, offset, candidate, SECOND)
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
    inside = Pairs.of(first, second, shift, low + EDGE_SECONDS, high - EDGE_SECONDS)
    share = _agreeing(inside.votes(), min(LEAST_PICTURES, round(high - low - 1)))
    if share is None and high - low >= LEAST_SECONDS_SQUEEZED:
        share = _agreeing(inside.squeezed(), LEAST_PICTURES_SQUEEZED)
    if share is None:
        return []
    first_start = low + shift - silence_before(first, low + shift)
    second_start = low - silence_before(second, low)
    score = float(evidence.sum())
    return [Match(first_start, high + shift, second_start, high, score, share)]


def silence_before(prints: Fingerprints, seconds: float) -> float:
    """Return how long it is silent right before a moment, at most 0.8 s: black before a spot belongs to the spot."""
    frame = round(seconds * FRAME_RATE)
    loud = np.flatnonzero(prints.level[max(0, frame - LONGEST_SILENCE) : frame][::-1] >= QUIET_DB)
    silent = int(loud[0]) if len(loud) else min(frame, LONGEST_SILENCE)
    return silent / FRAME_RATE


def _agreeing(votes: Floats, least: int) -> float | None:
    """Return the share of the pictures that are alike; None when they are too few."""
    good, bad = int((votes > 0).sum()), int((votes < 0).sum())
    return good / (good + bad) if good >= least and good >= LEAST_PICTURE_SHARE * (good + bad) else None


class Pairs(NamedTuple):
    """The pictures of the second in a stretch, each with the nearest before and after in the first."""

    others: Thumbs  # [n, 18, 32]
    near: Thumbs  # [n, 2, 18, 32]
    close: Flags  # [n, 2]: near enough in time to be compared
    telling: Flags  # [n]: none of them is plain

    @classmethod
    def of(cls, first: Fingerprints, second: Fingerprints, shift: float, begin: float, end: float) -> Self:
        """Pair the pictures of the second between two times with those of the first, ``shift`` seconds later."""
        low, high = np.searchsorted(second.pts, (begin, end))
        times = second.pts[low:high] + shift
        after = np.clip(np.searchsorted(first.pts, times), 0, max(0, len(first.pts) - 1))
        near = np.stack([np.maximum(after - 1, 0), after], axis=1)
        if not len(first.pts):
            near = near[:0]
        close = np.abs(first.pts[near] - times[: len(near), None]) <= NEAREST_SECONDS
        plain = second.plain[low:high][: len(near)] | (first.plain[near] & close).any(axis=1)
        return cls(second.thumbs[low:high][: len(near)], first.thumbs[near], close, ~plain & close.any(axis=1))

    def votes(self) -> Floats:
        """Return 1 (alike), -1 (unlike) or 0 (says nothing) for each picture."""
        alike = np.stack([likeness(self.near[:, side], self.others) for side in (0, 1)], axis=1)
        best = np.where(self.close, alike, -1.0).max(axis=1)
        return np.where(self.telling, np.where(best >= ALIKE, 1.0, -1.0), 0.0)

    def squeezed(self) -> Floats:
        """Return the same for pictures of one that are smaller in the other."""
        near, others = self.near[self.telling], self.others[self.telling]
        if not len(others):
            return np.zeros(0)
        there = squeezed_votes(near, others[:, None])
        back = squeezed_votes(others[:, None], near)
        return there if there.sum() >= back.sum() else back


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
