"""Every kind of file of every kind of model: types, names, metadata, what is recorded, what it says."""

import json
from pathlib import Path

import numpy as np
import pytest
from ml_training.conversion import quantization_debug, to_tflite
from ml_training.conversion.inspection import inspect_files
from ml_training.conversion.manifest import read_manifest
from ml_training.conversion.metadata import read_metadata
from ml_training.inference.models import open_model
from ml_training.inference.parts import load_part
from ml_training.inference.stretch import stretch_of
from ml_training.utils.errors import UsageError

RED = np.zeros((3, 224, 224, 3), np.uint8) + np.array([180, 60, 60], np.uint8)
IMAGES = np.concatenate([RED, RED[..., ::-1]])
LOUDNESS = np.repeat(np.where(np.arange(24) % 4, 200, 6000), 16_000)  # as in the recordings that ranges come from
INNER = slice(6, -6)  # frames whose clips reach over no edge, beyond which it is silent
SOUND = (np.random.default_rng(0).normal(0, 1, len(LOUDNESS)) * LOUDNESS).astype(np.int16)
KINDS = {"int16": ("int16", 0.03), "float16": ("float32", 0.005), "float32": ("float32", 1e-5)}


@pytest.fixture(scope="module")
def parents(store, work_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("parents")
    return {name: store(folder / name / "float", name) for name in ("mobilenet_v2", "temporal", "multimodal")}


@pytest.fixture(scope="module")
def int8(parents, tiny_data, tmp_path_factory):
    """The multimodal model as int8 files; returns their folder."""
    folder = tmp_path_factory.mktemp("int8")
    to_tflite.convert(parents["multimodal"], data_dir=tiny_data, output=str(folder), method="int8-ptq")
    return folder


@pytest.mark.parametrize("method", sorted(KINDS))
@pytest.mark.parametrize("name", ["mobilenet_v2", "multimodal"])
def test_other_kinds_say_what_the_float_model_says(parents, tiny_data, tmp_path, name, method):
    to_tflite.convert(parents[name], data_dir=tiny_data, output=str(tmp_path), method=method)
    manifest = read_manifest(str(tmp_path))
    kind, tolerance = KINDS[method]
    assert {tensor.dtype for part in manifest.parts for tensor in [*part.inputs, part.output]} == {kind}
    assert manifest.quantization.split("-")[0] == method
    assert (tmp_path / "calibration.json").is_file() == (method == "int16")
    stretch = stretch_of(np.tile(IMAGES, (4, 1, 1, 1)), sound=SOUND)
    expected = open_model(Path(parents[name]).parent).score(stretch)
    assert np.abs(open_model(tmp_path).score(stretch) - expected)[INNER].max() < tolerance
    golden = np.load(tmp_path / "golden.npz")
    part = load_part(tmp_path / manifest.parts[0].file)
    outputs = [part.run_raw({"image": picture}) for picture in golden["inputs"]]
    assert np.array_equal(np.stack(outputs), golden["outputs"])


def test_inputs_have_the_networks_names(int8):
    manifest = read_manifest(str(int8))
    names = {part.name: [item.name for item in part.inputs] for part in manifest.parts}
    assert names == {"trunk": ["image"], "head": ["embeddings", "sound", "has_sound"]}
    assert [part.output.name for part in manifest.parts] == ["embedding", "scores"]
    signatures = load_part(int8 / "head.tflite").interpreter.get_signature_list()
    assert sorted(signatures["serving_default"]["inputs"]) == ["embeddings", "has_sound", "sound"]
    assert all(-1 not in item.shape for part in manifest.parts for item in part.inputs)


def test_each_file_says_what_the_manifest_says(int8):
    manifest = read_manifest(str(int8))
    for part in manifest.parts:
        facts = read_metadata((int8 / part.file).read_bytes())
        assert (facts.part, facts.threshold, facts.labels) == (part.name, 0.5, ["content", "ad"])
        assert (facts.dataset_id, facts.view.name) == ("tinydataset00000", "clips")
        assert facts.minimum_runtime == manifest.minimum_runtime
    assert inspect_files(str(int8), manifest).metadata_differences == []
    other = inspect_files(str(int8), manifest.model_copy(update={"threshold": 0.6}))
    assert other.metadata_differences == ["trunk:threshold", "head:threshold"]


def test_the_calibration_set_is_recorded(int8):
    content = json.loads((int8 / "calibration.json").read_text())
    assert content["calibration_id"] == read_manifest(str(int8)).calibration_id
    assert {frame["channel"] for frame in content["frames"] + content["head"]} == {"channel-one"}
    assert [frame["pts_seconds"] for frame in content["frames"]] == list(range(16))
    assert 0 < len(content["head"]) < 16  # ten seconds around it are there


def test_int8_is_told_from_the_rest_by_operator(int8, parents, tiny_data, tmp_path):
    seen = inspect_files(str(int8), read_manifest(str(int8)))
    assert seen.float_operators == []
    assert {row["types"] for row in seen.operators} == {"int8"}
    assert 0 < seen.compressed_bytes < read_manifest(str(int8)).size_bytes
    to_tflite.convert(
        parents["multimodal"], data_dir=tiny_data, output=str(tmp_path), method="int8", keep_float=("frames_dense",)
    )
    kept = inspect_files(str(tmp_path), read_manifest(str(tmp_path)))
    assert [name.split()[0] for name in kept.float_operators] == [
        "head:DEQUANTIZE", "head:FULLY_CONNECTED", "head:QUANTIZE",
    ]  # fmt: skip
    manifest = read_manifest(str(tmp_path))
    assert manifest.keep_float == ["frames_dense"]
    assert {item.dtype for item in manifest.parts[1].inputs} == {"int8"}


def test_a_layer_that_is_not_there_is_refused(parents, tiny_data, tmp_path):
    convert = {"data_dir": tiny_data, "output": str(tmp_path)}
    with pytest.raises(UsageError, match="no layer frames_dens, perhaps frames_dense"):
        to_tflite.convert(parents["multimodal"], **convert, keep_float=("frames_dens",))
    with pytest.raises(UsageError, match="computes nothing of its own"):
        to_tflite.convert(parents["multimodal"], **convert, keep_float=("dropout",))
    with pytest.raises(UsageError, match="is for int8"):
        to_tflite.convert(parents["multimodal"], **convert, method="float16", keep_float=("frames_dense",))
    assert not list(tmp_path.iterdir())


def test_another_kind_does_not_find_these_files(int8, parents, tiny_data):
    again = to_tflite.main(
        [
            "--json",
            "--model",
            parents["multimodal"],
            "--output",
            str(int8),
            "--quantize",
            "int8",
            "--data-dir",
            tiny_data,
        ]
    )
    assert again == 0
    assert read_manifest(str(int8)).quantization == "int8-ptq"


def test_layers_are_told_by_what_they_lose(parents, tiny_data, capsys):
    words = ["--json", "--model", parents["multimodal"], "--data-dir", tiny_data, "--try", "1"]
    assert quantization_debug.main(words) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    layers = {row["layer"]: row for row in result["layers"]}
    assert "frames_dense" in layers
    assert {row["part"] for row in result["layers"]} == {"trunk", "head"}
    losses = [row["error"] for row in result["layers"]]
    assert losses == sorted(losses, reverse=True)
    assert result["tried"][0]["kept_float"] == []
    assert len(result["tried"][1]["kept_float"]) >= 1
