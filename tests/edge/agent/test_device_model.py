"""A device judges frame by frame; what comes out is what the conversion judged with the whole recording at hand."""

import json
import shutil

import numpy as np
import pytest
from agent_world import FILES, model_files
from ml_training.edge.agent.device_model import open_device_model
from ml_training.edge.agent.media import SAMPLE_RATE, SoundRing
from ml_training.inference.description import SEQUENCE_VIEWS
from ml_training.inference.models import open_model
from ml_training.inference.stretch import stretch_of
from ml_training.utils.errors import ModelError
from ml_training.utils.hashing import sha256_file

DRAW = np.random.default_rng(1)
IMAGES = DRAW.integers(0, 256, (40, 224, 224, 3)).astype(np.uint8) // 8 * 8 // 2 + DRAW.integers(
    0, 128, (40, 1, 1, 3)
).astype(np.uint8)
TIMES = np.concatenate([np.arange(20.0), np.arange(60.0, 80.0)]) + DRAW.uniform(0, 0.3, 40)  # with a gap
SOUND = (DRAW.normal(0, 3000, 90 * SAMPLE_RATE) * np.repeat(DRAW.uniform(0, 1, 90), SAMPLE_RATE)).astype(np.int16)


@pytest.fixture
def clip_model(tmp_path):
    """A multimodal model of two tiny files."""
    parts = []
    for name in ("trunk", "head"):
        path = shutil.copy(FILES / f"clip_{name}_int8.tflite", tmp_path / f"{name}.tflite")
        parts.append({"name": name, "file": f"{name}.tflite", "sha256": sha256_file(tmp_path / f"{name}.tflite")})
        assert path
    view = SEQUENCE_VIEWS["multimodal"].model_dump(mode="json")
    manifest = {
        "version": 2, "architecture": "multimodal", "parts": parts, "labels": ["content", "ad"], "threshold": 0.5,
        "runtime": "ai-edge-litert 2.3.0", "view": view, "mfcc_bands": 40, "sha256": parts[0]["sha256"],
    }  # fmt: skip
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    return tmp_path


def judged(folder, sound=None, whole_sound=None):
    """Feed frame by frame; the sound comes as it would, a little ahead."""
    watch = open_device_model(folder).watch(sound)
    result, fed = [], 0
    for pts, image in zip(TIMES, IMAGES, strict=True):
        if sound is not None:
            end = round((pts + 1.0) * SAMPLE_RATE)
            sound.add(whole_sound[fed:end])
            fed = end
        result += watch.see(float(pts), image)
    if sound is not None:
        sound.add(whole_sound[fed:])
        sound.finish()
    result += watch.finish()
    assert [one.pts_seconds for one in result] == TIMES.tolist()
    return np.array([one.score for one in result], np.float32)


def test_single_frames_score_as_when_they_were_judged(tmp_path):
    for name, data in model_files("1.0.0").items():
        (tmp_path / name).write_bytes(data)
    expected = open_model(tmp_path).score(stretch_of(IMAGES, TIMES))
    assert np.abs(judged(tmp_path) - expected).max() <= 1 / 256
    assert expected.std() > 0.05


def test_a_clip_model_without_sound_scores_as_when_it_was_judged(clip_model):
    expected = open_model(clip_model).score(stretch_of(IMAGES, TIMES))
    assert np.abs(judged(clip_model) - expected).max() <= 2 / 256
    assert expected.std() > 0.02


def test_a_clip_model_with_sound_scores_as_when_it_was_judged(clip_model):
    expected = open_model(clip_model).score(stretch_of(IMAGES, TIMES, SOUND))
    silent = open_model(clip_model).score(stretch_of(IMAGES, TIMES))
    got = judged(clip_model, SoundRing(seconds=60), SOUND)
    assert np.abs(got - expected).max() <= 2 / 256
    assert np.abs(expected - silent).max() > 0.02


def test_a_frame_waits_for_its_window_no_longer_than_it_must(clip_model):
    watch = open_device_model(clip_model).watch()
    waited = [len(watch.see(float(second), IMAGES[second])) for second in range(8)]
    assert waited == [0, 0, 0, 0, 1, 1, 1, 1]
    assert len(watch.finish()) == 4


def test_a_model_of_several_classes_gives_the_column_of_ads(clip_model):
    model = open_device_model(clip_model)
    assert model.ad_score(np.array([0.3], np.float32)) == pytest.approx(0.3)
    assert model.ad_score(np.array([0.7, 0.3], np.float32)) == pytest.approx(0.3)


def test_a_model_without_a_head_is_refused(clip_model):
    (clip_model / "head.tflite").unlink()
    with pytest.raises(ModelError, match=r"has no file head\.tflite"):
        open_device_model(clip_model)
