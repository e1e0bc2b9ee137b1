"""Every document that may lie beside a model is read, whatever its version."""

import json

import pytest
from ml_training.config.schema import ModelSection
from ml_training.inference.description import ModelDescription, PartFile, read_description
from ml_training.utils.errors import ModelError

VERSION_1 = {"version": 1, "sha256": "ab", "labels": ["content", "ad"], "threshold": 0.3}


def write(folder, name, content):
    (folder / name).write_text(json.dumps(content))
    return folder


def card(**values):
    model = ModelSection(**values).model_dump(mode="json")
    return {"threshold": 0.6, "config": {"model": model}}


def test_the_first_manifests_are_one_file_for_one_frame(tmp_path):
    found = read_description(write(tmp_path, "manifest.json", VERSION_1))
    assert found.parts == [PartFile(name="model", file="model.tflite", sha256="ab")]
    assert (found.threshold, found.view.name, found.classes) == (0.3, "frames", ("content", "ad"))


def test_a_card_says_what_the_config_was(tmp_path):
    folder = write(tmp_path, "card.json", card(architecture="multimodal", mfcc_bands=32))
    found = read_description(folder / "trunk.keras")
    assert [part.file for part in found.parts] == ["trunk.keras", "head.keras"]
    assert (found.view.sound_seconds, found.mfcc_bands, found.threshold) == ((-5.0, 5.0), 32, 0.6)


def test_a_description_comes_before_the_card(tmp_path):
    write(tmp_path, "card.json", card())
    described = ModelDescription(threshold=0.9, parts=[PartFile(name="model", file="model.keras")])
    write(tmp_path, "model.json", described.model_dump(mode="json"))
    assert read_description(tmp_path / "model.keras") == described


def test_each_ending_has_its_own(tmp_path):
    write(tmp_path, "card.json", card())
    write(tmp_path, "manifest.json", VERSION_1)
    assert read_description(tmp_path / "model.keras").threshold == 0.6
    assert read_description(tmp_path / "model.tflite").threshold == 0.3
    assert read_description(tmp_path).threshold == 0.3


def test_nonsense_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"manifest\.json does not describe a model"):
        read_description(write(tmp_path, "manifest.json", ["no"]))
