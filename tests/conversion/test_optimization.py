"""Networks that were made smaller: zeros and repeated values stay, the parent is untouched, and the table tells all."""

import json

import numpy as np
import pytest
import tf_keras as keras
from ml_training.cloud import storage
from ml_training.conversion import compression, optimization
from ml_training.training.model_card import read_card
from ml_training.utils.errors import UsageError


@pytest.fixture
def parent(monkeypatch):
    monkeypatch.setattr(compression, "LARGE", 500)
    keras.utils.set_random_seed(3)
    image = keras.layers.Input((16, 16, 3), name="image")
    x = keras.layers.Conv2D(24, 5, name="stem_conv")(image)
    x = keras.layers.BatchNormalization(name="stem_bn")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    x = keras.layers.Dense(32, activation="relu", name="dense")(x)
    model = keras.Model(image, keras.layers.Dense(1, activation="sigmoid", name="ad")(x), name="tiny")
    model.get_layer("stem_conv").trainable = False  # as a staged training leaves the lower layers
    return model


def learn(model):
    """Move every weight that may learn, as a training does."""
    generator = np.random.default_rng(0)
    images = generator.normal(size=(4, 16, 16, 3)).astype(np.float32)
    optimizer = keras.optimizers.legacy.SGD(0.5)
    import tensorflow as tf

    for _ in range(3):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(model(images, training=True))
        optimizer.apply_gradients(
            zip(tape.gradient(loss, model.trainable_variables), model.trainable_variables, strict=True)
        )


def kernels(model):
    return {name: model.get_layer(name).get_weights()[0] for name in ("stem_conv", "dense", "ad")}


def test_half_of_the_weights_of_large_layers_are_zero(parent):
    before = kernels(parent)
    made = kernels(compression.pruned(parent, 0.5, learn))
    assert np.mean(made["stem_conv"] == 0) == pytest.approx(0.5, abs=0.01)
    assert np.mean(made["dense"] == 0) == pytest.approx(0.5, abs=0.01)
    assert not np.any(made["ad"] == 0)
    assert np.any(made["dense"][made["dense"] != 0] != before["dense"][made["dense"] != 0]), "nothing was learned"
    smallest = np.abs(before["stem_conv"]).ravel().argsort()[:200]
    assert np.mean(made["stem_conv"].ravel()[smallest] == 0) > 0.95
    assert all(np.array_equal(before[name], values) for name, values in kernels(parent).items())


def test_weights_of_large_layers_have_few_values(parent):
    before = kernels(parent)
    made = kernels(compression.clustered(parent, 8, learn))
    assert len(np.unique(made["stem_conv"])) <= 8
    assert len(np.unique(made["dense"])) <= 8
    assert len(np.unique(made["ad"])) == 32
    assert np.corrcoef(made["dense"].ravel(), before["dense"].ravel())[0, 1] > 0.9
    assert all(np.array_equal(before[name], values) for name, values in kernels(parent).items())


def test_what_comes_out_is_an_ordinary_network(parent, tmp_path):
    made = compression.pruned(parent, 0.5, learn)
    made.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras", compile=False)
    assert [layer.name for layer in again.layers] == [layer.name for layer in parent.layers]
    images = np.ones((2, 16, 16, 3), np.float32)
    assert np.array_equal(again.predict(images, verbose=0), made.predict(images, verbose=0))


@pytest.mark.parametrize("name", ["pruned", "pruned-0", "pruned-99", "clustered-1", "int8-3", "smaller", "pruned-x"])
def test_other_variants_are_refused(name):
    with pytest.raises(UsageError, match="expected int8, small, pruned-1"):
        optimization.parse_variant(name)


def test_a_variant_of_other_epochs_or_of_another_model_is_another_one(store, tmp_path, monkeypatch):
    made = []

    def compress(variant, subject, epochs, home):
        made.append((subject.card.run_id, epochs, home))
        storage.write_json(storage.join(home, "float", "card.json"), subject.card.model_dump(mode="json"))

    monkeypatch.setattr(optimization, "_compress", compress)
    for run, epochs in (("one", 1), ("one", 1), ("one", 2), ("two", 2)):
        parent = store(tmp_path / run / "float", "mobilenet_v2")
        subject = optimization.Subject(parent, read_card(parent), "data", str(tmp_path / "variants"))
        folder = optimization._float_variant(optimization.parse_variant("pruned-50"), subject, epochs)
        assert folder == storage.join(made[-1][2], "float")
    assert [item[:2] for item in made] == [("one", 1), ("one", 2), ("two", 2)]
    assert len({home for _, _, home in made}) == 3, "none goes on from another one's checkpoint"


def test_the_table_of_a_model(store, tiny_data, work_dir, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(compression, "LARGE", 100)
    parent = store(tmp_path / "run" / "float", "mobilenet_v2")
    words = ["--json", "--model", parent, "--data-dir", tiny_data, "--output", str(tmp_path / "variants")]
    variants = ["--variants", "int8", "pruned-90", "clustered-4", "--epochs", "1"]
    assert optimization.main([*words, *variants]) == 0
    rows = {row["variant"]: row for row in json.loads(capsys.readouterr().out.splitlines()[-1])["rows"]}
    assert list(rows) == ["int8", "pruned-90", "clustered-4"]
    assert rows["pruned-90"]["compressed_bytes"] < rows["int8"]["compressed_bytes"]
    assert all(
        row["simulated"] and row["latency_ms"] > 0 and row["f1_lost"]["recordings"] == 1 for row in rows.values()
    )
    table = (tmp_path / "variants" / "table.md").read_text()
    assert table.count("\n") == 5
    assert "simulated" in table


def test_a_temporal_model_is_refused(store, tiny_data, tmp_path):
    parent = store(tmp_path / "run" / "float", "temporal")
    with pytest.raises(UsageError, match="not a single-frame model"):
        optimization.optimize(parent, data_dir=tiny_data, output=str(tmp_path))
