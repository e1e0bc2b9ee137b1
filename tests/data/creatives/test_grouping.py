import itertools
import random

import pytest
from ml_training.data.creatives.grouping import Airing, Link, group


def links(*airings):
    """Every pair of these airings (recording, start, end) matches."""
    return [Link(*one, *other) for one, other in itertools.combinations(sorted(airings), 2)]


def test_airings_of_one_creative_are_one_group():
    found = group(links(("a", 10, 30), ("b", 50.1, 70.1), ("c", 5, 25)))
    assert found == [[Airing("a", 10, 30), Airing("b", 50.1, 70.1), Airing("c", 5, 25)]]


def test_the_order_of_matches_does_not_matter():
    all_links = links(("a", 10, 30), ("b", 50, 70), ("c", 5, 25)) + links(("a", 30, 45), ("c", 60, 75))
    shuffled = random.Random(3).sample(all_links, len(all_links))
    assert group(all_links) == group(shuffled)


def test_two_spots_that_aired_together_come_apart_where_one_airs_alone():
    together = links(("a", 10, 45), ("b", 50, 85))
    alone = [Link("a", 10, 30, "c", 5, 25), Link("b", 50, 70, "c", 5, 25)]
    assert group(together + alone) == [
        [Airing("a", 10, 30), Airing("b", 50, 70), Airing("c", 5, 25)],
        [Airing("a", 30, 45), Airing("b", 70, 85)],
    ]


def test_a_cut_airing_stays_with_its_creative():
    together = links(("a", 10, 30), ("b", 50, 70))
    cut = [Link("a", 10, 22.3, "c", 5, 17.3), Link("b", 50, 62.3, "c", 5, 17.3)]
    assert group(together + cut) == [[Airing("a", 10, 30), Airing("b", 50, 70), Airing("c", 5, 17.3)]]


def test_a_spot_twice_in_a_row_airs_twice():
    found = group([Link("a", 10, 20, "b", 50, 60), Link("a", 20, 30, "b", 50, 60), Link("a", 10, 20, "a", 20, 30)])
    assert found == [[Airing("a", 10, 20), Airing("a", 20, 30), Airing("b", 50, 60)]]


def test_a_jump_of_the_clock_within_an_airing_does_not_cut_it():
    found = group([Link("a", 10, 18, "b", 50, 58), Link("a", 19, 31, "b", 58, 70)])
    assert found == [[Airing("a", 10, 31), Airing("b", 50, 70)]]


def test_nothing_gives_nothing():
    assert group([]) == []


@pytest.mark.parametrize("seconds", [1.0, 2.5])
def test_a_piece_that_is_too_short_is_no_creative(seconds):
    assert group(links(("a", 10, 10 + seconds), ("b", 50, 50 + seconds))) == []
