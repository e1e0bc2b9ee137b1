"""Models are stored and found by folder or file, and registered ones vote together."""

import shutil

import numpy as np
import pytest
import tf_keras as keras
from ml_training.config.schema import ModelSection
from ml_training.inference.models import open_model
from ml_training.inference.stretch import stretch_of
from ml_training.models.blocks import classifier
from ml_training.models.ensemble import member_address
from ml_training.models.stages import split_at_embedding
from ml_training.models.stored import describe, load_parts, load_trunk, model_folder, open_stored, save_parts
from ml_training.models.temporal import build_head
from ml_training.utils.errors import ConfigError, ModelError

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3)).astype(np.uint8)
SECTION = ModelSection(input_size=32, dense_units=8, sequence_units=4)


@pytest.fixture(scope="module")
def model():
    """A classifier of a few layers."""
    keras.utils.set_random_seed(1)
    image = keras.layers.Input((32, 32, 3), name="image")
    return classifier(image, keras.layers.Conv2D(4, 5, strides=4, activation="relu")(image), SECTION, "tiny")


@pytest.fixture(scope="module")
def stored(model, tmp_path_factory):
    """Folders of two float models, ``frame`` and ``temporal``."""
    root = tmp_path_factory.mktemp("stored")
    save_parts({"model": model}, describe(SECTION, 0.4), str(root / "frame"))
    temporal = SECTION.model_copy(update={"architecture": "temporal"})
    parts = {"trunk": split_at_embedding(model)[0], "head": build_head(temporal, embedding_size=8)}
    save_parts(parts, describe(temporal, 0.4), str(root / "temporal"))
    return root


def test_a_model_is_opened_by_its_folder_or_a_file(stored):
    for name in ("", "/trunk.keras", "/head.keras", "/model.json"):
        with open_stored(f"{stored}/temporal{name}") as model:
            assert model.score(stretch_of(IMAGES)).shape == (6,)
    assert model_folder("s3://b/run/float/model.keras") == "s3://b/run/float"
    assert model_folder("s3://b/run/float/") == "s3://b/run/float"
    assert model_folder("model.tflite") == "."


def test_parts_and_trunks_are_loaded(stored, model):
    assert set(load_parts(f"{stored}/temporal/head.keras")) == {"trunk", "head"}
    images = IMAGES.astype(np.float32) / 128 - 1
    expected = split_at_embedding(model)[0](images)
    for name in ("frame", "temporal"):
        trunk = load_trunk(f"{stored}/{name}")
        assert trunk.name == "tiny"
        assert np.allclose(trunk(images), expected, atol=1e-6)


def test_another_file_under_the_same_name_is_refused(stored, tmp_path):
    shutil.copytree(stored / "temporal", tmp_path / "copy")
    shutil.copy(stored / "frame" / "model.keras", tmp_path / "copy" / "trunk.keras")
    with pytest.raises(ModelError, match="not the file that its manifest names"), open_stored(str(tmp_path / "copy")):
        pass


def test_an_ensemble_is_used_where_a_model_is(stored, tmp_path):
    path = tmp_path / "ensemble.yaml"
    path.write_text("models: [base, own]\nvoting: weighted\nweights: [1, 3]\n")
    shutil.copytree(stored / "frame", tmp_path / "base")
    shutil.copytree(stored / "temporal", tmp_path / "own")
    stretch = stretch_of(IMAGES)
    with open_stored(str(path)) as model:
        scores = model.score(stretch)
        assert model.embeddings(stretch).shape == (6, 16)
    base, own = (open_model(tmp_path / name).score(stretch) for name in ("base", "own"))
    assert np.all((scores - np.minimum(base, own) > -0.2) & (scores < 1))
    assert np.array_equal(open_model(path).score(stretch), scores)
    with pytest.raises(ConfigError, match="there is no ensemble file"), open_stored(str(tmp_path / "none.yaml")):
        pass


def test_members_are_found_by_version_address_and_resolver(tmp_path):
    folder = tmp_path / "data" / "models" / "base-general" / "1.0.0"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text("{}")
    data_dir = str(tmp_path / "data")
    assert member_address("base-general/1.0.0", tmp_path, data_dir=data_dir) == str(folder)
    assert member_address("s3://b/x", tmp_path, data_dir=None) == "s3://b/x"
    resolve = {"base-general@champion": "s3://b/champion"}.get
    assert member_address("base-general@champion", tmp_path, data_dir=None, resolve=resolve) == "s3://b/champion"
    with pytest.raises(ModelError, match=r"names base-general/2\.0\.0"):
        member_address("base-general/2.0.0", tmp_path, data_dir=data_dir)
