"""Stretches through models of every kind: the same frame has the same score however it is read."""

import json
from pathlib import Path

import numpy as np
import pytest
import tf_keras as keras
from ml_training.config.schema import ModelSection
from ml_training.conversion.files import to_int8
from ml_training.inference.description import ViewDescription
from ml_training.inference.models import StretchScorer, open_model, window_places
from ml_training.inference.stretch import Stretch, stretch_of
from ml_training.models.architectures import HEADS
from ml_training.models.blocks import class_output
from ml_training.models.stored import describe, save_parts
from ml_training.utils.errors import ModelError

SIDE, FRAMES, RATE = 32, 50, 16_000
TINY = Path(__file__).parents[1] / "data_files" / "tiny_int8.tflite"
KINDS = ("mobilenet_v2", "temporal", "multimodal")


def section_of(architecture: str) -> ModelSection:
    return ModelSection(
        architecture=architecture,
        input_size=SIDE,
        sequence_units=8,
        mfcc_bands=32,
    )


def tiny_network(architecture: str) -> dict[str, keras.Model]:
    """The parts of a model: its own head on a few layers that look at a picture."""
    keras.utils.set_random_seed(5)
    section = section_of(architecture)
    image = keras.layers.Input((SIDE, SIDE, 3), name="image")
    x = keras.layers.Conv2D(8, 5, strides=4, activation="relu")(image)
    x = keras.layers.GlobalAveragePooling2D()(x)
    embedding = keras.layers.Dense(8, activation="relu", name="dense")(x)
    if architecture not in HEADS:
        return {"model": keras.Model(image, class_output(embedding, section))}
    return {"trunk": keras.Model(image, embedding), "head": HEADS[architecture](section, embedding_size=8)}


def colours(generator: np.random.Generator, count: int) -> np.ndarray:
    """Pictures of one colour each, with some grain: float32 [count, SIDE, SIDE, 3] within 0..255."""
    grain = generator.normal(0, 20, (count, SIDE, SIDE, 3))
    return (grain + generator.uniform(0, 255, (count, 1, 1, 3))).clip(0, 255).astype(np.float32)


def examples_of(model: keras.Model, count: int = 16) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(2)
    made = {
        "image": colours(generator, count) / 128 - 1,
        "sound": generator.normal(generator.uniform(-3, 3, (count, 1, 1)), 0.5, (count, 998, 32)),
        "has_sound": (np.arange(count) % 4 > 0)[:, None],
    }
    return {
        item.name: np.asarray(made.get(item.name, np.abs(generator.normal(0, 1, (count, *item.shape[1:])))), np.float32)
        for item in model.inputs
    }


def manifest_of(architecture: str, folder: Path) -> dict[str, object]:
    import hashlib

    description = describe(section_of(architecture), 0.4).model_dump(mode="json")
    parts = [
        {"name": path.stem, "file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        for path in sorted(folder.glob("*.tflite"), reverse=True)
    ]
    kept = {key: description[key] for key in ("architecture", "threshold", "view", "mfcc_bands")}
    return {**kept, "version": 2, "labels": ["content", "ad"], "parts": parts, "sha256": parts[0]["sha256"]}


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    """A float and an int8 folder of each kind, by ``kind`` and ``kind int8``."""
    root = tmp_path_factory.mktemp("models")
    found = {}
    for kind in KINDS:
        network = tiny_network(kind)
        found[kind], found[f"{kind} int8"] = root / kind, root / f"{kind} int8"
        found[f"{kind} int8"].mkdir()
        for name, model in network.items():
            inputs = examples_of(model)
            examples = [{key: values[place] for key, values in inputs.items()} for place in range(16)]
            (found[f"{kind} int8"] / f"{name}.tflite").write_bytes(to_int8(model, examples))
        save_parts(network, describe(section_of(kind), 0.4), str(found[kind]))
        manifest = manifest_of(kind, found[f"{kind} int8"])
        (found[f"{kind} int8"] / "manifest.json").write_text(json.dumps(manifest))
    return found


@pytest.fixture(scope="module")
def models(folders) -> dict[str, StretchScorer]:
    """Every folder, opened."""
    return {name: open_model(folder) for name, folder in folders.items()}


@pytest.fixture(scope="module")
def stretch() -> Stretch:
    generator = np.random.default_rng(1)
    sound = generator.normal(0, 3000, FRAMES * RATE).astype(np.int16)
    images = colours(generator, FRAMES).astype(np.uint8)
    return stretch_of(images, sound=sound)


def cut(stretch: Stretch, start: int, end: int) -> Stretch:
    """The same frames of the same recording, read alone."""
    return Stretch(
        stretch.pts_seconds[start:end],
        lambda first, last: stretch.images(start + first, start + last),
        stretch.sound,
    )


@pytest.mark.parametrize("name", [*KINDS, *(f"{kind} int8" for kind in KINDS)])
def test_every_frame_has_a_score_and_an_embedding(models, stretch, name):
    model = models[name]
    scores, embeddings, reading = model.score(stretch), model.embeddings(stretch), model.read(stretch)
    assert (model.threshold, model.class_names) == (0.4, ("content", "ad"))
    assert (scores.shape, scores.dtype) == ((FRAMES,), np.float32)
    assert np.all((scores >= 0) & (scores <= 1))
    assert scores.std() > 0.001
    assert (embeddings.shape, embeddings.dtype) == ((FRAMES, 8), np.float32)
    assert embeddings.std() > 0
    assert np.array_equal(reading.scores, scores)
    assert np.array_equal(reading.embeddings, embeddings)
    assert np.allclose(reading.classes[:, 1], scores)
    assert np.allclose(reading.classes.sum(axis=1), 1)


@pytest.mark.parametrize("name", [*KINDS, *(f"{kind} int8" for kind in KINDS)])
def test_a_frame_away_from_the_edges_is_judged_the_same_in_any_stretch(models, stretch, name):
    model = models[name]
    whole, part = model.score(stretch), model.score(cut(stretch, 3, 41))
    assert np.allclose(part[5:-4], whole[8:37], atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_int8_says_nearly_the_same(models, stretch, kind):
    expected, received = (models[name].score(stretch) for name in (kind, f"{kind} int8"))
    assert np.abs(received - expected).mean() < max(0.02, 0.5 * expected.std())


@pytest.mark.parametrize("name", KINDS)
def test_no_frames_no_scores(models, name):
    model = models[name]
    empty = stretch_of(np.zeros((0, SIDE, SIDE, 3), np.uint8))
    assert model.score(empty).shape == (0,)
    assert model.embeddings(empty).shape == (0, 8)


def test_embeddings_of_the_int8_file_are_those_of_its_own_last_layer(models, stretch):
    expected, received = (models[n].embeddings(stretch) for n in ("mobilenet_v2", "mobilenet_v2 int8"))
    assert np.corrcoef(expected.ravel(), received.ravel())[0, 1] > 0.9


def test_temporal_looks_back_and_not_ahead(models, stretch):
    def images(start: int, end: int) -> np.ndarray:
        pictures = stretch.images(start, end).copy()
        pictures[np.arange(start, end) == 20] = 0
        return pictures

    model = models["temporal"]
    changed = model.score(Stretch(stretch.pts_seconds, images))
    moved = np.flatnonzero(np.abs(changed - model.score(stretch)) > 1e-6)
    assert moved.tolist() == [20, 21, 22, 23, 24]


def test_the_trunk_sees_each_picture_once_and_pictures_come_in_batches(models, stretch):
    asked: list[tuple[int, int]] = []

    def images(start: int, end: int) -> np.ndarray:
        asked.append((start, end))
        return stretch.images(start, end)

    models["multimodal"].score(Stretch(stretch.pts_seconds, images, stretch.sound))
    assert asked == [(0, 32), (32, 50)]


def test_without_sound_the_pictures_are_judged_alone(models, stretch):
    model = models["multimodal"]
    silent, heard = model.score(Stretch(stretch.pts_seconds, stretch.images)), model.score(stretch)
    assert np.all(np.isfinite(silent))
    assert np.abs(silent - heard).max() > 1e-4


def test_larger_pictures_are_brought_to_the_models_size(models):
    images = np.random.default_rng(3).integers(0, 256, (4, 224, 224, 3)).astype(np.uint8)
    assert models["mobilenet_v2"].score(stretch_of(images)).shape == (4,)


def test_windows_take_the_nearest_frame():
    pts_seconds = np.array([0.0, 1.0, 2.1, 3.0, 10.0])
    places = window_places(pts_seconds, ViewDescription(offsets_seconds=(-2.0, -1.0, 0.0, 1.0)))
    assert places.tolist() == [[0, 0, 0, 1], [0, 0, 1, 2], [0, 1, 2, 3], [1, 2, 3, 3], [4, 4, 4, 4]]


def test_one_of_its_files_opens_the_whole_model(folders, stretch):
    whole = open_model(folders["temporal int8"]).score(stretch)
    assert np.array_equal(open_model(folders["temporal int8"] / "head.tflite").score(stretch), whole)


def test_what_does_not_fit_is_said(folders, tmp_path):
    with pytest.raises(ModelError, match=r"none of manifest\.json beside it"):
        open_model(TINY)
    with pytest.raises(ModelError, match=r"expected a \.tflite or \.keras file"):
        open_model(tmp_path / "model.onnx")
    folder = tmp_path / "copy"
    folder.mkdir()
    for path in folders["temporal int8"].iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "head.tflite").write_bytes((folder / "trunk.tflite").read_bytes())
    with pytest.raises(ModelError, match="not the file that its manifest names"):
        open_model(folder)
    (folder / "head.tflite").unlink()
    with pytest.raises(ModelError, match=r"there is no head\.tflite"):
        open_model(folder)
    (folder / "manifest.json").write_text("{}")
    with pytest.raises(ModelError, match="does not describe a model"):
        open_model(folder)
