"""SIGTERM ends the work at once, or at a moment that the work chooses."""

import os
import signal

import pytest
from ml_training.utils.termination import Terminated, deferred_termination, listen_for_termination


@pytest.fixture(autouse=True)
def listening():
    before = signal.getsignal(signal.SIGTERM)
    listen_for_termination()
    yield
    signal.signal(signal.SIGTERM, before)


def terminate():
    os.kill(os.getpid(), signal.SIGTERM)


def deferred(reached):
    """Get SIGTERM twice, and then at once; say what was reached."""
    with deferred_termination() as termination:
        with termination.at_once():
            reached.append("cut off later")
        terminate()
        terminate()
        reached.append(termination.asked)
        with termination.at_once():
            reached.append("never")


def cut_off(reached):
    with deferred_termination() as termination, termination.at_once():
        terminate()
        reached.append("never")


def at_the_end(reached):
    with deferred_termination():
        terminate()
        reached.append("the end")
    reached.append("never")


def with_an_error():
    with deferred_termination():
        terminate()
        raise ValueError("own")


def test_it_ends_at_once():
    with pytest.raises(Terminated):
        terminate()


@pytest.mark.parametrize(
    ("work", "expected"), [(deferred, ["cut off later", True]), (cut_off, []), (at_the_end, ["the end"])]
)
def test_the_work_chooses_the_moment(work, expected):
    reached = []
    with pytest.raises(Terminated):
        work(reached)
    assert reached == expected
    with pytest.raises(Terminated):
        terminate()


def test_an_error_of_the_work_is_what_counts():
    with pytest.raises(ValueError, match="own"):
        with_an_error()
