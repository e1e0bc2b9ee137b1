import numpy as np
import pytest
from ml_training.data.synthetic.cues import PATCH, PATCHES, Cues
from ml_training.data.synthetic.deep_audit import deep_audit
from ml_training.utils.errors import DataError, ValidationFailed


def recordings(*, joint: bool = False, trace: bool = False, channels: int = 3, seconds: int = 110) -> list[Cues]:
    """Cues that say nothing alone; with ``joint`` two of them say all together, with ``trace`` the patches do."""
    rng, tables = np.random.default_rng(7), []
    for number in range(channels):
        is_ad = rng.random(seconds) < 0.25
        first, second = rng.normal(size=(2, seconds))
        sign = np.where(is_ad, 1.0, -1.0) * np.sign(first)
        cues = {"first": first, "second": np.abs(second) * sign if joint else second}
        noise = rng.normal(0, 30, (seconds, PATCHES, PATCH, PATCH))
        noise *= np.where(is_ad & trace, 1.8, 1.0)[:, None, None, None]
        tables.append(Cues(f"channel-{number:02d}", is_ad, cues, np.clip(noise, -127, 127).astype(np.int8)))
    return tables


def test_cues_that_say_nothing_lead_nowhere() -> None:
    found = deep_audit(recordings())
    assert found["trees_f1"] < 0.6
    assert found["patches_f1"] < 0.6
    assert found["always_ad_f1"] == pytest.approx(0.4, abs=0.06)
    assert found["model_f1"] is None  # nothing to compare with


def test_cues_that_tell_only_together_and_traces_of_the_encoder_are_found() -> None:
    with pytest.raises(ValidationFailed, match=r"trees_f1.*patches_f1") as failure:
        deep_audit(recordings(joint=True, trace=True), model_f1=0.9)
    assert min(failure.value.deep["trees_f1"], failure.value.deep["patches_f1"]) > 0.86


def test_one_channel_is_not_enough() -> None:
    with pytest.raises(DataError, match="two channels"):
        deep_audit(recordings(channels=1))
