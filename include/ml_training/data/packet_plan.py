"""Which packets of a recording have to be decoded to get the frames that are wanted, and no others.

    plan = plan_packets(packets, zero_ticks=135_120, clock=MediaClock(...), frames_per_second=1.0)
    plan.actions[7]              # Action.SKIP, Action.REFERENCE (only if others need it) or Action.DECODE

At one frame a second most packets are never seen: pictures that no other refers to, and the ends of groups of pictures.
Leaving them out saves a third to a half of the work, and the frames are the same to the bit. A recording that is not
regular (damage, missing or falling timestamps) has no plan: all of it is decoded.
"""

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

from ml_training.data.media_time import MediaClock

PLANNED_CODECS = frozenset({"h264", "hevc", "mpeg2video"})  # whose decoders pass over unreferenced pictures
WHOLE_GROUPS = 2  # groups at the start that are decoded whole: there decoders drop what they cannot show yet
# The last group is decoded whole too: a recording that was cut off shows its damage there.
TIME_TOLERANCE = 1e-6  # seconds; far below one tick of 1/90000 s: a float's rounding, not a frame's


class Packet(NamedTuple):
    """What the container says of a packet, in order of decoding."""

    pts: int | None
    dts: int | None
    duration: int | None
    is_keyframe: bool
    is_corrupt: bool


class Action(Enum):
    """What to do with a packet."""

    SKIP = "skip"
    REFERENCE = "decode if another picture refers to it"
    DECODE = "decode"


class Plan(NamedTuple):
    """An action for each packet, and what the decoder has to give for the plan to hold.

    ``wanted`` maps timestamps to media times, ``keyframes`` must be whole pictures, and all of ``start`` must come out.
    """

    actions: list[Action]
    wanted: dict[int, float]
    keyframes: frozenset[int]
    start: frozenset[int]


def next_target(seconds: float, frames_per_second: float) -> int:
    """Return the number k of the first target time k / frames_per_second after a frame."""
    return int((seconds + TIME_TOLERANCE) * frames_per_second) + 1


def is_due(seconds: float, target: int, frames_per_second: float) -> bool:
    """Tell whether a frame lies at or after target time number ``target``."""
    return seconds + TIME_TOLERANCE >= target / frames_per_second


def plan_packets(
    packets: Sequence[Packet], *, zero_ticks: int, clock: MediaClock, frames_per_second: float
) -> Plan | None:
    """Return the plan for a recording whose first decodable frame is at ``zero_ticks``; None when it is not regular.

    ``clock`` is new, and has seen all frames afterwards.
    """
    if not _is_regular(packets):
        return None
    wanted = _wanted(packets, zero_ticks, clock, frames_per_second)
    starts = [at for at, packet in enumerate(packets) if packet.is_keyframe]
    if not starts or clock.resets:
        return None
    actions = [Action.SKIP] * len(packets)
    for number, start in enumerate(starts):
        end = starts[number + 1] if number + 1 < len(starts) else len(packets)
        is_edge = number < WHOLE_GROUPS or end == len(packets)
        whole = is_edge or _leads(packets, end, starts, number + 1, wanted)
        last = end - 1 if whole else max((at for at in range(start, end) if packets[at].pts in wanted), default=-1)
        for at in range(start, last + 1):
            actions[at] = Action.DECODE if is_edge or packets[at].pts in wanted else Action.REFERENCE
    actions[: starts[0]] = [Action.DECODE] * starts[0]
    sent = frozenset(packets[at].pts or 0 for at in starts[1:] if actions[at] is not Action.SKIP)
    begin = packets[: starts[WHOLE_GROUPS] if len(starts) > WHOLE_GROUPS else len(packets)]
    shown = frozenset(packet.pts for packet in begin if packet.pts is not None and packet.pts >= zero_ticks)
    return Plan(actions, wanted, sent, shown)


def _is_regular(packets: Sequence[Packet]) -> bool:
    last_dts: int | None = None
    for packet in packets:
        if packet.pts is None or packet.dts is None or packet.is_corrupt:
            return False
        if last_dts is not None and packet.dts < last_dts:
            return False
        last_dts = packet.dts
    return True


def _wanted(
    packets: Sequence[Packet], zero_ticks: int, clock: MediaClock, frames_per_second: float
) -> dict[int, float]:
    wanted: dict[int, float] = {}
    target = 0
    shown = sorted((p.pts, p.duration) for p in packets if p.pts is not None and p.pts >= zero_ticks)
    for pts, duration in shown:
        seconds = clock.advance(pts, duration)
        if seconds is not None and is_due(seconds, target, frames_per_second):
            wanted[pts] = seconds
            target = next_target(seconds, frames_per_second)
    return wanted


def _leads(packets: Sequence[Packet], start: int, starts: Sequence[int], number: int, wanted: dict[int, float]) -> bool:
    """Tell whether a wanted picture of the group at ``start`` comes before its keyframe, and needs the group before."""
    end = starts[number + 1] if number + 1 < len(starts) else len(packets)
    key = packets[start].pts or 0
    return any((packet.pts or 0) < key and packet.pts in wanted for packet in packets[start:end])
