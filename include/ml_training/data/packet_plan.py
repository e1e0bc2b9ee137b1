"""Which packets have to be decoded to get the frames and the sound of one part of a recording, and no others.

    plan = plan_part(timeline, choice, part, layout)
    plan.actions[7]              # SKIP, REFERENCE (decode only what others need) or DECODE

At one frame a second most packets are never seen: pictures that no other refers to, and the ends of groups of pictures.
Leaving them out saves a third to a half of the work, and the frames are the same to the bit. A decoder that begins in
the middle of a recording gets one group of pictures as a run-up, of which nothing is used.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ml_training.data.parts import Layout, Part
from ml_training.data.timeline import SOUND_FALLS_SECONDS, Choice, Ticks, Timeline

SKIP, REFERENCE, DECODE = 0, 1, 2
WHOLE_GROUPS = 2  # groups at the start that are decoded whole: there decoders drop what they cannot show yet
# The last group is decoded whole too: a recording that was cut off shows its damage there.
SOUND_BEFORE_SECONDS = 0.7  # sound read before a part: decoders warm up, and loudness looks at 0.4 s
SOUND_AFTER_SECONDS = SOUND_FALLS_SECONDS  # what falls back into a part comes no later

Indices = npt.NDArray[np.int64]


class PartPlan(NamedTuple):
    """What to do with the packets ``pts`` (in order of decoding, from a keyframe or the start of the file on).

    ``wanted`` maps timestamps of frames to media times; the first is the frame before the part when ``has_before``.
    Before packet ``checked_from`` lies the run-up, where damage means nothing. The keyframes after it must be whole
    pictures, and all of ``must_come`` must come out. ``audio_from`` is the first packet of sound to use, None for none.
    """

    part: Part
    from_start: bool
    pts: Ticks
    is_key: npt.NDArray[np.bool_]
    actions: npt.NDArray[np.uint8]
    checked_from: int
    wanted: dict[int, float]
    has_before: bool
    must_come: frozenset[int]
    audio_from: int | None
    audio_end: int
    zero_seconds: float
    keyframes_only: bool


def plan_part(
    timeline: Timeline, choice: Choice, part: Part, layout: Layout, *, is_last: bool, keyframes_only: bool = False
) -> PartPlan:
    """Return the plan of a part. ``choice`` is of the whole recording; the frame chosen before the part comes too."""
    numbers = choice.targets // layout.targets_per_part
    chosen = np.flatnonzero(numbers == part.number)
    has_before = len(chosen) > 0 and chosen[0] > 0
    if has_before:
        chosen = np.concatenate([chosen[:1] - 1, chosen])
    packets = choice.packets[chosen]
    actions, checked_from = _actions(timeline, packets, part, is_last=is_last, keyframes_only=keyframes_only)
    used = np.flatnonzero(actions)
    audio = _audio_range(timeline, part, is_last=is_last)
    places = [*used[[0, -1]], *timeline.audio_place[audio]] if len(used) else [*timeline.audio_place[audio]]
    begin, end = _stretch(timeline, places)
    must_come = _start(timeline) if part.number == 0 and not keyframes_only else frozenset[int]()
    return PartPlan(
        part=part,
        from_start=begin == 0,
        pts=timeline.pts[begin:end],
        is_key=timeline.is_key[begin:end],
        actions=actions[begin:end],
        checked_from=max(0, checked_from - begin),
        wanted=dict(zip(timeline.pts[packets].tolist(), choice.seconds[chosen].tolist(), strict=True)),
        has_before=bool(has_before),
        must_come=must_come,
        audio_from=int(timeline.audio_pts[audio[0]]) if audio else None,
        audio_end=int(timeline.audio_pts[audio[1]]) if audio else 0,
        zero_seconds=timeline.zero_seconds,
        keyframes_only=keyframes_only,
    )


def _actions(
    timeline: Timeline, packets: Indices, part: Part, *, is_last: bool, keyframes_only: bool
) -> tuple[npt.NDArray[np.uint8], int]:
    """Return an action for each packet of the recording, and the packet from which on damage counts."""
    actions = np.zeros(len(timeline.pts), np.uint8)
    if keyframes_only:
        actions[packets] = DECODE
        return actions, 0
    groups = _groups(timeline)
    wanted = _wanted_groups(timeline, packets, groups)
    edges = set(range(WHOLE_GROUPS)) if part.number == 0 else set[int]()
    edges |= {len(groups) - 1} if is_last else set()
    for number in sorted(set(wanted) | {edge for edge in edges if edge < len(groups)}):
        first, end = groups[number]
        if number in edges:
            actions[first:end] = DECODE
        else:
            actions[first : wanted[number] + 1] = REFERENCE
    actions[packets] = DECODE
    used = np.flatnonzero(actions)
    if not len(used):
        return actions, 0
    checked_from = int(used[0])
    if part.number > 0:
        run_up = max(0, int(np.searchsorted([first for first, _ in groups], checked_from)) - 1)
        actions[groups[run_up][0] : checked_from] = DECODE
    return actions, checked_from


def _groups(timeline: Timeline) -> list[tuple[int, int]]:
    """Return the groups of pictures as ranges of packets; what lies before the first keyframe belongs to the first."""
    starts = np.flatnonzero(timeline.is_key).tolist()
    return list(zip([0, *starts[1:]], [*starts[1:], len(timeline.pts)], strict=True))


def _wanted_groups(timeline: Timeline, packets: Indices, groups: Sequence[tuple[int, int]]) -> dict[int, int]:
    """Return the groups that are needed, each with the last of its packets that is."""
    starts = np.array([first for first, _ in groups])
    needed: dict[int, int] = {}
    for packet, number in zip(packets.tolist(), (np.searchsorted(starts, packets, "right") - 1).tolist(), strict=True):
        needed[number] = max(needed.get(number, packet), packet)
        if number > 0 and timeline.pts[packet] < timeline.pts[groups[number][0]]:  # shown before its keyframe
            needed[number - 1] = groups[number - 1][1] - 1
    return needed


def _start(timeline: Timeline) -> frozenset[int]:
    end = _groups(timeline)[:WHOLE_GROUPS][-1][1]
    pts = timeline.pts[:end]
    return frozenset(pts[pts >= timeline.zero_ticks].tolist())


def _audio_range(timeline: Timeline, part: Part, *, is_last: bool) -> list[int]:
    """Return the first and the last packet of sound that a part needs; nothing where it has none."""
    if timeline.audio_time_base is None or not len(timeline.audio_pts):
        return []
    ticks_a_second = float(1 / timeline.audio_time_base)
    begin = (timeline.zero_seconds + part.start_seconds - SOUND_BEFORE_SECONDS) * ticks_a_second
    end = (timeline.zero_seconds + part.end_seconds + SOUND_AFTER_SECONDS) * ticks_a_second
    first, last = np.searchsorted(timeline.audio_pts, [begin, end])
    last = len(timeline.audio_pts) if is_last else last
    return [int(first), int(last) - 1] if last > first else []


def _stretch(timeline: Timeline, places: Sequence[int]) -> tuple[int, int]:
    """Return the range of packets to read: from the keyframe at or before the first place to the last place."""
    if not places:
        return 0, 0
    keys = np.flatnonzero(timeline.is_key[: min(places) + 1])
    begin = int(keys[-1]) if len(keys) else 0
    return begin, min(len(timeline.pts), int(max(places)) + 1)
