"""Media time: zero at the first frame, never backwards, gaps kept."""

from fractions import Fraction

import pytest
from ml_training.data.media_time import WRAP_TICKS, Gap, MediaClock

FRAME = 3600  # ticks of 1/90000 s


def times(ticks: list[int]) -> tuple[list[float | None], MediaClock]:
    clock = MediaClock(Fraction(1, 90_000), 0.04)
    return [clock.advance(tick) for tick in ticks], clock


def test_zero_is_the_first_frame_and_time_is_not_counted() -> None:
    seconds, clock = times([135_120, 135_120 + FRAME, 135_120 + 3 * FRAME])
    assert seconds == pytest.approx([0.0, 0.04, 0.12])
    assert clock.first_ticks == 135_120
    assert clock.end_seconds == pytest.approx(0.16)


def test_a_gap_is_more_than_two_frame_durations() -> None:
    _, clock = times([0, FRAME, 3 * FRAME, 6 * FRAME])
    assert clock.gaps == [Gap(0.12, 0.12)]


def test_a_long_frame_of_variable_rate_is_no_gap() -> None:
    clock = MediaClock(Fraction(1, 90_000), 0.04)
    clock.advance(0, 90_000)
    clock.advance(90_000, 90_000)
    assert clock.gaps == []
    assert clock.end_seconds == 2.0


def test_the_33_bit_counter_wraps() -> None:
    seconds, clock = times([WRAP_TICKS - FRAME, 0, FRAME])
    assert seconds == pytest.approx([0.0, 0.04, 0.08])
    assert clock.resets == 0


def test_a_reset_counter_goes_on_one_frame_later() -> None:
    seconds, clock = times([900_000, 900_000 + FRAME, 0, FRAME])
    assert seconds == pytest.approx([0.0, 0.04, 0.08, 0.12])
    assert clock.resets == 1


def test_a_frame_out_of_order_has_no_time() -> None:
    seconds, clock = times([0, 2 * FRAME, FRAME, 3 * FRAME])
    assert seconds == [0.0, pytest.approx(0.08), None, pytest.approx(0.12)]
    assert clock.resets == 0
