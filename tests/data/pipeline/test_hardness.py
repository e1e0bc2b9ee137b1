"""Stored scores say how hard an example was."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ml_training.data.pipeline.hardness import with_hardness
from ml_training.utils.errors import DataError


def write(path, recordings, pts, scores):
    pq.write_table(pa.table({"recording_id": recordings, "pts_seconds": pts, "score": scores}), path)
    return str(path)


def test_an_example_is_as_hard_as_its_score_is_wrong(training_frames, tmp_path):
    order = np.random.default_rng(1).permutation(len(training_frames))[:60]
    scores = np.linspace(0, 1, 60)
    ids, pts = training_frames.recording_ids[order].astype(str), training_frames.pts_seconds[order]
    hard = with_hardness(training_frames, write(tmp_path / "p.parquet", ids, pts, scores))
    assert hard.hardness[order] == pytest.approx(np.abs(scores - training_frames.labels[order]), abs=1e-6)
    others = np.setdiff1d(np.arange(len(training_frames)), order)
    assert not hard.hardness[others].any()
    assert not training_frames.hardness.any()


def test_scores_of_another_split_are_refused(training_frames, tmp_path):
    uri = write(tmp_path / "p.parquet", ["elsewhere"] * 3, [0.01, 1.01, 2.01], [0.5] * 3)
    with pytest.raises(DataError, match="another split"):
        with_hardness(training_frames, uri)


def test_a_table_of_something_else_is_refused(training_frames, tmp_path):
    pq.write_table(pa.table({"pts_seconds": [0.0]}), tmp_path / "p.parquet")
    with pytest.raises(DataError, match="no column recording_id, score"):
        with_hardness(training_frames, str(tmp_path / "p.parquet"))
