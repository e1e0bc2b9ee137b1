"""Copies are found whatever their encoding, length and start; what merely shares a few pictures is none."""

import numpy as np
import pytest
from ml_training.data.validation.duplicates import ALIKE_BITS, FEWEST_QUERIES, Prints, find_copies, own_queries

RANDOM = np.random.default_rng(7)


def pictures(count: int = 200) -> np.ndarray:
    return RANDOM.integers(0, 256, (count, 8), dtype=np.uint8)


def prints(hashes: np.ndarray, start: float = 0.0) -> Prints:
    return Prints(np.arange(len(hashes)) + start, hashes)


def encoded_again(hashes: np.ndarray, bits: int = ALIKE_BITS - 4) -> np.ndarray:
    """Flip a few bits of each hash, as another encode does."""
    changed = hashes.copy()
    for row in changed:
        for bit in RANDOM.choice(64, bits, replace=False):
            row[bit // 8] ^= 1 << (bit % 8)
    return changed


EVENING, OTHER = pictures(), pictures()


def test_another_encode_with_another_start_is_a_copy() -> None:
    found = find_copies(
        ["again"],
        {"evening": prints(EVENING), "other": prints(OTHER), "again": prints(encoded_again(EVENING), 3.4)},
        order=["evening", "other", "again"],
    )
    assert found["again"].of == "evening"
    assert found["again"].share > 0.95


def test_of_two_alike_only_the_later_is_the_copy() -> None:
    both = {"a": prints(EVENING), "b": prints(EVENING)}
    assert list(find_copies(["a", "b"], both, order=["a", "b"])) == ["b"]
    assert list(find_copies(["a", "b"], both, order=["b", "a"])) == ["a"]


def test_a_part_is_the_copy_of_the_whole_also_when_it_came_first() -> None:
    both = {"part": prints(EVENING[50:120]), "whole": prints(EVENING)}
    assert list(find_copies(["part", "whole"], both, order=["part", "whole"])) == ["part"]


@pytest.mark.parametrize("shared", [0.3, 0.6])
def test_what_shares_some_pictures_repeats_so_much(shared: float) -> None:
    count = int(200 * shared)
    partly = np.concatenate([EVENING[:count], pictures(200 - count)])
    found = find_copies(["rerun"], {"evening": prints(EVENING), "rerun": prints(partly)}, order=["evening", "rerun"])
    assert found["rerun"].share == pytest.approx(shared, abs=0.03)


def test_the_same_pictures_in_another_order_are_no_copy() -> None:
    shuffled = EVENING[RANDOM.permutation(len(EVENING))]
    found = find_copies(["mixed"], {"evening": prints(EVENING), "mixed": prints(shuffled)}, order=["evening", "mixed"])
    assert found["mixed"].share < 0.2


def test_still_pictures_say_nothing() -> None:
    still = np.repeat(pictures(1), 200, axis=0)
    assert len(own_queries(prints(still))) < FEWEST_QUERIES
    assert find_copies(["b"], {"a": prints(still), "b": prints(still)}, order=["a", "b"]) == {}
    assert find_copies(["b"], {"b": prints(EVENING)}, order=["b"]) == {}
