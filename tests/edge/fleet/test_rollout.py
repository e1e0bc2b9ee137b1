"""The rollout document: its form, and who gets what."""

import json
from dataclasses import replace

import pytest
from ml_training.edge.fleet.rollout import (
    Decision,
    DeviceTraits,
    ModelReference,
    ModelRollout,
    Rollout,
    Shadow,
    assign,
    decide,
    place_of,
    read_rollout,
)
from ml_training.utils.errors import RolloutError

HASH = "a" * 64
CHAMPION = ModelReference("2", "1.1.0", {"manifest.json": HASH, "model.tflite": "b" * 64})
CHALLENGER = ModelReference("3", "1.2.0", {"manifest.json": HASH, "model.tflite": "c" * 64})
PREVIOUS = ModelReference("1", "1.0.0", {"manifest.json": HASH, "model.tflite": "d" * 64})
ENTRY = ModelRollout(
    champion=CHAMPION,
    challenger=CHALLENGER,
    stage_percent=5,
    salt="grain",
    holdback_percent=2,
    pins={"pinned": "previous"},
    previous=PREVIOUS,
    exclusions=("excluded",),
    boards=("Raspberry Pi 5",),
    minimum_runtime="2.1.0",
    shadow=Shadow("challenger", 0.05),
)
ROLLOUT = Rollout(revision=17, created_at="2026-01-05T04:00:00+00:00", models={"base-general": ENTRY})
FLEET = [f"device-{number}" for number in range(2000)]


def device(device_id: str, **changes) -> DeviceTraits:
    return replace(DeviceTraits(device_id, "Raspberry Pi 5 Model B Rev 1.0", "2.3.0", ("base-general",)), **changes)


def with_entry(**changes) -> Rollout:
    return replace(ROLLOUT, models={"base-general": replace(ENTRY, **changes)})


def challenged(rollout: Rollout) -> set[str]:
    chosen = {device_id: assign(rollout, device(device_id)) for device_id in FLEET}
    return {device_id for device_id, assignment in chosen.items() if assignment.alias == "challenger"}


def test_a_document_is_read_as_it_was_written():
    assert read_rollout(ROLLOUT.to_bytes()) == ROLLOUT
    bare = replace(ROLLOUT, models={"base-general": ModelRollout(champion=CHAMPION)})
    assert read_rollout(bare.to_bytes()) == bare


def test_a_group_grows_with_the_stage_and_leaves_the_holdback_out():
    at_5, at_25, at_100 = (challenged(with_entry(stage_percent=stage)) for stage in (5, 25, 100))
    assert at_5 < at_25 < at_100
    assert len(at_5) / len(FLEET) == pytest.approx(0.05, abs=0.015)
    assert len(at_25) / len(FLEET) == pytest.approx(0.25, abs=0.03)
    held_back = {item for item in FLEET if place_of(item, "grain") >= 98}
    assert set(FLEET) - at_100 == held_back
    assert held_back


def test_another_salt_chooses_other_devices():
    assert challenged(with_entry(salt="other")) != challenged(ROLLOUT)


def test_a_place_never_changes():
    assert place_of("pi5", "grain") == pytest.approx(45.9634, abs=1e-4)


def test_pins_exclusions_boards_and_runtimes():
    assert assign(ROLLOUT, device("pinned")).model == PREVIOUS
    assert "pinned to the previous" in assign(ROLLOUT, device("pinned")).reason
    assert decide(ROLLOUT, device("excluded")) == Decision(None, ("base-general excludes excluded",))
    other_board = decide(ROLLOUT, device("a", board="Raspberry Pi 4 Model B"))
    assert other_board.assignment is None
    assert other_board.passed_over == ("base-general is for Raspberry Pi 5, this is Raspberry Pi 4 Model B",)
    old = decide(ROLLOUT, device("a", runtime="2.0.9"))
    assert old.passed_over == ("base-general needs runtime 2.1.0, this device has 2.0.9",)
    assert assign(ROLLOUT, device("a", runtime="2.10.0")) is not None


def test_a_pin_to_nothing_is_the_champion():
    chosen = assign(with_entry(previous=None), device("pinned"))
    assert (chosen.alias, chosen.model) == ("champion", CHAMPION)
    assert "but there is no previous" in chosen.reason


def test_the_first_assigned_name_that_fits_wins():
    sports = ModelRollout(champion=PREVIOUS, boards=("Raspberry Pi 4",))
    both = replace(ROLLOUT, models={**ROLLOUT.models, "sports-nfl": sports})
    names = ("show-specific-friends", "sports-nfl", "base-general")
    chosen = decide(both, device("a", assigned=names))
    assert chosen.assignment.name == "base-general"
    assert [line.split()[0] for line in chosen.passed_over] == ["show-specific-friends", "sports-nfl"]
    on_a_4 = assign(both, device("a", assigned=names, board="Raspberry Pi 4 Model B"))
    assert (on_a_4.name, on_a_4.model) == ("sports-nfl", PREVIOUS)


def test_exclusion_gives_no_less_specific_model():
    both = replace(ROLLOUT, models={**ROLLOUT.models, "sports-nfl": ModelRollout(PREVIOUS, exclusions=("a",))})
    assert assign(both, device("a", assigned=("sports-nfl", "base-general"))) is None


def test_a_model_is_no_shadow_of_itself():
    inside, outside = sorted(FLEET, key=lambda item: place_of(item, "grain"))[:: len(FLEET) // 2]
    assert assign(ROLLOUT, device(outside)).shadow == CHALLENGER
    assert assign(ROLLOUT, device(outside)).shadow_share == 0.05
    chosen = assign(ROLLOUT, device(inside))
    assert (chosen.alias, chosen.shadow, chosen.shadow_share) == ("challenger", None, 0.0)


WRONG = [
    (("format",), 2, "rollout.format"),
    (("revision",), 0, "rollout.revision"),
    (("revision",), True, "rollout.revision"),
    (("created_at",), "yesterday", "rollout.created_at"),
    (("created_at",), "2026-01-05T04:00:00", "rollout.created_at"),
    (("surplus",), 1, "rollout: unknown field 'surplus'"),
    (("models",), [], "rollout.models: expected an object"),
    (("models", "../base"), {}, "expected a name like"),
    (("models", "base-general", "champion"), None, "rollout.models.base-general.champion"),
    (("models", "base-general", "champion", "semver"), "1.2", "champion.semver"),
    (("models", "base-general", "champion", "semver"), "1.2.0/..", "champion.semver"),
    (("models", "base-general", "champion", "files"), {"manifest.json": "ab"}, "files.manifest.json"),
    (("models", "base-general", "champion", "files"), {"../manifest.json": HASH}, "expected a name like"),
    (("models", "base-general", "champion", "files"), {"model.tflite": HASH}, "expected manifest.json"),
    (("models", "base-general", "stage_percent"), 101, "stage_percent"),
    (("models", "base-general", "stage_percent"), "5", "stage_percent"),
    (("models", "base-general", "pins"), {"a": "candidate"}, "pins.a"),
    (("models", "base-general", "exclusions"), "a", "exclusions"),
    (("models", "base-general", "minimum_runtime"), "newest", "minimum_runtime"),
    (("models", "base-general", "shadow"), {"of": "challenger"}, "shadow.share is missing"),
]


@pytest.mark.parametrize(("path", "value", "message"), WRONG, ids=[f"{w[0][-1]}={w[1]}"[:40] for w in WRONG])
def test_whatever_is_wrong_is_refused_by_name(path, value, message):
    content = json.loads(ROLLOUT.to_bytes())
    place = content
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    with pytest.raises(RolloutError) as caught:
        read_rollout(json.dumps(content).encode())
    assert message in caught.value.message


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"\xff", b'{"format": NaN}', b'{"format": 1, "format": 1}', b"[" * 100_000]
)
def test_what_is_no_document_is_refused(data):
    with pytest.raises(RolloutError):
        read_rollout(data)


@pytest.mark.parametrize("name", ["format", "revision", "minimum_agent", "models"])
def test_a_missing_field_is_named(name):
    content = json.loads(ROLLOUT.to_bytes())
    del content[name]
    with pytest.raises(RolloutError, match=f"rollout.{name} is missing"):
        read_rollout(json.dumps(content).encode())
