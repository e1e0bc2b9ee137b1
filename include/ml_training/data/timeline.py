"""The timeline of a recording: what its packets say of time, without decoding them.

    timeline = read_timeline(media)                     # None when the recording is damaged or irregular
    choice = timeline.choose(frames_per_second=1.0)     # which frames stand for it, and when they are
    timeline.facts(media.frame_seconds).gaps

It holds some 13 bytes a packet (5 MB for two hours), so memory stays flat whatever the length. A recording whose
timestamps fall, are missing or occur twice, or whose packets are damaged, has no timeline: it is decoded whole. Only
those of sound may fall a little: where recordings are spliced, the sound of one often ends after the other's begins.
"""

from array import array
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ml_training.data.media_file import MediaFile
from ml_training.data.media_time import GAP_FRAMES, RESET_SECONDS, ROUNDING_SECONDS, TIME_TOLERANCE, Gap

SOUND_FALLS_SECONDS = 0.5  # at most: by more than a splice, and nobody knows what is right
PLANNED_CODECS = frozenset({"h264", "hevc", "mpeg2video"})  # whose decoders pass over unreferenced pictures

Ticks = npt.NDArray[np.int64]
Seconds = npt.NDArray[np.float64]


class Choice(NamedTuple):
    """The frames that stand for a recording, in order of presentation.

    ``packets`` are their places in the timeline, ``seconds`` their media times, ``targets`` the numbers k of the last
    target time k / frames_per_second at or before each.
    """

    packets: npt.NDArray[np.int64]
    seconds: Seconds
    targets: npt.NDArray[np.int64]


class TimeFacts(NamedTuple):
    """What the timeline tells of a recording as a whole."""

    duration_seconds: float
    first_pts_seconds: float
    gaps: list[Gap]


@dataclass(frozen=True)
class Timeline:
    """The packets of a regular recording in order of decoding; zero of media time is ``zero_ticks``.

    ``audio_pts`` are the latest timestamps of sound up to each of its packets, ``audio_place`` how many video packets
    lie before it.
    """

    time_base: Fraction
    zero_ticks: int
    pts: Ticks
    duration: npt.NDArray[np.int32]
    is_key: npt.NDArray[np.bool_]
    audio_time_base: Fraction | None
    audio_pts: Ticks
    audio_place: npt.NDArray[np.int32]

    @property
    def zero_seconds(self) -> float:
        """The timestamp of media time zero, in seconds of the container."""
        return float(self.zero_ticks * self.time_base)

    def seconds(self, packets: npt.NDArray[np.int64]) -> Seconds:
        """Return the media times of some packets."""
        ticks = (self.pts[packets] - self.zero_ticks) * self.time_base.numerator
        return np.asarray(ticks / self.time_base.denominator, np.float64)

    def shown(self) -> npt.NDArray[np.int64]:
        """Return the places of the packets at or after zero, in order of presentation."""
        order = np.argsort(self.pts, kind="stable")
        return order[np.searchsorted(self.pts[order], self.zero_ticks) :]

    def choose(self, frames_per_second: float, *, keyframes_only: bool = False) -> Choice:
        """Choose the first frame (or keyframe) at or after each k / frames_per_second; each at most once."""
        shown = self.shown()
        if keyframes_only:
            shown = shown[self.is_key[shown]]
        seconds = self.seconds(shown)
        targets = np.floor((seconds + TIME_TOLERANCE) * frames_per_second).astype(np.int64)
        due = np.diff(targets, prepend=-1) > 0
        return Choice(shown[due], seconds[due], targets[due])

    def facts(self, frame_seconds: float) -> TimeFacts:
        """Return duration and gaps, by the rules of ``MediaClock``."""
        shown = self.shown()
        seconds = self.seconds(shown)
        ticks = self.duration[shown]
        durations = np.where(ticks > 0, ticks * float(self.time_base), frame_seconds)
        steps = np.diff(seconds)
        wide = steps > GAP_FRAMES * np.maximum(frame_seconds, durations[:-1]) + ROUNDING_SECONDS
        gaps = [
            Gap(round(float(at), 6), round(float(step), 6))
            for at, step in zip(seconds[:-1][wide], steps[wide], strict=True)
        ]
        return TimeFacts(round(float(seconds[-1] + durations[-1]), 6), self.zero_seconds, gaps)


def read_timeline(media: MediaFile) -> Timeline | None:
    """Read all packets of a recording; None when it has to be decoded whole. The file is at its start afterwards."""
    if media.video.codec_context.name not in PLANNED_CODECS:
        return None
    zero = _first_shown(media)
    media.rewind()
    if zero is None:
        return None
    packets = _Packets()
    for packet in media.packets():
        if packet.size and not (packets.add_video(packet) if media.is_video(packet) else packets.add_audio(packet)):
            break
    else:
        packets.is_whole = media.errors == 0
    timeline = packets.timeline(media, zero) if packets.is_whole else None
    media.rewind()
    return timeline


def _first_shown(media: MediaFile) -> int | None:
    """Return the timestamp of the first frame that decodes, None when something is wrong before it."""
    for packet in media.packets():
        if media.is_video(packet):
            frames = media.decode(packet)
            if frames or media.errors:
                return frames[0].pts if frames and not media.errors else None
    return None


class _Packets:
    """Gathers the packets of a recording, as long as they are regular."""

    def __init__(self) -> None:
        self.is_whole = False
        self._pts, self._duration, self._keys = array("q"), array("i"), array("b")
        self._audio_pts, self._audio_place = array("q"), array("i")
        self._last_dts: int | None = None

    def add_video(self, packet: Any) -> bool:
        pts, dts = packet.pts, packet.dts
        if (
            pts is None
            or packet.is_corrupt
            or (dts is not None and self._last_dts is not None and dts < self._last_dts)
        ):
            return False
        self._last_dts = self._last_dts if dts is None else dts
        self._pts.append(pts)
        self._duration.append(packet.duration or 0)
        self._keys.append(packet.is_keyframe)
        return True

    def add_audio(self, packet: Any) -> bool:
        pts = packet.pts
        if pts is None:
            return True  # goes on where the one before ends
        newest = self._audio_pts[-1] if self._audio_pts else pts
        if newest - pts > SOUND_FALLS_SECONDS / packet.time_base:
            return False
        self._audio_pts.append(max(pts, newest))
        self._audio_place.append(len(self._pts))
        return True

    def timeline(self, media: MediaFile, zero: int) -> Timeline | None:
        time_base = media.video.time_base
        pts = np.frombuffer(self._pts, np.int64)
        is_key = np.frombuffer(self._keys, np.int8).astype(bool)
        if not is_key.any() or len(np.unique(pts)) < len(pts):
            return None
        if np.max(np.maximum.accumulate(pts) - pts) > RESET_SECONDS / time_base:
            return None
        return Timeline(
            time_base=time_base,
            zero_ticks=zero,
            pts=pts,
            duration=np.frombuffer(self._duration, np.int32),
            is_key=is_key,
            audio_time_base=media.audio.time_base if media.audio is not None else None,
            audio_pts=np.frombuffer(self._audio_pts, np.int64),
            audio_place=np.frombuffer(self._audio_place, np.int32),
        )
