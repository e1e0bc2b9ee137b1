"""Hard examples of devices join the frames of a training; what has no label stays out."""

import json

import cv2
import numpy as np
import pytest
from ml_training.data.frames import encode_jpeg
from ml_training.data.pipeline.additional import read_additional
from ml_training.data.pipeline.batches import Options, Pipeline
from ml_training.data.pipeline.examples import PICTURE_FILE, WINDOWS, join_examples
from ml_training.data.pipeline.selection import read_examples
from ml_training.utils.errors import DataError, ObjectNotFound, UsageError

DATASET = "pipelinedataset0"


def line(file, label, *, score=0.5, **more):
    at = "2026-01-05T20:00:00Z"
    return {"file": file, "device": "pi-1", "captured_at": at, "score": score, "label": label, **more}


@pytest.fixture
def hard_examples(tmp_path):
    """Two devices: three labelled pictures, one without a label, one promo, and one whose picture is not there."""
    lists = {
        "pi-1/2026-01-05": [line("a.jpg", "ad", score=0.4), line("b.jpg", "content", score=0.55), line("c.jpg", None)],
        "pi-2/2026-01-06": [
            line("a.jpg", None),
            line("d.jpg", "promo"),
            line("gone.jpg", "ad"),
            line("a.jpg", "content", score=0.6, label_source="person"),
        ],
    }
    for folder, lines in lists.items():
        (tmp_path / folder).mkdir(parents=True)
        for number, name in enumerate({entry["file"] for entry in lines} - {"gone.jpg"}):
            (tmp_path / folder / name).write_bytes(encode_jpeg(np.full((120, 200, 3), 30 + number, np.uint8)))
        (tmp_path / folder / "examples.jsonl").write_text("\n".join(json.dumps(entry) for entry in lines) + "\n\n")
    return tmp_path


def test_labelled_pictures_are_examples(hard_examples):
    more = read_additional(str(hard_examples))
    assert [file.removeprefix(f"{hard_examples}/") for file in more.files] == [
        "pi-1/2026-01-05/a.jpg",
        "pi-1/2026-01-05/b.jpg",
        "pi-2/2026-01-06/a.jpg",
    ]
    assert more.labels.tolist() == [1, 0, 0]
    assert more.hardness == pytest.approx([0.6, 0.55, 0.6])
    assert (more.rows == PICTURE_FILE).all()
    assert more.passed_over == {"without label": 1, "ignored label": 1, "picture missing": 1}


def test_a_config_says_what_a_label_means(hard_examples):
    more = read_additional(str(hard_examples), label_classes={"promo": "ad"})
    assert more.passed_over["ignored label"] == 0
    assert more.labels.tolist() == [1, 0, 0, 1]


def test_they_are_read_together_with_the_frames_of_a_dataset(hard_examples, training_frames):
    together = join_examples(training_frames, read_additional(str(hard_examples)))
    assert len(together) == len(training_frames) + 3
    assert together.recording_ids[-1] == ""
    pipeline = Pipeline(together, Options(batch_size=10, hardness_factor=9.0, augment=False, drop_remainder=False))
    batches = list(pipeline.iterate(epochs=1))
    numbers = np.concatenate([batch.numbers for batch in batches])
    assert (numbers >= len(training_frames)).sum() >= 3 * 4  # hardness of 0.55 and more: drawn five times and more
    images = np.concatenate([batch.images for batch in batches])[numbers >= len(training_frames)]
    assert images.shape[1:] == (224, 224, 3)
    assert images.std(axis=(1, 2)).max() < 1  # plain, whatever their size was


def test_windows_have_no_use_for_single_pictures(hard_examples, pipeline_root):
    windows = read_examples(str(pipeline_root), DATASET, "train", view=WINDOWS)
    with pytest.raises(UsageError, match="no neighbours"):
        join_examples(windows, read_additional(str(hard_examples)))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("no json", "line 2: JSON"),
        (json.dumps(line("b.jpg", "advert")), "line 2: label"),
        (json.dumps(line("b.jpg", "ad", score=7)), "line 2: score"),
        (json.dumps(line("../x.jpg", "ad")), "a name beside the list"),
        (json.dumps(line("b.jpg", "ad", weight=2)), "line 2: weight"),
    ],
)
def test_a_wrong_line_is_told_with_its_place(tmp_path, text, says):
    (tmp_path / "d" / "day").mkdir(parents=True)
    (tmp_path / "d" / "day" / "examples.jsonl").write_text(json.dumps(line("a.jpg", None)) + "\n" + text)
    with pytest.raises(DataError, match=says):
        read_additional(str(tmp_path))


def test_a_folder_without_lists_is_said(tmp_path):
    with pytest.raises(ObjectNotFound, match=r"examples\.jsonl"):
        read_additional(str(tmp_path))


def test_a_broken_picture_is_named(hard_examples):
    broken = hard_examples / "pi-1" / "2026-01-05" / "a.jpg"
    broken.write_bytes(cv2.imencode(".png", np.zeros((4, 4, 3), np.uint8))[1].tobytes()[:30])
    pipeline = Pipeline(read_additional(str(hard_examples)), Options(batch_size=3))
    with pytest.raises(DataError, match=r"a\.jpg"):
        list(pipeline.iterate(epochs=1))
