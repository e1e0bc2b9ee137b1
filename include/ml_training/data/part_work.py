"""The work on a recording that takes time: its parts, by several processes, or all of it in one pass.

    job = PartJob(location, plan, target, layout, duration_seconds=3600.0, has_sound=True)
    rows = do_part(job)                      # decode, measure, store; runs in any process
    rows, facts = do_whole(media, target, layout, keyframes_only=False)

A part depends on nothing but the recording and its plan: each begins with a newly opened file and fresh decoders, so
its bytes are the same whoever makes it.
"""

from collections.abc import Iterator
from typing import NamedTuple

from ml_training.data.audio.loudness import LoudnessMarks
from ml_training.data.audio.sound import SAMPLE_RATE, Sound
from ml_training.data.audio.track import SoundBuffer, SoundTrack
from ml_training.data.frames import Seen
from ml_training.data.media_file import MediaFile
from ml_training.data.packet_plan import PartPlan
from ml_training.data.parts import PART_SECONDS, Layout, Part
from ml_training.data.shards import PartRows, PartWriter
from ml_training.data.video import SampledFrame, VideoFacts, WholeDecoder, decode_part

SOUND_LAG_SECONDS = 5.0  # how long a part waits for sound that comes after its pictures


class PartJob(NamedTuple):
    """What a process needs to know to make one part."""

    location: str
    plan: PartPlan
    target: str
    layout: Layout
    duration_seconds: float
    has_sound: bool


def do_part(job: PartJob) -> PartRows:
    """Decode a part, store its pictures and sound, and return its rows. Raises PlanBroken before anything is stored."""
    plan, part = job.plan, job.plan.part
    writer = PartWriter(job.target, part, job.layout, previous=None)
    marks = LoudnessMarks()
    with MediaFile(job.location) as media:
        buffer, track = _sound(media, plan, marks, job) if job.has_sound else (None, None)
        for number, frame in enumerate(decode_part(media, plan, track)):
            if number == 0 and plan.has_before:
                writer.skip(frame)
            else:
                writer.add(frame)
    errors = track.errors if track is not None else 0
    return writer.store(marks, buffer, duration_seconds=job.duration_seconds, sound_errors=errors)


def _sound(media: MediaFile, plan: PartPlan, marks: LoudnessMarks, job: PartJob) -> tuple[SoundBuffer, SoundTrack]:
    buffer = _buffer(plan.part, job.layout, job.duration_seconds)
    time_base = media.audio.time_base
    return buffer, SoundTrack(buffer.place, marks, lambda pts: float(pts * time_base) - plan.zero_seconds)


def _buffer(part: Part, layout: Layout, duration_seconds: float) -> SoundBuffer:
    end = min(part.end_shard * layout.shard_samples, round(duration_seconds * SAMPLE_RATE))
    first = part.first_shard * layout.shard_samples
    return SoundBuffer(first, max(first, end))


def do_whole(
    media: MediaFile, target: str, layout: Layout, *, keyframes_only: bool
) -> tuple[list[PartRows], VideoFacts]:
    """Decode a damaged or irregular recording from start to end, storing part after part.

    Raises RecordingUnreadable when not one frame decodes.
    """
    decoder = WholeDecoder(media, layout.frames_per_second, keyframes_only=keyframes_only)
    work = _WholeWork(target, layout, has_sound=media.audio is not None)
    track = SoundTrack(work.place, work.marks, decoder.sound_seconds) if media.audio is not None else None
    done: list[PartRows] = []
    for frame in decoder.frames(track):
        done += work.add(frame)
    facts = decoder.facts()
    done += work.finish(facts.duration_seconds, track.errors if track is not None else 0)
    return done, facts


class _WholeWork:
    """Parts of one recording that are filled at the same time: sound runs ahead of the pictures, or after them."""

    def __init__(self, target: str, layout: Layout, *, has_sound: bool) -> None:
        self._target, self._layout, self._has_sound = target, layout, has_sound
        self.marks = LoudnessMarks()
        self._writers: dict[int, PartWriter] = {}
        self._buffers: dict[int, SoundBuffer] = {}
        self._done = 0  # parts before it are stored
        self._newest = 0.0
        self._seen: Seen | None = None

    def place(self, at: int, samples: Sound) -> None:
        """Put sound into the parts that it belongs to; what is far from the pictures has a wrong timestamp."""
        size = self._layout.shard_samples * self._layout.shards_per_part
        if not -size < at < (self._newest + 2 * max(PART_SECONDS, size / SAMPLE_RATE)) * SAMPLE_RATE:
            return
        for number in range(max(self._done, at // size), (at + len(samples) - 1) // size + 1):
            self._buffer(number).place(at, samples)

    def add(self, frame: SampledFrame) -> Iterator[PartRows]:
        """Take a frame; give the parts that are complete."""
        self._newest = frame.pts_seconds
        number = self._layout.shard_of(frame.pts_seconds) // self._layout.shards_per_part
        writer = self._writer(number)
        writer.add(frame)
        self._seen = writer.seen
        while self._layout.part(self._done).end_seconds + SOUND_LAG_SECONDS <= frame.pts_seconds:
            yield self._store(self._done, self._layout.part(self._done).end_seconds, 0)

    def finish(self, duration_seconds: float, sound_errors: int) -> Iterator[PartRows]:
        """Give the parts that are left, up to the end of the recording."""
        parts = self._layout.parts(duration_seconds)
        for part in parts[self._done :]:
            self._writer(part.number).part = part
            yield self._store(part.number, duration_seconds, sound_errors if part is parts[-1] else 0)

    def _store(self, number: int, duration_seconds: float, sound_errors: int) -> PartRows:
        writer, buffer = self._writer(number), self._buffer(number) if self._has_sound else None
        del self._writers[number]
        self._buffers.pop(number, None)
        self._done = number + 1
        return writer.store(self.marks, buffer, duration_seconds=duration_seconds, sound_errors=sound_errors)

    def _writer(self, number: int) -> PartWriter:
        if number not in self._writers:
            part = self._layout.part(number)
            self._writers[number] = PartWriter(self._target, part, self._layout, previous=self._seen)
        return self._writers[number]

    def _buffer(self, number: int) -> SoundBuffer:
        if number not in self._buffers:
            part = self._layout.part(number)
            self._buffers[number] = _buffer(part, self._layout, part.end_shard * self._layout.shard_seconds)
        return self._buffers[number]
