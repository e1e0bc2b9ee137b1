"""One tiny model from training to the judged int8 file, through the commands that the night runs."""

import json

import numpy as np
import pytest
from ml_training.conversion import test_tflite as judge
from ml_training.conversion import to_tflite
from ml_training.conversion.manifest import read_manifest
from ml_training.inference.scorer import load_scorer
from ml_training.training import evaluate, train
from ml_training.utils.errors import DatasetUnusable, ModelError

SMALL = {
    "training.head.epochs": 8,
    "training.upper.epochs": 1,
    "training.augmented_copies": 1,
    "training.quantization.calibration_batches": 2,
    "training.quantization.batch_size": 8,
    "training.quantization.learning_rate": 2e-5,  # sixteen frames: a higher rate leaves the parent behind
}


def call(module, capsys_disabled, *arguments):
    exit_code = module.main(["--json", *arguments])
    assert exit_code == 0
    return json.loads(capsys_disabled.readouterr().out.splitlines()[-1])


@pytest.fixture(scope="module")
def trained(tiny_data, work_dir):
    from ml_training.config.loading import load_config

    config = load_config("base_model", SMALL)
    return train.train(config, data_dir=tiny_data, dataset_id="tinydataset00000", output_dir=f"{tiny_data}/training")


@pytest.fixture(scope="module")
def converted(trained, tiny_data):
    return to_tflite.convert(trained["model_uri"], data_dir=tiny_data, output=f"{trained['run_uri']}/int8")


def test_the_same_training_is_found_again(trained, tiny_data, capsys):
    again = call(
        train,
        capsys,
        *("--data-dir", tiny_data, "--dataset", "tinydataset00000", "--overrides", json.dumps(SMALL)),
    )
    assert again["reused"]
    assert again["run_id"] == trained["run_id"]


def test_another_seed_is_another_run(trained):
    from ml_training.config.loading import load_config

    other = train.run_identity(load_config("base_model", {**SMALL, "training.seed": 2}), "tinydataset00000")
    assert other != trained["run_id"]


def test_the_float_model_learned_the_colours(trained, tiny_data, capsys):
    result = call(evaluate, capsys, "--model", trained["model_uri"], "--data-dir", tiny_data)
    assert result["f1"]["value"] > 0.8
    assert result["frames"] == 16
    assert set(result["by_slice"]) == {"channel=channel-three", "genre=news"}


def test_bytes_reach_the_int8_file_exactly(converted):
    manifest = read_manifest(converted["model_uri"])
    assert (manifest.input.dtype, manifest.output.dtype) == ("int8", "int8")
    assert (manifest.input.name, manifest.output.name, manifest.quantization) == ("image", "scores", "int8-qat")
    assert (manifest.input.scale, manifest.input.zero_point) == (1 / 128, -1)
    assert manifest.size_bytes == converted["size_bytes"] < 5_000_000


def test_golden_outputs_are_the_files_own(converted):
    folder = converted["model_uri"].rsplit("/", 1)[0]
    golden = np.load(f"{folder}/golden.npz")
    from pathlib import Path

    scorer = load_scorer(Path(converted["model_uri"]))
    again = np.concatenate([scorer.run_raw(golden["inputs"][i : i + 1]) for i in range(len(golden["inputs"]))])
    assert np.array_equal(again, golden["outputs"])


def test_the_int8_file_says_what_its_parent_says(trained, converted, tiny_data, capsys):
    evaluate.main(["--model", trained["model_uri"], "--data-dir", tiny_data])
    capsys.readouterr()
    report = call(
        judge,
        capsys,
        *("--model", converted["model_uri"], "--parent", trained["model_uri"], "--data-dir", tiny_data),
        *("--champion", converted["model_uri"], "--champion-name", "base-general", "--champion-version", "1"),
    )
    assert {item["check"]: item["verdict"] for item in report["checks"]} | {"parity": "pass"} == dict.fromkeys(
        ("parity", "all_int8", "size", "size_limit", "metadata"), "pass"
    )
    assert report["all_int8"]
    assert report["score_difference"]["mean"] <= report["score_difference"]["p95"] <= report["score_difference"]["max"]
    assert report["mean_score_difference"] < 0.1
    assert report["champion"]["f1_gain"]["value"] == 0
    assert report["recordings"] == 1
    assert report["split_unit"] == "channel"


def test_the_same_conversion_is_found_again(trained, converted, tiny_data):
    output = f"{trained['run_uri']}/int8"
    assert to_tflite.convert(trained["model_uri"], data_dir=tiny_data, output=output)["reused"]


def test_a_model_without_a_card_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"no card\.json beside it"):
        to_tflite.convert(str(tmp_path / "model.keras"), data_dir=str(tmp_path), output=str(tmp_path))


def test_a_split_of_one_class_is_refused(tiny_data, tmp_path):
    import pyarrow.compute as pc
    import pyarrow.parquet as pq
    from ml_training.training.samples import read_samples

    table = pq.read_table(f"{tiny_data}/datasets/tinydataset00000/manifest.parquet")
    folder = tmp_path / "datasets" / "oneclass"
    folder.mkdir(parents=True)
    pq.write_table(table.filter(pc.equal(table["label"], 0)), folder / "manifest.parquet")
    with pytest.raises(DatasetUnusable, match="has no ads"):
        read_samples(str(tmp_path), "oneclass", "train")
