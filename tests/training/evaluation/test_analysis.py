"""The tables that notebooks start from say what predictions say."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ml_training.training.analysis import error_runs, figure_table, frame_table, newest_model, open_analysis
from ml_training.utils.errors import ModelError


@pytest.fixture(scope="module")
def analysis(built):
    return open_analysis(built.folder, model_uri=built.model_uri)


def test_a_row_a_frame_that_counts(analysis):
    table = frame_table(analysis)
    assert len(table) == len(analysis.predictions.scores)
    wrong = table[~table["right"]]
    assert set(wrong["seconds"].round().astype(int)) == {10, 11, 12, 13, 64, 65, 66}
    assert (wrong["is_ad"] == (wrong["seconds"] > 60)).all()
    assert table.loc[table["seconds"].round() == 30, "boundary_seconds"].max() < 0.3
    assert table["boundary_seconds"].max() == 30
    assert table["luma"].between(40, 160).all()
    loud, quiet = (table.loc[table["is_ad"] == ad, "loudness_lufs"].median() for ad in (True, False))
    assert loud > quiet + 6


def test_runs_are_told_with_their_length(analysis):
    runs = error_runs(frame_table(analysis))
    assert sorted(set(zip(runs["kind"], runs["frames"], strict=True))) == [("false alarm", 4), ("missed", 3)]
    assert len(runs) == 4
    assert error_runs(frame_table(analysis).assign(right=True)).empty


def test_neighbouring_errors_of_two_recordings_are_two_runs():
    columns = {"recording_id": ["a", "a", "b"], "seconds": [8.0, 9.0, 0.0], "is_ad": [False] * 3, "right": [False] * 3}
    assert error_runs(pd.DataFrame(columns))["frames"].tolist() == [2, 1]


def test_figures_are_a_table(analysis):
    table = figure_table(analysis)
    assert table.loc["break_f1", "value"] == 1
    assert {"precision", "recall", "f1", "mcc", "average_precision", "calibration_error"} <= set(table.index)
    assert np.all(table.loc["f1", ["low", "high"]].notna())


def test_the_newest_model_is_found(root):
    assert newest_model(root.folder) == root.model_uri
    folder = Path(root.folder) / "training" / "run" / "float"
    folder.mkdir(parents=True)
    for name in ("trunk.keras", "head.keras"):
        (folder / name).write_bytes(b"")
        os.utime(folder / name, (4e9, 4e9))
    assert newest_model(root.folder) == str(folder)
    with pytest.raises(ModelError, match="there is no model"):
        newest_model(f"{root.folder}/nothing")
