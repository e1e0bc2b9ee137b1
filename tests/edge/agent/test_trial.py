import json
import subprocess

import numpy as np
import pytest
from agent_world import COLOUR, crashing_model, golden, model_files
from ml_training.edge.agent import trial
from ml_training.edge.agent.trial import Limits, run_trial, try_model
from ml_training.inference.tflite import TflitePart
from ml_training.utils.errors import ModelError, UpdateRefused


def write(folder, **changes):
    files = model_files("1.0.0", **changes)
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def shift_golden(folder, steps):
    with np.load(folder / "golden.npz") as file:
        inputs, outputs = file["inputs"], file["outputs"]
    moved = np.where(outputs > 0, outputs - steps, outputs + steps).astype(np.int8)
    np.savez(folder / "golden.npz", inputs=inputs, outputs=moved)


def test_a_good_model_passes(tmp_path):
    result = run_trial(write(tmp_path / "m"), Limits())
    assert result["golden_steps"] == 0
    assert 0 < result["latency_ms"]["p50"] <= result["latency_ms"]["p95"]


def test_with_the_manifests_runtime_outputs_are_exact(tmp_path):
    folder = write(tmp_path / "m")
    shift_golden(folder, 1)
    with pytest.raises(ModelError, match="differ by 1 steps, 0 are allowed"):
        run_trial(folder, Limits())


@pytest.mark.parametrize("place", [0, -1])
def test_an_output_that_is_no_number_is_no_golden_output(tmp_path, monkeypatch, place):
    folder = write(tmp_path / "m")
    with np.load(folder / "golden.npz") as file:
        answers = file["outputs"].astype(np.float32)
    answers[place] = np.nan
    left = iter(answers)
    monkeypatch.setattr(TflitePart, "run_raw", lambda *arguments: next(left))
    with pytest.raises(ModelError, match="differ by nan steps"):
        run_trial(folder, Limits())


def test_without_golden_outputs_there_is_no_trial(tmp_path):
    folder = write(tmp_path / "m")
    with np.load(folder / "golden.npz") as file:
        inputs, outputs = file["inputs"], file["outputs"]
    np.savez(folder / "golden.npz", inputs=inputs[:0], outputs=outputs[:0])
    with pytest.raises(ModelError, match="is empty"):
        run_trial(folder, Limits())


@pytest.mark.parametrize(("steps", "passes"), [(2, True), (3, False)])
def test_with_another_runtime_two_steps_are_allowed(tmp_path, steps, passes):
    folder = write(tmp_path / "m", runtime="ai-edge-litert 9.9.9")
    shift_golden(folder, steps)
    if passes:
        assert run_trial(folder, Limits())["golden_steps"] == 2
    else:
        with pytest.raises(ModelError, match=r"converted for ai-edge-litert 9\.9\.9"):
            run_trial(folder, Limits())


def test_a_slow_model_is_refused(tmp_path):
    with pytest.raises(ModelError, match="95 of 100 frames take up to"):
        run_trial(write(tmp_path / "m"), Limits(largest_latency_ms=1e-6))


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("model.tflite", b"no model", "not a model that LiteRT can run"),
        ("manifest.json", b"{}", "does not describe a model"),
        ("golden.npz", b"PK", "golden.npz cannot be read"),
    ],
)
def test_a_broken_file_is_named(tmp_path, file, content, message):
    folder = write(tmp_path / "m")
    (folder / file).write_bytes(content)
    with pytest.raises(ModelError, match=message):
        run_trial(folder, Limits())


def test_a_manifest_cannot_name_a_file_elsewhere(tmp_path):
    folder = write(tmp_path / "m")
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(
        json.dumps({**manifest, "parts": [{"name": "model", "file": "../m/model.tflite"}]})
    )
    with pytest.raises(ModelError, match="has no file"):
        run_trial(folder, Limits())


def test_a_valid_file_that_crashes_the_runtime_is_refused_and_takes_nobody_with_it(tmp_path):
    folder = write(tmp_path / "m", model=crashing_model())
    (folder / "golden.npz").write_bytes(golden(COLOUR.read_bytes()))
    with pytest.raises(UpdateRefused, match=r"crashes the runtime \(SIG") as refused:
        try_model(folder, Limits())
    assert refused.value.kind == "trial"


def test_a_trial_without_an_end_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(trial, "TIMEOUT_SECONDS", 0.01)
    with pytest.raises(UpdateRefused, match="no answer within") as refused:
        try_model(write(tmp_path / "m"), Limits())
    assert refused.value.kind == "trial_ended"


def test_a_trial_that_is_killed_is_no_word_on_the_model(tmp_path, monkeypatch):
    command = ["sh", "-c", "kill -KILL $$"]
    run = subprocess.run
    monkeypatch.setattr(trial.subprocess, "run", lambda words, **options: run(command, **options))
    with pytest.raises(UpdateRefused, match="SIGKILL ended it") as refused:
        try_model(tmp_path, Limits())
    assert refused.value.kind == "trial_ended"


def test_the_command_says_what_it_found(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(trial.resource, "setrlimit", lambda *arguments: None)
    folder = write(tmp_path / "m")
    assert trial.main(["--model", str(folder)]) == 0
    assert json.loads(capsys.readouterr().out)["passed"] is True
    shift_golden(folder, 5)
    assert trial.main(["--model", str(folder)]) == 1
    assert "differ by 5" in json.loads(capsys.readouterr().out)["error"]
