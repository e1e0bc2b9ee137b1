"""Names and versions of models."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ml_training.registry.versioning import (
    SemanticVersion,
    change_between,
    full_name,
    next_version,
    parse_full_name,
    parse_model_name,
    parse_version,
)
from ml_training.utils.errors import UsageError

versions = st.builds(SemanticVersion, *[st.integers(0, 999)] * 3)


@pytest.mark.parametrize(
    ("text", "model_type", "variant"),
    [
        ("base-general", "base", "general"),
        ("sports-nfl", "sports", "nfl"),
        ("show-specific-friends", "show-specific", "friends"),
        ("network-cnn", "network", "cnn"),
        ("network-tv-2", "network", "tv-2"),
    ],
)
def test_names_of_the_design(text: str, model_type: str, variant: str) -> None:
    assert parse_model_name(text) == (model_type, variant)
    assert str(parse_model_name(text)) == text


@pytest.mark.parametrize("text", ["", "base", "base-", "general", "Base-general", "base-a--b", "base-a' OR '"])
def test_names_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match="base-general"):
        parse_model_name(text)


@pytest.mark.parametrize("text", ["1", "1.2", "1.2.3.4", "01.2.3", "v1.2.x", "-1.0.0", "1.2.3\n"])
def test_versions_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match=r"1\.2\.0"):
        parse_version(text)


@given(versions, st.sampled_from(["base-general", "show-specific-v2-x"]))
def test_a_full_name_reads_back(version: SemanticVersion, name: str) -> None:
    assert parse_full_name(full_name(name, version)) == (parse_model_name(name), version)
    assert parse_version(f"v{version}") == version


@given(st.lists(versions), st.sampled_from(["major", "minor", "patch"]))
def test_the_next_version_is_higher_than_all(known: list[SemanticVersion], change: str) -> None:
    following = next_version(known, change)  # type: ignore[arg-type]
    assert following not in known
    assert all(following > version for version in known if change != "patch" or version <= max(known))
    assert known or following == (1, 0, 0)


def test_what_follows() -> None:
    assert SemanticVersion(1, 2, 3).next("major") == (2, 0, 0)
    assert SemanticVersion(1, 2, 3).next("minor") == (1, 3, 0)
    assert SemanticVersion(1, 2, 3).next("patch") == (1, 2, 4)
    assert next_version([parse_version("1.10.0"), parse_version("1.9.0")], "minor") == (1, 11, 0)


def test_a_changed_interface_is_major() -> None:
    old = {"input": {"shape": [1, 224, 224, 3], "dtype": "int8", "scale": 0.1}, "run_id": "a"}
    assert change_between(old, {**old, "run_id": "b", "input": {**old["input"], "scale": 0.2}}) == "minor"
    assert change_between(old, {**old, "input": {**old["input"], "shape": [1, 192, 192, 3]}}) == "major"
    assert change_between(old, {**old, "preprocessing": {"resize": "other"}}) == "major"
