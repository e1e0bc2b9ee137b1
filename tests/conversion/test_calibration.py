import numpy as np
from ml_training.conversion.calibration import CalibrationFrame, CalibrationSet, balanced

CHANNELS = np.array(["large"] * 900 + ["middle"] * 90 + ["small"] * 10, object)


def counts_of(chosen):
    return {str(name): int((CHANNELS[chosen] == name).sum()) for name in np.unique(CHANNELS.astype(str))}


def test_every_channel_gives_as_many_frames_as_it_can():
    assert counts_of(balanced(CHANNELS, 90, seed=1)) == {"large": 40, "middle": 40, "small": 10}
    assert counts_of(balanced(CHANNELS, 30, seed=1)) == {"large": 10, "middle": 10, "small": 10}


def test_the_choice_is_in_order_and_the_seeds_own():
    chosen = balanced(CHANNELS, 60, seed=1)
    assert np.all(np.diff(chosen) > 0)
    assert np.array_equal(chosen, balanced(CHANNELS, 60, seed=1))
    assert not np.array_equal(chosen, balanced(CHANNELS, 60, seed=2))


def test_all_is_taken_where_there_is_no_more():
    assert np.array_equal(balanced(CHANNELS, 5000, seed=1), np.arange(1000))
    assert len(balanced(CHANNELS, 0, seed=1)) == 0
    assert len(balanced(CHANNELS[:0], 10, seed=1)) == 0


def test_a_set_is_named_by_what_it_lists():
    frame = CalibrationFrame(recording_id="a", channel="one", pts_seconds=4.0)
    known = CalibrationSet(dataset_id="d", seed=1, frames=[frame])
    assert known.calibration_id == CalibrationSet(dataset_id="d", seed=1, frames=[frame]).calibration_id
    others = [known.model_copy(update={"head": [frame]}), known.model_copy(update={"dataset_id": "e"})]
    assert len({known.calibration_id, *(other.calibration_id for other in others)}) == 3
