"""The notebooks run from a fresh dataset, are stored without outputs and hold little code."""

import os
from pathlib import Path

import nbformat
import pytest
from ml_training.training import evaluate
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[3] / "include" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
LINES_IN_A_CELL = 24


def test_there_are_three():
    assert [path.stem for path in NOTEBOOKS] == ["data_exploration", "error_analysis", "model_analysis"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_stored_without_outputs_and_with_little_code(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert cell.source.count("\n") < LINES_IN_A_CELL
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


@pytest.fixture(scope="module")
def evaluated(built, tmp_path_factory):
    """The data root after ``training.evaluate``: notebooks then need no network, so no TensorFlow."""
    evaluate.evaluate(evaluate.read_judged(built.model_uri), data_dir=built.folder)
    return built


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_on_a_fresh_dataset(path, evaluated, monkeypatch, tmp_path):
    monkeypatch.setenv("ADBREAK_DATA_DIR", evaluated.folder)
    monkeypatch.setenv("MPLCONFIGDIR", os.environ.get("MPLCONFIGDIR", str(tmp_path)))
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert not [output for output in outputs if output.get("name") == "stderr"], "warnings"
