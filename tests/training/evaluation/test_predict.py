"""Recordings without labels get scores and stretches."""

import json

import numpy as np
import pyarrow.parquet as pq
from ml_training.training import predict


def test_scores_and_stretches_of_a_recording(root, capsys, tmp_path):
    words = ("--model", root.model_uri, "--data-dir", root.folder, "--output", str(tmp_path / "out"))
    assert predict.main(["--json", *words, "--recordings", "one-01", "nowhere"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["without_frames"] == ["nowhere"]
    (seen,) = result["recordings"]
    assert seen["frames"] == 100
    assert [[round(time) for time in span] for span in seen["stretches"]] == [[10, 14], [30, 61], [67, 84]]
    table = pq.read_table(tmp_path / "out" / "one-01.parquet")
    assert np.mean(table["score"].to_numpy() > 0.5) == seen["ad_share"]


def test_nothing_to_look_at_is_told(root, capsys, tmp_path):
    words = ("--model", root.model_uri, "--data-dir", root.folder, "--output", str(tmp_path / "out"))
    assert predict.main([*words, "--recordings", "nowhere"]) == 1
    assert "none of nowhere has frames" in capsys.readouterr().err
