"""Decodes a recording, or a part of it, and gives the frames that stand for it, by their own timestamps.

    with MediaFile(path) as media:
        for frame in decode_part(media, plan, track):       # as planned: only what is needed
            frame.pts_seconds, frame.image                  # RGB uint8 [224, 224, 3]

    whole = WholeDecoder(media, frames_per_second=1.0)      # damaged or irregular: everything, from the start
    for frame in whole.frames(track): ...

The frame for a target time k / frames_per_second is the first intact one at or after it. Where a plan does not come out
(``PlanBroken``), the recording is decoded whole. Damaged packets and frames are counted and passed over there.
"""

import itertools
import logging
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ml_training.data.audio.track import SoundTrack
from ml_training.data.frames import Image, stretch_resize
from ml_training.data.media_file import MediaFile
from ml_training.data.media_time import Gap, MediaClock, target_number
from ml_training.data.packet_plan import REFERENCE, SKIP, PartPlan, plan_part
from ml_training.data.parts import Layout
from ml_training.data.timeline import read_timeline

INTRA = 1  # AV_PICTURE_TYPE_I
SEEK_BACK_SECONDS = (1.0, 5.0, 30.0)  # containers that search by time land near, not at; in the end: from the start
EARLY_PACKETS = 2000  # packets of sound that wait for the first frame, some 40 s: what is older is let go

logger = logging.getLogger(__name__)


class SampledFrame(NamedTuple):
    """A chosen frame: its media time, and RGB uint8 [224, 224, 3]."""

    pts_seconds: float
    image: Image


class VideoFacts(NamedTuple):
    """What the timeline or decoding showed of a recording."""

    duration_seconds: float
    first_pts_seconds: float
    gaps: list[Gap]
    timestamp_resets: int
    decode_errors: int
    width: int
    height: int
    average_frame_rate: float
    video_codec: str
    audio_sample_rate: int | None


class PlanBroken(Exception):
    """The file or the decoder did not give what the plan counts on."""


def stream_facts(media: MediaFile) -> dict[str, Any]:
    """Return the fields of VideoFacts that the streams themselves tell."""
    context = media.video.codec_context
    return {
        "width": context.width,
        "height": context.height,
        "average_frame_rate": round(float(media.frame_rate), 6),
        "video_codec": context.name,
        "audio_sample_rate": media.audio.codec_context.sample_rate if media.audio is not None else None,
    }


def decode_part(media: MediaFile, plan: PartPlan, track: SoundTrack | None = None) -> Iterator[SampledFrame]:
    """Yield the wanted frames of a part in order; the sound goes to ``track``. Raises PlanBroken."""
    check = _Check(plan)
    at = 0
    for packet in _landed(media, plan) if len(plan.pts) else ():
        if not packet.size:
            continue
        if not media.is_video(packet):
            if track is not None:
                _feed(track, packet, plan)
            continue
        if at == len(plan.pts):
            break
        if packet.pts != plan.pts[at]:
            raise PlanBroken("its packets differ when they are read again")
        if at == plan.checked_from:
            media.errors = 0
        action, at = plan.actions[at], at + 1
        if action != SKIP:
            skip = "NONKEY" if plan.keyframes_only else "NONREF" if action == REFERENCE else "DEFAULT"
            media.video.codec_context.skip_frame = skip
            yield from check.pass_on(media, media.decode(packet), checked=at > plan.checked_from)
    if at < len(plan.pts):
        raise PlanBroken("it ends earlier when it is read again")
    yield from check.pass_on(media, media.flush(), checked=True)
    check.finish()
    if track is not None:
        track.finish()


def _feed(track: SoundTrack, packet: Any, plan: PartPlan) -> None:
    if plan.audio_from is not None and (packet.pts is None or plan.audio_from <= packet.pts <= plan.audio_end):
        track.feed(packet)


def _landed(media: MediaFile, plan: PartPlan) -> Iterator[Any]:
    """Seek so that the packets begin with the plan's first one; from the start of the file where seeking fails."""
    first = int(plan.pts[0])
    if not plan.from_start:
        for back in SEEK_BACK_SECONDS:
            media.seek(first - round(back / media.video.time_base))
            packets = media.packets()
            for packet in packets:
                if media.is_video(packet) and packet.pts is not None:
                    if packet.pts == first:
                        return itertools.chain([packet], packets)
                    if packet.pts > first:
                        break
    media.rewind()
    packets = media.packets()
    if plan.from_start:
        return packets
    for packet in packets:
        if media.is_video(packet) and packet.pts == first:
            return itertools.chain([packet], packets)
    raise PlanBroken("a keyframe is not found again")


class _Check:
    """Passes wanted frames on and sees to it that the decoder gives what the plan counts on."""

    def __init__(self, plan: PartPlan) -> None:
        keys = plan.pts[(plan.actions != SKIP) & plan.is_key]
        self._checked_pts = int(plan.pts[plan.checked_from]) if len(plan.pts) else 0
        self._keyframes = frozenset(keys[keys > self._checked_pts].tolist())
        self._wanted = plan.wanted
        self._waiting = iter(plan.wanted.items())
        self._next = next(self._waiting, None)
        self._must_come = set(plan.must_come)
        self._must_come_by = max(plan.must_come, default=0)

    def pass_on(self, media: MediaFile, frames: list[Any], *, checked: bool) -> Iterator[SampledFrame]:
        if checked and media.errors:
            raise PlanBroken("it has damaged packets")
        for frame in frames:
            if frame.pts is None or (frame.pts < self._checked_pts and frame.pts not in self._wanted):
                if frame.pts is None and checked:
                    raise PlanBroken("it has frames without a timestamp")
                continue
            self._must_come.discard(frame.pts)
            if frame.is_corrupt or (self._must_come and frame.pts > self._must_come_by):
                raise PlanBroken("it has damaged frames")
            if frame.pts in self._keyframes and frame.pict_type != INTRA:
                raise PlanBroken("its keyframes are not whole pictures")
            if self._next is not None and frame.pts == self._next[0]:
                yield _sampled(media, frame, self._next[1])
                self._next = next(self._waiting, None)

    def finish(self) -> None:
        if self._next is not None or self._must_come:
            raise PlanBroken("a frame did not come at its timestamp")


class WholeDecoder:
    """Decodes a recording from its start to its end. ``facts()`` is complete once all frames came."""

    def __init__(self, media: MediaFile, frames_per_second: float, *, keyframes_only: bool = False) -> None:
        self._media, self._rate, self._keyframes_only = media, frames_per_second, keyframes_only
        media.rewind()
        self.clock = MediaClock(media.video.time_base, media.frame_seconds)
        self._lost = 0
        self._early = deque[Any](maxlen=EARLY_PACKETS)

    def frames(self, track: SoundTrack | None = None) -> Iterator[SampledFrame]:
        """Yield the frames that stand for the recording; the sound goes to ``track``.

        Raises RecordingUnreadable when not one frame decodes.
        """
        last = -1
        for frame in self._decoded(track):
            seconds = self.clock.advance(frame.pts, frame.duration)
            if seconds is None or frame.is_corrupt:
                self._lost += 1
            elif target_number(seconds, self._rate) > last and (frame.key_frame or not self._keyframes_only):
                yield _sampled(self._media, frame, seconds)
                last = target_number(seconds, self._rate)
        if self.clock.first_ticks is None:
            raise self._media.unreadable("not one video frame could be decoded")
        if track is not None:
            track.finish()

    def sound_seconds(self, pts: int) -> float:
        """Return the media time of a timestamp of the sound track."""
        return self.clock.seconds_of(pts * self._media.audio.time_base)

    def facts(self) -> VideoFacts:
        """Return what was seen so far."""
        clock = self.clock
        return VideoFacts(
            duration_seconds=round(clock.end_seconds, 6),
            first_pts_seconds=float((clock.first_ticks or 0) * clock.time_base),
            gaps=clock.gaps,
            timestamp_resets=clock.resets,
            decode_errors=self._media.errors + self._lost,
            **stream_facts(self._media),
        )

    def _decoded(self, track: SoundTrack | None) -> Iterator[Any]:
        for packet in self._media.packets():
            if not self._media.is_video(packet):
                if track is not None:
                    self._hear(track, packet)
                continue
            for frame in self._media.decode(packet):
                if frame.pts is None:
                    self._lost += 1
                else:
                    yield frame

    def _hear(self, track: SoundTrack, packet: Any) -> None:
        """Sound that comes before the first frame waits: only that frame says when zero is."""
        self._early.append(packet)
        if self.clock.first_ticks is not None:
            while self._early:
                track.feed(self._early.popleft())


def sample_recording(
    path: Path, frames_per_second: float, *, sparing: bool = True, keyframes_only: bool = False
) -> tuple[list[SampledFrame], VideoFacts]:
    """Return all frames that stand for a recording, and its facts, in one process and without its sound.

    ``sparing`` leaves out what is not needed, where the recording allows it; the frames are the same.
    """
    with MediaFile(str(path)) as media:
        timeline = read_timeline(media) if sparing else None
        if timeline is not None:
            layout = Layout(frames_per_second)
            choice = timeline.choose(frames_per_second, keyframes_only=keyframes_only)
            facts = timeline.facts(media.frame_seconds)
            parts = layout.parts(facts.duration_seconds)
            frames: list[SampledFrame] = []
            try:
                for part in parts:
                    last = part is parts[-1]
                    plan = plan_part(timeline, choice, part, layout, is_last=last, keyframes_only=keyframes_only)
                    media.rewind()
                    frames += list(decode_part(media, plan))[int(plan.has_before) :]
                return frames, VideoFacts(**facts._asdict(), timestamp_resets=0, decode_errors=0, **stream_facts(media))
            except PlanBroken as broken:
                logger.info("%s is decoded whole: %s", media.name, broken)
        whole = WholeDecoder(media, frames_per_second, keyframes_only=keyframes_only)
        return list(whole.frames()), whole.facts()


def _sampled(media: MediaFile, frame: Any, seconds: float) -> SampledFrame:
    return SampledFrame(seconds, stretch_resize(media.picture(frame)))
