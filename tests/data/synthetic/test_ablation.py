import pytest
from ml_training.data.synthetic.items import Item
from ml_training.data.synthetic.render import pictures, soundtrack
from ml_training.data.synthetic.schedule import Plan, plan_recording
from ml_training.utils.errors import UsageError


def plan(number: int, *ablate: str) -> Plan:
    return plan_recording(seed=7, channels=10, number=number, night=1, minutes=0.4, ablate=ablate)


def changed(number: int, name: str) -> list[tuple[Item, Item]]:
    return list(zip(plan(number).items, plan(number, name).items, strict=True))


@pytest.mark.parametrize("name", ["logos", "separators", "loudness"])
def test_times_and_labels_stay(name: str) -> None:
    assert all(plan(n).labels() == plan(n, name).labels() for n in range(10))


def test_logos_are_swapped() -> None:
    for number in range(10):
        assert all(item.logo != other.logo and not other.logo_fades for item, other in changed(number, "logos"))


def test_separators_are_gone() -> None:
    pairs = [pair for number in range(10) for pair in changed(number, "separators")]
    assert any(item.black_ticks for item, _ in pairs)
    assert not any(other.black_ticks for _, other in pairs)


def test_everything_is_equally_loud() -> None:
    pairs = [pair for number in range(10) for pair in changed(number, "loudness")]
    assert len({other.sound.gain_db for _, other in pairs}) == len({other.sound.density for _, other in pairs}) == 1
    assert len({item.sound.gain_db for item, _ in pairs}) > 20


def test_an_ablated_recording_can_be_drawn() -> None:
    ablated = plan(3, "logos", "separators", "loudness")
    assert sum(1 for _ in pictures(ablated)) == ablated.ticks
    assert len(soundtrack(ablated)) == round(float(0.4 * 60 * 48_000))


def test_an_unknown_cue_is_refused() -> None:
    with pytest.raises(UsageError, match="colour"):
        plan(0, "colour")
