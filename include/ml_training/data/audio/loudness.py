"""Loudness around a frame: momentary loudness of ITU-R BS.1770 (400 ms, K-weighted, all channels), in LUFS.

    marks = LoudnessMarks()
    marks.add(end_seconds=0.4, blocks=4, loudness=-23.1)      # what the window of 400 ms that ends there has
    marks.around(0.2)                                          # -23.1; None where there is no sound

The filter gives a value every 100 ms; a frame takes the window whose middle is nearest, so within 50 ms where sound
goes on, and at the edges of sound the last whole window.
"""

from bisect import bisect_left

BLOCK_SECONDS = 0.1  # a value of libavfilter's ebur128
WINDOW_BLOCKS = 4  # momentary loudness looks at 400 ms (EBU Tech 3341)
FARTHEST_SECONDS = 0.3  # a window whose middle is farther from the frame does not speak for it
SILENCE_LUFS = -60.0  # below the noise of a broadcast's quietest speech by some 20 LU; digital silence is -120.7


class LoudnessMarks:
    """Values of windows, by the media time of the window's middle."""

    def __init__(self) -> None:
        self._seconds: list[float] = []
        self._loudness: list[float] = []

    def add(self, end_seconds: float, blocks: int, loudness: float) -> None:
        """Note the window that ends at ``end_seconds``, after so many blocks of its run; incomplete ones are not."""
        if blocks < WINDOW_BLOCKS:
            return
        middle = end_seconds - WINDOW_BLOCKS * BLOCK_SECONDS / 2
        at = len(self._seconds)
        if self._seconds and middle < self._seconds[-1]:
            at = bisect_left(self._seconds, middle)
        self._seconds.insert(at, middle)
        self._loudness.insert(at, loudness)

    def around(self, seconds: float) -> float | None:
        """Return the loudness around a media time in LUFS, None where there is no sound."""
        at = bisect_left(self._seconds, seconds)
        near = [place for place in (at - 1, at) if 0 <= place < len(self._seconds)]
        best = min(near, key=lambda place: abs(self._seconds[place] - seconds), default=None)
        if best is None or abs(self._seconds[best] - seconds) > FARTHEST_SECONDS:
            return None
        return round(self._loudness[best], 3)


def is_silent(loudness: float | None) -> bool | None:
    """Tell whether a loudness is silence; None where there is no sound."""
    return None if loudness is None else loudness < SILENCE_LUFS
