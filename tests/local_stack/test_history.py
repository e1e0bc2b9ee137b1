import pytest
from local_stack.errors import InputError, StackError
from local_stack.history import History
from local_stack.plans import FIRST, LATER, TINY, plan_of_night


def test_generated_nights_are_counted_and_own_ones_are_not(place):
    history = History(place)
    assert history.next_generated_night() == 1
    history.add(kind="own", night=0, fingerprint="abc")
    assert history.next_generated_night() == 1
    history.add(kind="generated", night=1, fingerprint="")
    assert history.next_generated_night() == 2
    assert history.is_done("abc")
    assert not history.is_done("other")


def test_measured_durations_hold_over_the_committed_ones(place):
    history = History(place)
    history.remember("first", {"services": 12.34})
    assert history.expected("first")["services"] == 12.3
    assert "services" not in history.expected("own") or history.expected("own")["services"] != 12.3


def test_a_damaged_state_file_is_named(place):
    (place.state / "nights.json").write_text("{")
    with pytest.raises(StackError, match=r"nights\.json should be JSON"):
        History(place).next_generated_night()


def test_plans():
    assert plan_of_night(1, {}) == FIRST
    assert plan_of_night(2, {}) == LATER
    assert plan_of_night(2, {"ADBREAK_NIGHT": "tiny"}) == TINY
    with pytest.raises(InputError, match="ADBREAK_NIGHT=big"):
        plan_of_night(1, {"ADBREAK_NIGHT": "big"})
