"""From stored frames and sound to the features of every second, and to what airs again."""

import numpy as np
import pytest
from ml_training.data.creatives.catalogue import read_airings
from ml_training.data.creatives.fingerprints import make_fingerprints
from ml_training.data.creatives.labels import append_label
from ml_training.detection.evidence import Repeat, open_archive, piece_bounds, repetition
from ml_training.detection.features import COLUMNS, WIDTH, group_columns, group_flag, held, matrix
from ml_training.detection.gather import StoredRecording, gather, with_repetition
from ml_training.detection.overlay import OverlayWatcher
from ml_training.detection.recurrence import recurrence
from ml_training.detection.sound_cues import levels_of, relative, separators, sound_cues


def column(features, group: str, name: str) -> np.ndarray:
    return features.groups[group][:, COLUMNS[group].index(name)]


@pytest.fixture(scope="module")
def features(data_root):
    root, _ = data_root
    archive = open_archive(root)
    prints = make_fingerprints(root, "one")
    archive.add(prints)
    gathered = gather(StoredRecording.open(root, "one"), score=lambda stretch: np.full(len(stretch), 0.9, np.float32))
    return with_repetition(gathered, archive.repeats(prints), has_archive=True)


def test_every_group_has_a_row_a_second(features):
    rows = matrix(features)
    assert rows.shape == (60, WIDTH)
    assert all(rows[:, group_flag(name)].all() for name in COLUMNS)
    assert np.isfinite(rows).all()
    assert column(features, "picture", "log_odds") == pytest.approx(np.log(9), abs=1e-4)


def test_the_groups_tell_spots_from_programme(features):
    ads = np.zeros(60, bool)
    ads[22:42] = True
    assert column(features, "sound", "flatness")[ads].mean() < column(features, "sound", "flatness")[~ads].mean()
    assert column(features, "shots", "change")[24:41].mean() > 0.5 > column(features, "shots", "change")[2:20].mean()
    assert column(features, "overlay", "logo_slow")[~ads].mean() > column(features, "overlay", "logo_slow")[ads].mean()
    assert column(features, "shots", "recurs_near")[~ads].mean() > column(features, "shots", "recurs_near")[ads].mean()


def test_gaps_lie_at_the_edges_of_items(features):
    dips = column(features, "separators", "dip")
    assert dips[[22, 32, 42]].min() > np.delete(dips, [0, 22, 32, 42]).max()
    jumps = column(features, "sound", "jump_3")
    assert set(np.argsort(-jumps)[:2]) <= {21, 22, 23, 41, 42, 43}


def test_what_airs_elsewhere_is_marked_with_its_bounds(features):
    pieces = column(features, "archive", "pieces")
    assert pieces[33:41].all()
    assert not pieces[:30].any()
    assert column(features, "archive", "recordings")[35] == pytest.approx(np.log1p(3))
    bounds = features.cues.pieces
    assert np.abs(bounds - 32).min() < 0.4
    assert np.abs(bounds - 42).min() < 0.4


def test_a_smaller_archive_says_less(data_root):
    root, _ = data_root
    archive = open_archive(root)
    repeats = archive.repeats(make_fingerprints(root, "one"))
    some = repetition("one", repeats, 60, within=False, others=["two"])
    assert some[35, 2] == pytest.approx(np.log1p(1))
    assert not repetition("one", repeats, 60, within=False, others=[]).any()


def test_a_recording_that_is_new_is_compared_with_the_archive_and_nothing_is_written(
    data_root, tmp_path, write_recording
):
    from ml_training.data.collectors import extract

    root, _ = data_root
    write_recording(tmp_path / "recordings" / "new.ts", 7)
    extract(str(tmp_path / "recordings"), str(tmp_path / "frames"), workers=1)
    prints = make_fingerprints(str(tmp_path), "new")
    archive = open_archive(root)
    archive.add(prints)
    others = {repeat.other for repeat in archive.repeats(prints)}
    assert others == {"one", "two", "three", "four"}
    assert {repeat.other for repeat in archive.repeats_live(prints)} >= others - {"new"}
    assert "new" not in open_archive(root)._archive.members


def test_another_extraction_of_a_member_is_no_repeat_of_itself(data_root):
    from dataclasses import replace

    root, _ = data_root
    archive = open_archive(root)
    prints = replace(make_fingerprints(root, "one"), extraction_id="another")
    archive.add(prints)
    repeats = archive.repeats(prints)
    assert {repeat.other for repeat in repeats} == {"two", "three", "four"}


def test_a_label_on_a_creative_is_known_wherever_it_airs(data_root, tmp_path):
    import shutil

    root = tmp_path / "copy"
    shutil.copytree(data_root[0], root)
    creative = next(row["creative_id"] for row in read_airings(str(root)).to_pylist() if row["recording_id"] == "two")
    append_label(str(root), creative, "ad", source="person", author="ann")
    archive = open_archive(str(root))
    repeats = archive.repeats(make_fingerprints(str(root), "one"))
    known = archive.known("one", repeats, 60)
    assert known[33:41].min() == 4
    assert not known[:30].any()
    assert open_archive(data_root[0]).known("one", repeats, 60) is None


def test_columns_of_a_repeat():
    repeats = [Repeat(10, 30, "b", 50, 70), Repeat(10, 20, "c", 0, 10), Repeat(40, 50, "a", 0, 10)]
    columns = dict(zip(COLUMNS["archive"], repetition("a", repeats, 60, within=False).T, strict=True))
    assert columns["times"][15] == pytest.approx(np.log1p(2))
    assert columns["recordings"][25] == pytest.approx(np.log1p(1))
    assert columns["shortest"][15] == pytest.approx(np.log1p(10))
    assert columns["longest"][15] == pytest.approx(np.log1p(20))
    assert columns["bounds"][[10, 20, 30]].all()
    assert not columns["pieces"][35:].any()
    assert piece_bounds(repeats[:1]).tolist() == [10, 30]
    assert repetition("a", repeats, 60, within=True)[45, 0] == 1


def test_frames_stand_for_their_seconds():
    times, values = np.array([0.0, 1.02, 4.9]), np.array([1, 2, 3])
    assert held(times, values, 6).tolist() == [1, 2, 2, 3, 3, 3]


def test_a_group_of_another_shape_is_refused(features):
    from dataclasses import replace

    wrong = replace(features, groups={"sound": np.zeros((60, 3), np.float32)})
    with pytest.raises(ValueError, match="group sound must have shape"):
        matrix(wrong)
    assert not matrix(features, without=["sound"])[:, group_columns("sound")].any()


def test_sound_is_described_in_stretches_as_at_once():
    rng = np.random.default_rng(1)
    sound = (rng.standard_normal(16_000 * 130) * 3000 * np.linspace(0.1, 1, 16_000 * 130)).astype(np.int16)

    def read(start: float, end: float) -> np.ndarray:
        cut = np.zeros(round((end - start) * 16_000), np.int16)
        piece = sound[round(start * 16_000) : round(end * 16_000)]
        cut[: len(piece)] = piece
        return cut

    columns, level = sound_cues(read, 130)
    assert columns.shape == (130, len(COLUMNS["sound"]))
    assert level.tolist() == levels_of(sound).tolist()
    assert np.abs(np.median(columns[:, 0])) < 1e-3
    assert separators(level, 130).shape == (130, 2)
    assert not separators(np.zeros(0, np.int8), 130).any()


def test_digital_silence_is_described():
    columns, level = sound_cues(lambda start, end: np.zeros(round((end - start) * 16_000), np.int16), 5)
    assert np.isfinite(columns).all()
    assert (level == -120).all()
    assert len(relative(np.zeros((0, 27), np.float32))) == 0


def test_a_logo_that_goes_is_seen_and_bars_are_measured():
    rng = np.random.default_rng(1)
    watcher = OverlayWatcher()
    for number in range(60):
        image = rng.integers(0, 255, (224, 224, 3), np.uint8) // 4 + 40
        if number < 45:
            image[10:30, 10:40] = 250
        else:
            image[:30] = image[-30:] = 0
        watcher.add(image)
    logo, _, high, wide = watcher.columns().T
    assert logo[:45].min() > 0.6 > logo[45:].max()
    assert high[50] == pytest.approx(60 / 224, abs=0.01)
    assert not wide.any()
    assert OverlayWatcher().columns().shape == (0, 4)


def test_pictures_that_come_back_recur_and_cohere():
    rng = np.random.default_rng(2)
    scene, other = (rng.integers(0, 2**63, 2, np.uint64) for _ in range(2))
    hashes = np.array([scene[n % 2] for n in range(40)] + [*rng.integers(0, 2**63, 20, np.uint64)] + [other[0]] * 20)
    coherence, near, _ = recurrence(hashes).T
    assert coherence[20] > 1
    assert coherence[40] == 0
    assert near[20] == 1
    assert not near[40:60].any()
