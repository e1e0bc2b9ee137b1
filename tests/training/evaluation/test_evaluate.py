"""The command from model file to figures, page and pictures, called as people and the nightly run call it."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from ml_training.training import evaluate
from ml_training.training.dataset_choice import find_dataset
from ml_training.utils.errors import DatasetUnusable, UsageError


def run(capsys, *arguments: object) -> dict:
    assert evaluate.main(["--json", *map(str, arguments)]) == 0
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def failed(capsys, *arguments: object) -> tuple[int, str]:
    return evaluate.main(["--json", *map(str, arguments)]), capsys.readouterr().err


@pytest.fixture(scope="module")
def evaluated(built, tmp_path_factory):
    """The result of one evaluation, and the folder that it left."""
    folder = tmp_path_factory.mktemp("evaluation")
    result, _ = evaluate.evaluate(evaluate.read_judged(built.model_uri), data_dir=built.folder, output=str(folder))
    return result, folder


def test_figures_are_those_of_the_exceptions(evaluated):
    result, _ = evaluated
    assert (result["kind"], result["split"], result["threshold_source"]) == ("int8", "test", "model")
    recordings = result["recordings"]
    assert recordings == 2
    # of content, 4 of 46 seconds are red; of the ads, 3 seconds are blue
    hits = result["recall"]["value"] * result["frames"] * result["ad_share"]
    assert hits == pytest.approx(result["frames"] * result["ad_share"] - 3 * recordings, abs=0.01)
    assert result["precision"]["value"] == pytest.approx(hits / (hits + 4 * recordings))
    assert result["f1"]["low"] <= result["f1"]["value"] <= result["f1"]["high"]
    assert 0 < result["mcc"]["value"] < 1
    assert 0 < result["average_precision"]["value"] < 1
    assert result["by_slice"]["genre=news"]["f1"] == result["f1"]
    events = result["events"]
    assert (events["true_breaks"], events["found_breaks"], events["f1"]["value"]) == (2, 2, 1)
    assert events["median_boundary_error_seconds"]["value"] < 3


def test_what_it_leaves_is_complete(evaluated):
    result, folder = evaluated
    assert {path.name for path in folder.iterdir()} == {
        "evaluation-test.json", "predictions-test.parquet", "report-test.html",
        "precision_recall-test.png", "confusion-test.png", "worst_errors-test.png",
    }  # fmt: skip
    stored = json.loads((folder / "evaluation-test.json").read_text())
    assert {key: stored[key] for key in result} == result
    assert stored["breaks"][0]["true"] == [[30, 80]]


def test_the_page_holds_everything_itself(evaluated):
    page = Path(evaluated[0]["report_uri"]).read_text()
    open_tags: list[str] = []

    class Balance(HTMLParser):
        def handle_starttag(self, tag, attrs):
            if tag not in ("meta", "img", "br"):
                open_tags.append(tag)

        def handle_endtag(self, tag):
            assert open_tags.pop() == tag

    Balance().feed(page)
    assert open_tags == []
    assert set(re.findall(r'(?:src|href)="([^"]{5})', page)) == {"data:"}
    assert re.search(r"\w+-0[12] 0:00:1[0-4]\s+is content, scored [01]\.\d\d", page)  # a false alarm, with its time
    assert re.search(r"\w+-0[12] 0:01:0[4-6]\s+is ad, scored 0\.\d\d", page)  # a miss
    assert "undefined" not in page


def test_people_get_lines_and_choose_the_file(root, capsys, tmp_path):
    own = tmp_path / "own" / "evaluation.json"
    assert evaluate.main(["--model", root.model_uri, "--data-dir", root.folder, "--output", str(own)]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^f1 +0\.\d{4} \(0\.\d{4} to 0\.\d{4}\)$", out, re.M)
    assert re.search(r"^break_f1 +1\.0000", out, re.M)
    assert re.search(r"^report +.*/own/report-test\.html$", out, re.M)
    assert json.loads(own.read_text())["dataset_id"] == root.dataset_id
    assert (own.parent / "report-test.html").is_file()
    assert evaluate.places_of(root.model_uri, "test", None).folder == str(Path(root.model_uri).parent)


def test_the_threshold_is_the_models_or_chosen_on_validation(root, capsys):
    model = ("--model", root.model_uri, "--data-dir", root.folder)
    chosen = run(capsys, *model, "--threshold", "validation")
    assert chosen["threshold_source"] == f"validation of {root.dataset_id}"
    assert chosen["threshold"] != 0.4
    given = run(capsys, *model, "--threshold", "0.999", "--split", "validation")
    assert (given["threshold_source"], given["split"], given["recall"]["value"]) == ("given", "validation", 0)
    assert failed(capsys, *model, "--threshold", "high")[0] == 2


def test_test_data_is_a_version_its_folder_or_a_data_folder(root, tmp_path):
    own = (root.folder, root.dataset_id)
    assert find_dataset(root.dataset_id, root.folder) == own
    assert find_dataset(f"{root.folder}/datasets/{root.dataset_id}", "elsewhere") == own
    assert find_dataset(f"{root.folder}/datasets/{root.dataset_id}/manifest.parquet", "elsewhere") == own
    assert find_dataset(root.folder, "elsewhere") == own
    assert find_dataset("s3://bucket/deep/datasets/4be1/", "data") == ("s3://bucket/deep", "4be1")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetUnusable, match="there is no dataset version in"):
        find_dataset(str(tmp_path / "empty"), "elsewhere")


def test_mistakes_are_told_without_a_traceback(root, capsys, tmp_path):
    code, said = failed(capsys, "--model", tmp_path / "no.tflite", "--data-dir", root.folder)
    assert code == 1
    assert "no manifest.json beside it" in said
    code, said = failed(capsys, "--model", tmp_path / "nowhere", "--data-dir", root.folder)
    assert code == 2
    assert "there is no model" in said
    code, said = failed(capsys, "--model", root.model_uri, "--data-dir", tmp_path / "empty")
    assert code == 1
    assert "--test-data" in said
    Path(root.model_uri).write_bytes(b"damaged")
    code, said = failed(capsys, "--model", root.model_uri, "--data-dir", root.folder)
    assert code == 1
    assert "is not the file that its manifest names" in said
    assert "Traceback" not in said


def test_a_model_that_names_no_version_needs_one(built):
    with pytest.raises(UsageError, match="--test-data"):
        evaluate.evaluate(evaluate.Judged(built.model_uri, "", 0.5, None), data_dir=built.folder)


def test_an_ensemble_is_judged_like_a_model(root, evaluated, capsys):
    ensemble = Path(root.folder) / "models" / "ensemble.yaml"
    ensemble.write_text("models: [colour/model.tflite, colour/model.tflite]\nvoting: majority\n")
    result = run(capsys, "--model", ensemble, "--test-data", root.folder, "--output", f"{root.folder}/both")
    assert result["kind"] == "ensemble"
    assert {key: result[key] for key in ("f1", "mcc", "frames")} == {
        key: evaluated[0][key] for key in ("f1", "mcc", "frames")
    }
