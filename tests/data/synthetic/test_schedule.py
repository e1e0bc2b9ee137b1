import dataclasses
import itertools

import pytest
from ml_training.data.synthetic.creatives import draw_creative
from ml_training.data.synthetic.formats import FORMATS, Format
from ml_training.data.synthetic.generate import ad_share
from ml_training.data.synthetic.items import Item
from ml_training.data.synthetic.profiles import draw_profile
from ml_training.data.synthetic.schedule import Plan, plan_recording
from ml_training.utils.records import LABELS, SCORED_LABELS, Segment


def night(number: int, *, recordings: int = 16, minutes: float = 3.5, seed: int = 7) -> list[Plan]:
    return [plan_recording(seed=seed, channels=10, number=n, night=number, minutes=minutes) for n in range(recordings)]


def creatives(plans: list[Plan]) -> set[str]:
    return {item.creative for plan in plans for item in plan.items if item.label == "ad" and item.creative}


@pytest.mark.parametrize("seed", [1, 7, 8])
@pytest.mark.parametrize("minutes", [0.5, 3.5])
def test_ads_are_fifteen_to_thirty_percent(seed: int, minutes: float) -> None:
    assert 0.15 <= ad_share(night(1, minutes=minutes, seed=seed)) <= 0.30


@pytest.mark.parametrize("minutes", [0.25, 0.5, 3.5, 12])
def test_labels_are_contiguous_and_hold_both_classes(minutes: float) -> None:
    for plan in night(1, minutes=minutes):
        labels = plan.labels()
        assert labels[0]["start"] == 0
        assert all(a["end"] == b["start"] for a, b in itertools.pairwise(labels))
        assert {"ad", "content"} <= {entry["label"] for entry in labels}
        jump = plan.gap[1] if plan.gap else 0
        assert labels[-1]["end"] == pytest.approx(minutes * 60 + jump, abs=0.1)
        for entry in labels:
            Segment(start_seconds=entry["start"], end_seconds=entry["end"], label=entry["label"])


def test_unscored_segments_stay_below_five_percent() -> None:
    plans = [plan for number in (1, 2, 3) for plan in night(number)]
    unscored = sum(item.ticks for plan in plans for item in plan.items if item.label not in SCORED_LABELS)
    assert 0 < unscored < 0.05 * sum(plan.ticks for plan in plans)


def test_most_creatives_belong_to_one_channel_and_recur() -> None:
    plans = [plan for number in (1, 2, 3) for plan in night(number)]
    aired = [item.creative for plan in plans for item in plan.items if item.label == "ad" and item.creative]
    own = sum(not name.startswith("national") for name in aired) / len(aired)
    assert 0.65 <= own <= 0.9
    assert len(set(aired)) < len(aired)
    for plan in plans:
        names = [item.creative for item in plan.items if item.label == "ad" and item.creative]
        assert all(name.startswith(("national", plan.profile.channel)) for name in names)


def test_a_later_night_has_other_recordings_with_old_and_new_creatives() -> None:
    first, second = night(1), night(2)
    assert {p.recording_id for p in first}.isdisjoint(p.recording_id for p in second)
    assert {p.profile for p in first} == {p.profile for p in second}
    assert first[0].recording_id == "channel-01_2026-01-05_2000"
    assert second[0].recording_id == "channel-01_2026-01-06_2000"
    assert creatives(second) & creatives(first)
    assert creatives(second) - creatives(first)


def test_a_creative_is_the_same_film_wherever_it_is_aired() -> None:
    assert draw_creative(7, "national-ad-001-10s") == draw_creative(7, "national-ad-001-10s")
    assert draw_creative(7, "national-ad-001-10s") != draw_creative(8, "national-ad-001-10s")


@pytest.mark.parametrize("seed", [1, 7, 8])
def test_a_quarter_of_the_channels_keeps_its_logo_in_ads(seed: int) -> None:
    policies = [draw_profile(seed, index).logo_policy for index in range(8)]
    assert policies.count("always") == 2
    assert {"absent", "fades", "translucent", "programme"} <= set(policies)


def test_what_recurs_is_the_same_film_with_the_same_sound() -> None:
    films: dict[str, list[Item]] = {}
    for plan in (plan for number in (1, 2, 3) for plan in night(number)):
        for item in plan.items:
            if item.creative and not item.squeeze:
                films.setdefault(item.creative, []).append(item)
    again = [items for items in films.values() if len(items) > 1]
    assert {items[0].label for items in again} >= {"ad", "promo", "ident", "content"}
    for first, *others in again:
        sound = dataclasses.replace(first.sound, gain_db=0)  # channels differ in how loud their ads are
        assert all(dataclasses.replace(other.sound, gain_db=0) == sound for other in others)
        assert all([s.ticks for s in other.shots] == [s.ticks for s in first.shots] for other in others)


def test_every_kind_of_item_is_aired() -> None:
    items = [item for number in range(1, 9) for plan in night(number) for item in plan.items]
    assert {item.label for item in items} == set(LABELS)
    sport = [item for item in items if item.squeeze]
    assert all(item.label == "ad" for item in sport)
    assert {bool(item.squeeze.inset) for item in sport if item.squeeze} == {True, False}
    both = {item.label for item in items if any(shot.aspect for shot in item.shots)}
    assert both >= {"ad", "content"}


@pytest.mark.parametrize("form", FORMATS, ids=str)
def test_labels_are_times_of_frames(form: Format) -> None:
    plan = night(1)[0]
    plan = dataclasses.replace(plan, gap=(700, 1.6), profile=dataclasses.replace(plan.profile, form=form))
    for entry in plan.labels():
        frame = entry["start"] * float(form.frame_rate)
        assert frame == pytest.approx(round(frame), abs=0.04)
