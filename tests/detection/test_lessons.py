"""What a detector learns beside the recordings as they are: their keyframes alone, and what is left without breaks."""

import itertools

import numpy as np
import pytest
from ml_training.data.frames import block_colours, colour_change
from ml_training.detection import learning
from ml_training.detection.features import COLUMNS, matrix
from ml_training.detection.gather import StoredRecording, gather
from ml_training.detection.keyframes import as_keyframes
from ml_training.detection.lessons import Lesson
from ml_training.statistics.breaks import breaks_of


@pytest.fixture(scope="module")
def source(data_root):
    return StoredRecording.open(data_root[0], "one")


def test_keyframes_are_frames_of_the_recording(source):
    fewer = as_keyframes(source, seconds=2.0, first=1.0)
    times = source.index["pts_seconds"].to_numpy()
    assert fewer.index["pts_seconds"].to_numpy().tolist() == times[fewer.rows].tolist()
    assert np.diff(times[fewer.rows])[1:] == pytest.approx(2.0, abs=0.2)
    assert np.array_equal(fewer.images(3, 4), source.images(int(fewer.rows[3]), int(fewer.rows[3]) + 1))


def test_changes_are_those_between_keyframes(source):
    fewer = as_keyframes(source, seconds=2.0)
    images = fewer.images(0, len(fewer.rows))
    expected = [0.0, *(colour_change(block_colours(b), block_colours(a)) for a, b in itertools.pairwise(images))]
    assert fewer.index["shot_change"].to_numpy() == pytest.approx(expected, abs=1e-6)
    assert fewer.index["motion"][0].as_py() == 0.0


def test_features_of_keyframes_have_the_seconds_of_the_recording(source):
    full, sparse = (gather(one) for one in (source, as_keyframes(source, seconds=2.0)))
    assert matrix(sparse).shape == matrix(full).shape
    luma = COLUMNS["shots"].index("luma")
    assert len(np.unique(sparse.groups["shots"][:, luma])) < len(np.unique(full.groups["shots"][:, luma]))


def test_a_recording_without_its_breaks_has_no_ads_and_keeps_the_rest(made_up_lesson):
    lesson = made_up_lesson(3)
    ((start, end),) = breaks_of(lesson.spans)
    quiet = lesson.without_ads()
    assert {label for _, _, label in quiet.spans} == {"content"}
    assert sum(high - low for low, high, _ in quiet.spans) == pytest.approx(240 - (end - start))
    assert quiet.features.seconds == pytest.approx(240 - (end - start), abs=1)
    before = slice(0, round(start) - 1)
    assert np.array_equal(matrix(quiet.features)[before], matrix(lesson.features)[before])


def test_trailers_at_the_edges_of_a_break_stay(made_up_lesson):
    lesson = made_up_lesson(4)
    ((start, _),) = breaks_of(lesson.spans)
    spans = [(0.0, start - 8, "content"), (start - 8, start, "promo"), *lesson.spans[1:]]
    quiet = Lesson(lesson.features, spans, "channel-01").without_ads()
    assert [(low, high) for low, high, label in quiet.spans if label == "promo"] == [(start - 8, start)]
    assert quiet.spans[-1][0] == pytest.approx(start)


def test_a_recording_of_ads_alone_has_no_rest(made_up_lesson):
    lesson = made_up_lesson(5)
    assert Lesson(lesson.features, [(0.0, 220.0, "ad"), (220.0, 240.0, "content")], "channel-01").without_ads() is None


def test_keyframes_are_learned_too(made_up_lesson):
    lesson = made_up_lesson(6)
    both = Lesson(lesson.features, lesson.spans, lesson.channel, sparse=made_up_lesson(7).features)
    assert len(learning.example_of(lesson, 1).variants) * 2 == len(learning.example_of(both, 1).variants)
    assert both.seen(keyframes=True) is both.sparse
    assert lesson.seen(keyframes=True) is lesson.features
