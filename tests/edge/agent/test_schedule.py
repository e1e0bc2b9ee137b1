import sys
from datetime import timedelta

import pytest
from ml_training.edge.agent import schedule
from ml_training.edge.agent.clock import Clock
from ml_training.edge.agent.home import Home
from ml_training.edge.agent.schedule import Checks
from ml_training.edge.agent.state import changed_state

UP_SECONDS, HOUR, OWN = 10_000.0, 3600.0, 0.25
DONE = 'print(\'{"outcome": "current", "message": "all is well"}\')'
LASTING = "import time; time.sleep(600)"


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path)
    home.write_config({"device_id": "pi", "delivery_url": "http://127.0.0.1:9"})
    return home


def checks(home, code=DONE):
    own = Checks(home, home.read_config(), Clock())
    own._command = [sys.executable, "-c", code]
    return own


@pytest.mark.parametrize(
    ("up", "age_minutes", "due"),
    [
        (UP_SECONDS, 10, UP_SECONDS + 50 * 60),  # a service that starts again goes on as before
        (UP_SECONDS, 500, OWN * HOUR),  # it was down for long, or crashed too soon each time
        (UP_SECONDS, None, UP_SECONDS),
        (UP_SECONDS, -500, OWN * HOUR),  # the clock was wrong
        (60.0, 500, OWN * HOUR),  # power came back: not all at once
    ],
)
def test_the_first_check_is_due_an_hour_after_the_last_one(home, monkeypatch, up, age_minutes, due):
    monkeypatch.setattr(schedule, "unit_interval", lambda *arguments: OWN)
    monkeypatch.setattr(schedule.time, "monotonic", lambda: up)
    if age_minutes is not None:
        with changed_state(home) as state:
            state.last_check["at"] = (Clock().now() - timedelta(minutes=age_minutes)).isoformat()
    own = checks(home)
    assert own._due == pytest.approx(due, abs=30)
    assert own.is_due() is (own._due <= up)


def test_a_check_is_waited_for_and_told(home, caplog):
    own = checks(home)
    with caplog.at_level("INFO"):
        own.now()
    assert "current: all is well" in caplog.text
    assert own._process is None
    assert not own.is_due()


def test_a_check_that_lasts_is_not_waited_for_without_end(home, monkeypatch):
    monkeypatch.setattr(schedule, "WAIT_SECONDS", 0.05)
    own = checks(home, LASTING)
    own.now()
    process = own._process
    assert process.poll() is None
    own.step()
    assert own._process is process
    own.stop()
    assert process.poll() is not None
