from datetime import timedelta
from email.utils import format_datetime

import pytest
from ml_training.edge.agent.clock import Clock
from ml_training.utils.errors import UpdateRefused

YEAR = 365 * 86400


def test_a_right_clock_passes():
    clock = Clock()
    clock.check(known_over=clock.text(), server_date=format_datetime(clock.now()))
    clock.check(known_over=None, server_date="nonsense")


def test_a_clock_before_what_is_over_is_wrong():
    with pytest.raises(UpdateRefused, match="the clock is wrong: it says"):
        Clock(-YEAR).check(known_over=Clock().text())


@pytest.mark.parametrize("offset", [-YEAR, YEAR])
def test_a_clock_far_from_the_servers_is_wrong(offset):
    with pytest.raises(UpdateRefused, match=r"here it is .*, there") as error:
        Clock(offset).check(server_date=format_datetime(Clock().now()))
    assert error.value.facts["kind"] == "clock"


def test_an_hour_is_no_year():
    Clock().check(server_date=format_datetime(Clock().now() - timedelta(hours=1)))
