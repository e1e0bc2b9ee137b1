"""Models of two files, from stored float networks to judged int8 files."""

import json
from pathlib import Path

import numpy as np
import pytest
from ml_training.conversion import test_tflite as judge
from ml_training.conversion import to_tflite
from ml_training.conversion.manifest import Manifest, read_manifest
from ml_training.inference.models import open_model
from ml_training.inference.stretch import stretch_of
from ml_training.utils.errors import ModelError

RED = np.zeros((8, 224, 224, 3), np.uint8) + np.array([180, 60, 60], np.uint8)
IMAGES = np.concatenate([RED, RED[..., ::-1]])


@pytest.fixture(scope="module", params=["temporal", "multimodal"])
def converted(request, tiny_data, work_dir, store, tmp_path_factory):
    run = tmp_path_factory.mktemp(request.param)
    parent = store(run / "float", request.param)
    result = to_tflite.convert(parent, data_dir=tiny_data, output=str(run / "int8"))
    return parent, result, run / "int8"


def test_both_files_are_int8_and_described(converted):
    _, result, folder = converted
    manifest = read_manifest(result["model_uri"])
    assert result["model_uri"].endswith("/trunk.tflite")
    assert [part.file for part in manifest.parts] == ["trunk.tflite", "head.tflite"]
    assert {tensor.dtype for part in manifest.parts for tensor in [*part.inputs, part.output]} == {"int8"}
    assert (manifest.input.scale, manifest.input.zero_point) == (1 / 128, -1)
    assert manifest.size_bytes == sum((folder / part.file).stat().st_size for part in manifest.parts)
    assert manifest.quantization == "int8-ptq"
    assert manifest.preprocessing.resize == "stretch-inter_area-224, inter_area-64"


def test_golden_outputs_are_the_files_own(converted):
    _, _, folder = converted
    golden = np.load(folder / "golden.npz")
    model = open_model(folder)
    for part, prefix in ((model._trunk, ""), (model._head, "head_")):
        for place in range(len(golden[f"{prefix}outputs"])):
            if prefix:
                inputs = {name: golden[f"head_{name}"][place] for name in part.input_shapes}
            else:
                inputs = dict.fromkeys(part.input_shapes, golden["inputs"][place])
            assert np.array_equal(part.run_raw(inputs), golden[f"{prefix}outputs"][place])


def test_the_files_say_what_the_float_model_says(converted):
    parent, _, folder = converted
    loudness = np.repeat(np.where(np.arange(16) % 4, 200, 6000), 16_000)  # as where the ranges come from
    sound = (np.random.default_rng(0).normal(0, 1, len(loudness)) * loudness).astype(np.int16)
    for stretch in (stretch_of(IMAGES, sound=sound), stretch_of(IMAGES)):
        expected = open_model(Path(parent).parent).score(stretch)
        difference = np.abs(open_model(folder).score(stretch) - expected)
        whole = slice(5, 12)  # clips that end within the recording: others are neither learned nor in the ranges
        assert difference[whole].max() < 0.05


def test_the_whole_model_is_judged_on_the_test_split(converted, tiny_data, capsys):
    parent, result, folder = converted
    words = ["--json", "--model", result["model_uri"], "--parent", parent, "--data-dir", tiny_data]
    assert judge.main(words) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert report["all_int8"]
    assert [part["name"] for part in report["parts"]] == ["trunk", "head"]
    assert report["frames"] == 16
    assert report["mean_score_difference"] < 0.05
    assert (folder / "report.json").is_file()


def test_a_file_is_judged_without_its_parent_and_on_named_data(converted, tiny_data, tmp_path, capsys):
    _, _, folder = converted
    for path in folder.iterdir():
        if path.is_file():
            (tmp_path / path.name).write_bytes(path.read_bytes())
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps(manifest | {"parent_uri": str(tmp_path / "gone")}))
    words = ["--model", str(tmp_path), "--test-data", f"{tiny_data}/datasets/{manifest['dataset_id']}"]
    assert judge.main(words) == 0
    told = capsys.readouterr().out
    assert "not_measured: the float parent is not there" in told
    assert "pass: every operator is int8" in told
    assert json.loads((tmp_path / "report.json").read_text())["float"] is None
    assert judge.main([*words, "--parent", str(tmp_path / "gone")]) == 0, "the manifest's own parent, also when named"
    assert judge.main([*words, "--parent", str(tmp_path / "other")]) == 1


def test_the_same_conversion_is_found_again(converted, tiny_data):
    parent, _, folder = converted
    assert to_tflite.convert(parent, data_dir=tiny_data, output=str(folder))["reused"]


def test_more_classes_keep_their_columns(tiny_data, work_dir, store, tmp_path):
    labels = ["ad", "content", "promo"]
    parent = store(tmp_path / "run" / "float", "mobilenet_v2", classes=labels)
    output = str(tmp_path / "int8")
    words = ["--json", "--model", str(Path(parent).parent), "--output", output, "--data-dir", tiny_data]
    assert to_tflite.main(words) == 0
    manifest = read_manifest(output)
    assert (manifest.labels, manifest.output.shape, manifest.quantization) == (labels, [1, 3], "int8-ptq")
    expected, received = (open_model(path).read(stretch_of(IMAGES)) for path in (Path(parent), Path(output)))
    assert np.abs(expected.classes - received.classes).max() < 0.05
    assert np.array_equal(received.scores, received.classes[:, 0])


def test_a_file_as_output_is_refused(tmp_path, capsys):
    assert to_tflite.main(["--model", str(tmp_path), "--output", str(tmp_path / "head.tflite")]) == 2
    assert "expected a folder in --output" in capsys.readouterr().err


def test_a_manifest_of_version_1_is_read(converted):
    _, result, _ = converted
    content = read_manifest(result["model_uri"]).model_dump(mode="json")
    for key in ("architecture", "parts", "view", "mfcc_bands"):
        del content[key]
    read = Manifest.model_validate({**content, "version": 1, "preprocessing": {"resize": "x", "input": "y"}})
    assert (read.version, read.view.name, read.architecture) == (2, "frames", "efficientnet_lite0")
    assert [(part.file, part.sha256) for part in read.parts] == [("model.tflite", content["sha256"])]


def test_a_missing_head_is_said(converted, tmp_path):
    _, _, folder = converted
    (tmp_path / "manifest.json").write_bytes((folder / "manifest.json").read_bytes())
    (tmp_path / "trunk.tflite").write_bytes((folder / "trunk.tflite").read_bytes())
    with pytest.raises(ModelError, match=r"there is no head\.tflite"):
        open_model(tmp_path)
