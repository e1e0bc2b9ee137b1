"""Work in threads: in order, bounded, and with the error of what failed."""

import threading
import time
from collections.abc import Iterator

import pytest
from ml_training.utils.parallel import in_threads, stream_in_threads


def slow_first(number: int) -> int:
    time.sleep(0.05 if number == 0 else 0)
    return number * 2


def test_results_come_in_the_order_of_the_items() -> None:
    assert in_threads(range(20), slow_first) == list(range(0, 40, 2))
    assert list(stream_in_threads(range(20), slow_first)) == list(range(0, 40, 2))
    assert list(stream_in_threads([], slow_first)) == []


def test_a_stream_runs_only_a_little_ahead() -> None:
    asked: list[int] = []

    def items() -> Iterator[int]:
        for number in range(1000):
            asked.append(number)
            yield number

    stream = stream_in_threads(items(), lambda number: number, threads=2)
    assert [next(stream) for _ in range(3)] == [0, 1, 2]
    assert len(asked) <= 3 + 4
    stream.close()


def test_a_failure_is_raised_where_its_result_would_stand() -> None:
    def work(number: int) -> int:
        if number == 3:
            raise ValueError("three")
        return number

    stream = stream_in_threads(range(100), work)
    assert [next(stream) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        next(stream)
    with pytest.raises(ValueError, match="three"):
        in_threads(range(5), work)
    assert threading.active_count() < 20
