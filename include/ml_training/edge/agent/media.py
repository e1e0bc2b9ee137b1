"""Frames and sound of a file or a stream from an ``ffmpeg`` process, at the times and in the form that training has.

    with Source("udp://239.0.0.1:1234", hears=True) as source:
        for frame in source.frames():
            frame.pts_seconds, frame.image            # uint8 [224, 224, 3] RGB
        source.sound.cut(10.0, 20.0)                  # int16 [160000]

ffmpeg takes the first frame at or after each second since the first one, turns it to RGB and leaves its size; the
resize is ours, as exact as training's. Its pictures wait in a pipe until they are asked for, so a file is read as
fast as it is judged. Sound is placed by its own timestamps, holes are zeros.
"""

import os
import queue
import re
import shutil
import subprocess
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import IO, Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from ml_training.edge.agent.resize import area_resize
from ml_training.utils.errors import ConfigError, RecordingUnreadable

Image = npt.NDArray[np.uint8]
Samples = npt.NDArray[np.int16]

SIZE = 224
SAMPLE_RATE = 16_000
SOUND_KEPT_SECONDS = 60  # of sound behind the newest: windows look back ten seconds at most
READ_BYTES = 32_768
STOP_SECONDS = 5.0
STALL_SECONDS = 60.0  # a stream without a frame for so long has ended
LINES_KEPT = 20
EACH_SECOND = (  # frames without a time are left out, as in training
    r"select='not(isnan(t))*(isnan(prev_selected_t)"
    r"+gt(floor(t-start_t+0.000001)\,floor(prev_selected_t-start_t+0.000001)))'"
)
TIME_BASE = re.compile(r"config in time_base: (\d+)/(\d+)")
SHOWN = re.compile(r"\] n: *\d+ pts: *(-?\d+) .* s:(\d+)x(\d+) ")


class Frame(NamedTuple):
    """A frame at its media time."""

    pts_seconds: float
    image: Image  # uint8 [224, 224, 3]


class SoundRing:
    """The newest minute of sound, by media time. One thread adds, another cuts."""

    def __init__(self, seconds: int = SOUND_KEPT_SECONDS) -> None:
        self._ring: Samples = np.zeros(seconds * SAMPLE_RATE, np.int16)
        self._end = 0  # samples since the container's zero
        self._zero = 0  # the sample at media time 0
        self._over = False
        self._lock = threading.Lock()

    def begin_at(self, seconds: float) -> None:
        """Say where on the container's clock media time begins: at the first frame."""
        with self._lock:
            self._zero = round(seconds * SAMPLE_RATE)

    def add(self, samples: Samples) -> None:
        """Append what follows; the oldest is forgotten."""
        samples = samples[-len(self._ring) :]
        with self._lock:
            places = (self._end + np.arange(len(samples))) % len(self._ring)
            self._ring[places] = samples
            self._end += len(samples)

    def finish(self) -> None:
        """Say that no more will come."""
        self._over = True

    def reaches(self, seconds: float) -> bool:
        """Tell whether the sound up to a media time is there, or no more will come."""
        return self._over or self._end >= self._zero + round(seconds * SAMPLE_RATE)

    def cut(self, start: float, end: float) -> Samples:
        """Return the sound of a stretch of media time, zeros where there is none."""
        length, first = round((end - start) * SAMPLE_RATE), round(start * SAMPLE_RATE)
        taken = np.zeros(length, np.int16)
        with self._lock:
            first += self._zero
            low = max(first, self._end - len(self._ring), 0, self._zero)
            high = min(first + length, self._end)
            if high > low:
                taken[low - first : high - first] = self._ring[np.arange(low, high) % len(self._ring)]
        return taken


class Source:
    """One run of ffmpeg. ``sound`` is None where the model does not listen, or nothing is to be heard."""

    def __init__(self, location: str, *, hears: bool = False, options: Sequence[str] = ()) -> None:
        self._location, self._options = location, tuple(options)
        self.sound: SoundRing | None = SoundRing() if hears else None
        self._process: subprocess.Popen[bytes] | None = None
        self._threads: list[threading.Thread] = []
        self._shown: queue.Queue[tuple[int, int, int] | None] = queue.Queue()
        self._time_base = Fraction(1, 90_000)
        self._lines: deque[str] = deque(maxlen=LINES_KEPT)

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End ffmpeg."""
        process = self._process
        if process is None:
            return
        process.terminate()
        assert process.stdout is not None
        process.stdout.close()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for thread in self._threads:
            thread.join(STOP_SECONDS)
        self._process, self._threads = None, []

    def frames(self) -> Iterator[Frame]:
        """Yield a frame a second until the end. Raises RecordingUnreadable when there is not one frame."""
        first: int | None = None
        while (shown := self._next_shown()) is not None:
            pts, width, height = shown
            if first is None:
                first = pts
                if self.sound is not None:
                    self.sound.begin_at(float(first * self._time_base))
            picture = self._picture(width, height)
            if picture is None:
                break
            yield Frame(float((pts - first) * self._time_base), area_resize(picture, SIZE, SIZE))
        if first is None and self.sound is not None and self._is_silent():
            self.stop()
            self.sound = None
            self._start()
            yield from self.frames()
        elif first is None:
            raise RecordingUnreadable(f"{self._location} gives no frame: {self._complaint()}", uri=self._location)

    def _start(self) -> None:
        if shutil.which("ffmpeg") is None:
            raise ConfigError("there is no ffmpeg here: install it, for example with apt install ffmpeg")
        heard, hearing = os.pipe() if self.sound is not None else (None, None)
        command = ["ffmpeg", "-hide_banner", "-nostdin", "-nostats", "-loglevel", "info", *self._options]
        command += ["-i", self._location, "-map", "0:v:0", "-vf", f"{EACH_SECOND},showinfo=checksum=0"]
        command += ["-fps_mode", "passthrough", "-pix_fmt", "rgb24", "-f", "rawvideo", "pipe:1"]
        if hearing is not None:
            command += ["-map", "0:a:0", "-af", "aresample=16000:async=1:first_pts=0", "-ac", "1", "-f", "s16le"]
            command += [f"pipe:{hearing}"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            pass_fds=() if hearing is None else (hearing,),
        )  # fmt: skip
        assert self._process.stderr is not None
        self._begin(self._read_log, self._process.stderr)
        if heard is not None and hearing is not None:
            os.close(hearing)
            self._begin(self._listen, os.fdopen(heard, "rb"))

    def _begin(self, work: Any, pipe: IO[bytes]) -> None:
        thread = threading.Thread(target=work, args=(pipe,), daemon=True)
        thread.start()
        self._threads.append(thread)

    def _read_log(self, pipe: IO[bytes]) -> None:
        for line in pipe:
            text = line.decode(errors="replace").rstrip()
            if found := SHOWN.search(text):
                pts, width, height = found.groups()
                self._shown.put((int(pts), int(width), int(height)))
            elif found := TIME_BASE.search(text):
                self._time_base = Fraction(int(found[1]), int(found[2]))
            elif "showinfo" not in text:
                self._lines.append(text)
        self._shown.put(None)
        pipe.close()

    def _listen(self, pipe: IO[bytes]) -> None:
        sound = self.sound
        assert sound is not None
        rest = b""
        with pipe:
            while data := pipe.read1(READ_BYTES):  # type: ignore[attr-defined]  # a BufferedReader has it
                data = rest + data
                even = len(data) // 2 * 2
                sound.add(np.frombuffer(data[:even], np.int16))
                rest = data[even:]
        sound.finish()

    def _next_shown(self) -> tuple[int, int, int] | None:
        try:
            return self._shown.get(timeout=STALL_SECONDS)
        except queue.Empty:
            self._lines.append(f"no frame came for {STALL_SECONDS:g} s")
            return None

    def _picture(self, width: int, height: int) -> Image | None:
        if self._process is None:
            return None
        assert self._process.stdout is not None
        data = self._process.stdout.read(width * height * 3)
        return np.frombuffer(data, np.uint8).reshape(height, width, 3) if len(data) == width * height * 3 else None

    def _is_silent(self) -> bool:
        return any("matches no streams" in line for line in self._lines)

    def _complaint(self) -> str:
        plain = [line for line in self._lines if self._location in line or "rror" in line or "no frame" in line]
        return (plain or list(self._lines) or ["ffmpeg says nothing"])[-1]


def encode_jpeg(image: Image) -> bytes:
    """Return uint8 [H, W, 3] RGB as a JPEG of high quality. Raises RecordingUnreadable when ffmpeg fails."""
    height, width = image.shape[:2]
    command = ["ffmpeg", "-hide_banner", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24"]
    command += ["-s", f"{width}x{height}", "-i", "pipe:0", "-frames:v", "1", "-q:v", "2"]
    command += ["-pix_fmt", "yuvj444p", "-f", "mjpeg", "pipe:1"]
    done = subprocess.run(command, input=image.tobytes(), capture_output=True, check=False, timeout=30)
    if done.returncode or not done.stdout:
        raise RecordingUnreadable(f"ffmpeg makes no JPEG: {done.stderr.decode(errors='replace').strip()[-200:]}")
    return done.stdout
