"""Makes creatives of matches: stretches that air again and again, each with all its airings.

    creatives = group([Link("a", 10.0, 30.0, "b", 50.0, 70.0), ...])
    creatives[0]                                  # [Airing("a", 10.0, 30.0), Airing("b", 50.0, 70.0)]

Two spots that once aired one after the other twice match as one stretch; where one of them airs alone, a bound appears
within. So every bound of a match is carried over to wherever the same stretch airs, what lies between two bounds is a
piece, and pieces that match are of one kind. Neighbouring kinds are joined again where one never airs without the
other: that is a spot and its cut airing. They stay apart where both last whole multiples of five seconds, as spots are
booked: those are two spots.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import NamedTuple

import numpy as np

TOLERANCE = 0.75  # seconds: bounds nearer than this are one (moments of black are shorter)
LEAST_INSIDE = 1.5  # seconds from the end of a match at which a bound within it counts
ROUNDS = 20
GRID_SECONDS, GRID_TOLERANCE = 5.0, 0.35
HOLE_SECONDS = 3.5  # between two pieces of one airing
LEAST_SECONDS = 3.0  # a shorter piece is no creative


class Link(NamedTuple):
    """The same stretch in two recordings (or twice in one), in seconds. Ends correspond; silence may come first."""

    first: str
    first_start: float
    first_end: float
    second: str
    second_start: float
    second_end: float

    def sides(self) -> tuple[tuple[str, float, float], tuple[str, float, float]]:
        """Return (recording, start, end) of both."""
        return (self.first, self.first_start, self.first_end), (self.second, self.second_start, self.second_end)


class Airing(NamedTuple):
    """One time that a creative aired."""

    recording_id: str
    start_seconds: float
    end_seconds: float


class _Bounds(NamedTuple):
    """The bounds in one recording: middles, and the exact time at which a piece starts or ends there."""

    at: list[float]
    starts: list[float]
    ends: list[float]


class _Piece(NamedTuple):
    recording_id: str
    number: int  # of the bound at which it starts


class _Timelines(NamedTuple):
    """All recordings cut into pieces: the bounds, the kind of each piece, and the kinds after joining neighbours."""

    bounds: dict[str, _Bounds]
    kinds: dict[_Piece, _Piece]
    joined: dict[_Piece, _Piece]
    members: dict[_Piece, list[_Piece]]


def group(links: Sequence[Link]) -> list[list[Airing]]:
    """Return the creatives, each with its airings in order; the order of ``links`` does not matter."""
    links = sorted(set(links))
    bounds = _bounds(links)
    kinds = _kinds(links, bounds)
    members: dict[_Piece, list[_Piece]] = defaultdict(list)
    for piece, kind in kinds.items():
        members[kind].append(piece)
    timelines = _Timelines(bounds, kinds, dict(kinds), members)
    _join(timelines)
    creatives = (_airings(timelines, pieces) for pieces in timelines.members.values())
    return sorted(sorted(airings) for airings in creatives if len(airings) > 1)


def _bounds(links: Sequence[Link]) -> dict[str, _Bounds]:
    """Return the bounds of all recordings, those carried over from other airings included."""
    starts: dict[str, list[float]] = defaultdict(list)
    ends: dict[str, list[float]] = defaultdict(list)
    for link in links:
        for name, start, end in link.sides():
            starts[name].append(start)
            ends[name].append(end)
    found = {name: _cluster(starts[name], ends[name]) for name in starts}
    for _ in range(ROUNDS):
        carried = _carried(links, found)
        if not carried:
            break
        for name, times in carried.items():
            starts[name] += times
            ends[name] += times
            found[name] = _cluster(starts[name], ends[name])
    return found


def _cluster(starts: Sequence[float], ends: Sequence[float]) -> _Bounds:
    events = sorted([(time, True) for time in starts] + [(time, False) for time in ends])
    groups: list[list[tuple[float, bool]]] = []
    for event in events:
        if groups and event[0] - groups[-1][0][0] <= TOLERANCE:
            groups[-1].append(event)
        else:
            groups.append([event])
    result = _Bounds([], [], [])
    for events in groups:
        result.at.append(median(time for time, _ in events))
        result.starts.append(median([time for time, is_start in events if is_start] or [time for time, _ in events]))
        result.ends.append(median([time for time, is_start in events if not is_start] or [time for time, _ in events]))
    return result


def _carried(links: Sequence[Link], bounds: Mapping[str, _Bounds]) -> dict[str, list[float]]:
    """Return bounds inside a match that the other side of it does not have yet."""
    new: dict[str, list[float]] = defaultdict(list)
    for link in links:
        for here, there in (link.sides(), link.sides()[::-1]):
            for time in _between(bounds[here[0]].at, here[1] + LEAST_INSIDE, here[2] - LEAST_INSIDE):
                mapped = time - here[2] + there[2]
                known = _between(bounds[there[0]].at, mapped - TOLERANCE, mapped + TOLERANCE)
                if not known and not any(abs(mapped - other) <= TOLERANCE for other in new[there[0]]):
                    new[there[0]].append(mapped)
    return {name: times for name, times in new.items() if times}


def _between(times: Sequence[float], low: float, high: float) -> Sequence[float]:
    first, last = np.searchsorted(times, (low, high))
    return times[first:last]


def _kinds(links: Sequence[Link], bounds: Mapping[str, _Bounds]) -> dict[_Piece, _Piece]:
    """Return the kind of every piece that is part of a match; a kind goes by the name of one of its pieces."""
    parents: dict[_Piece, _Piece] = {}

    def root(piece: _Piece) -> _Piece:
        while parents.setdefault(piece, piece) != piece:
            parents[piece] = parents[parents[piece]]
            piece = parents[piece]
        return piece

    for link in links:
        here, there = link.sides()
        for piece, middle in _pieces(bounds, here):
            other = _piece_at(bounds, there, middle - here[2] + there[2])
            parents.setdefault(piece, piece)
            if other is not None and other != piece:
                first, second = sorted((root(piece), root(other)))
                parents[second] = first
    return {piece: root(piece) for piece in parents}


def _pieces(bounds: Mapping[str, _Bounds], side: tuple[str, float, float]) -> Iterable[tuple[_Piece, float]]:
    own = bounds[side[0]]
    for number, (low, high) in enumerate(zip(own.at, own.at[1:], strict=False)):
        middle = (low + high) / 2
        if side[1] < middle < side[2] and low > side[1] - 2 * TOLERANCE and high < side[2] + 2 * TOLERANCE:
            yield _Piece(side[0], number), middle


def _piece_at(bounds: Mapping[str, _Bounds], side: tuple[str, float, float], time: float) -> _Piece | None:
    own = bounds[side[0]].at
    number = int(np.searchsorted(own, time)) - 1
    return _Piece(side[0], number) if 0 <= number < len(own) - 1 else None


def _join(timelines: _Timelines) -> None:
    """Join neighbouring kinds where one never airs without the other, unless both have the length of a spot."""
    members, again = timelines.members, True
    while again:
        again = False
        for pair in _neighbours(timelines):
            if all(kind in members for kind in pair) and _belong_together(timelines, *pair):
                keep, gone = sorted(pair)
                timelines.joined.update(dict.fromkeys(members[gone], keep))
                members[keep] += members.pop(gone)
                again = True


def _neighbours(timelines: _Timelines) -> list[tuple[_Piece, _Piece]]:
    joined = timelines.joined
    following = ((piece, _step(timelines, piece, 1)) for piece in joined)
    pairs = {(joined[piece], joined[after]) for piece, after in following if after is not None}
    return sorted(pair for pair in pairs if pair[0] != pair[1])


def _step(timelines: _Timelines, piece: _Piece, step: int) -> _Piece | None:
    """Return the next (or previous) piece of the recording; a short hole, as a jump of the clock leaves, is passed."""
    near = _Piece(piece.recording_id, piece.number + step)
    if near in timelines.joined:
        return near
    beyond, at = _Piece(piece.recording_id, piece.number + 2 * step), timelines.bounds[piece.recording_id].at
    short = 0 <= near.number < len(at) - 1 and at[near.number + 1] - at[near.number] <= HOLE_SECONDS
    return beyond if short and beyond in timelines.joined else None


def _belong_together(timelines: _Timelines, before: _Piece, after: _Piece) -> bool:
    def beside(kind: _Piece, step: int) -> list[_Piece | None]:
        near = (_step(timelines, piece, step) for piece in timelines.members[kind])
        kinds = [timelines.joined[piece] if piece is not None else None for piece in near]
        return [other for other in kinds if other != kind]

    ends, begins = beside(before, 1), beside(after, -1)
    if not (all(kind == after for kind in ends) or all(kind == before for kind in begins)):
        return False
    return not all(_on_grid(_longest(timelines, kind)) for kind in (before, after))


def _longest(timelines: _Timelines, kind: _Piece) -> float:
    airings = _airings(timelines, timelines.members[kind])
    return max((airing.end_seconds - airing.start_seconds for airing in airings), default=0.0)


def _on_grid(seconds: float) -> bool:
    nearest = round(seconds / GRID_SECONDS) * GRID_SECONDS
    return nearest > 0 and abs(seconds - nearest) <= GRID_TOLERANCE


def _airings(timelines: _Timelines, pieces: Iterable[_Piece]) -> list[Airing]:
    """Return the runs of neighbouring pieces; one ends where a kind of piece comes again: it airs twice in a row."""
    found, left = [], set(pieces)
    for piece in sorted(left):
        if piece not in left:
            continue
        last: _Piece = piece
        seen: set[_Piece] = set()
        following: _Piece | None = piece
        while following in left and timelines.kinds[following] not in seen:
            last = following
            seen.add(timelines.kinds[last])
            left.discard(last)
            following = _step(timelines, last, 1)
        own = timelines.bounds[piece.recording_id]
        airing = Airing(piece.recording_id, own.starts[piece.number], own.ends[last.number + 1])
        if airing.end_seconds - airing.start_seconds >= LEAST_SECONDS:
            found.append(airing)
    return found
