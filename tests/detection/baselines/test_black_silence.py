"""The rule on black and silence: what it makes of ffmpeg's words, and of a real recording with gaps between spots."""

import shutil
from pathlib import Path

import pytest
from ml_training.detection.baselines import black_silence
from ml_training.detection.baselines.black_silence import Rule, breaks_from, separators
from ml_training.detection.baselines.ffmpeg_scan import Scan, parse_scan
from ml_training.utils.errors import RecordingUnreadable, UsageError

needs_ffmpeg = pytest.mark.skipif(not shutil.which("ffmpeg"), reason="ffmpeg is not on the PATH")

SAID = """\
  Duration: 00:03:30.08, start: 1.400000, bitrate: 1154 kb/s
[Parsed_showinfo_2 @ 0x55] n:   0 pts:   1800 pts_time:0.02    duration: 3600 fmt:yuv420p
[silencedetect @ 0x56] silence_start: -0.01
[silencedetect @ 0x56] silence_end: 0.52 | silence_duration: 0.53
[blackdetect @ 0x55] black_start:60.02 black_end:60.42 black_duration:0.4
[silencedetect @ 0x56] silence_start: 60
frame=    1 fps=0.0 q=-0.0 Lsize=N/A time=00:03:30.08 bitrate=N/A speed= 155x
"""


def scan(blacks: list[tuple[float, float]], silences: list[tuple[float, float]]) -> Scan:
    return Scan(blacks, silences, 300.0)


def spans(found) -> list[tuple[float, float]]:
    return [(b.start_seconds, b.end_seconds) for b in found]


def test_the_words_of_ffmpeg_become_media_time() -> None:
    said = parse_scan(SAID)
    assert said.blacks == [(pytest.approx(60.0), pytest.approx(60.4))]
    assert said.silences[0] == (0.0, pytest.approx(0.5))
    assert said.silences[1] == (pytest.approx(59.98), pytest.approx(210.06))  # until the end
    assert said.duration_seconds == pytest.approx(210.06)


def test_separators_are_black_and_silent() -> None:
    found = separators(scan([(10, 10.3), (50, 50.3), (90, 90.3)], [(10.4, 10.8), (49, 49.5), (90.1, 90.2)]), Rule())
    assert found == [(10, 10.3), (90, 90.3)]


def test_a_row_of_separators_is_a_break() -> None:
    at = [60.0, 75.0, 90.0]
    both = [(t, t + 0.3) for t in at]
    # the last spot lasts as long as the others ...
    assert spans(breaks_from(scan(both, both), Rule())) == [(60.0, 105.0)]
    # ... unless silence alone ends it, or black alone
    assert spans(breaks_from(scan(both, [*both, (102.0, 102.2)]), Rule())) == [(60.0, 102.0)]
    assert spans(breaks_from(scan([*both, (110.0, 110.2)], both), Rule())) == [(60.0, 110.0)]


def test_a_moment_alone_is_no_break_and_far_ones_are_two() -> None:
    alone = [(60.0, 60.3)]
    assert breaks_from(scan(alone, [*alone, (75.0, 75.3)]), Rule()) == []
    assert breaks_from(scan([], []), Rule()) == []
    far = [(t, t + 0.3) for t in (10.0, 30.0, 200.0, 220.0)]
    assert spans(breaks_from(scan(far, far), Rule())) == [(10.0, 50.0), (200.0, 240.0)]


@needs_ffmpeg
def test_a_recording_with_gaps(gapped: Path, tmp_path: Path) -> None:
    outcome = black_silence.detect(gapped)
    # black and silent at 6 to 6.4 s and at 16 to 16.4 s of 24 s; the sound stops for good at 22 s
    (found,) = outcome.breaks
    assert (found.start_seconds, found.end_seconds) == (pytest.approx(6.0, abs=0.05), pytest.approx(22.0, abs=0.1))
    assert found.spots == (pytest.approx(6.0, abs=0.05), pytest.approx(16.0, abs=0.05))
    assert outcome.duration_seconds == pytest.approx(24.0, abs=0.2)
    assert outcome.times_real_time > 1


@needs_ffmpeg
def test_a_recording_without_sound_has_no_separators(silent: Path) -> None:
    assert black_silence.detect(silent).breaks == []


@needs_ffmpeg
def test_what_is_no_recording_is_told_in_the_words_of_ffmpeg(tmp_path: Path) -> None:
    path = tmp_path / "text.ts"
    path.write_text("no recording")
    with pytest.raises(RecordingUnreadable, match=r"ffmpeg cannot read text\.ts: .*Invalid data"):
        black_silence.detect(path)


def test_without_ffmpeg_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="ffmpeg is not on the PATH"):
        black_silence.detect(tmp_path / "a.ts")
