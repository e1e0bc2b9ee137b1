"""A view is complete, of one recording, and free of masked frames; what is left out is counted."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ml_training.data.pipeline.examples import CLIPS, FRAMES, WINDOWS
from ml_training.data.pipeline.selection import read_examples
from ml_training.utils.errors import DatasetUnusable

DATASET = "pipelinedataset0"


def seconds_of(examples, recording):
    return sorted(int(s) for s in examples.pts_seconds[examples.recording_ids == recording])


def test_every_scored_frame_is_an_example(training_frames):
    assert training_frames.rows.shape == (len(training_frames), 1)
    assert training_frames.recordings == ["gapless", "holed", "mute"]
    assert seconds_of(training_frames, "mute") == [*range(30), *range(33, 40)]
    assert seconds_of(training_frames, "gapless") == [*range(22), *range(23, 30), *range(33, 40)]
    ads = training_frames.pts_seconds[training_frames.labels == 1]
    assert ads.min() > 20
    assert ads.max() < 30


def test_windows_end_at_the_judged_frame_and_never_reach_over_a_gap_or_a_masked_frame(pipeline_root):
    windows = read_examples(str(pipeline_root), DATASET, "train", view=WINDOWS)
    assert windows.view.judged == 4
    whole = [*range(4, 30), *range(33, 40)]
    assert seconds_of(windows, "mute") == whole  # promos may be neighbours, and have no label of their own
    assert seconds_of(windows, "gapless") == [s for s in whole if not 22 <= s <= 26]
    assert seconds_of(windows, "holed") == [s for s in whole if not 8 <= s <= 14]
    assert windows.passed_over == {"masked": 4, "incomplete": 4 * 3 + 4}
    places = windows.file_numbers * 16 + windows.rows
    assert len(np.unique(places[windows.recording_ids == "mute"])) == 40


def test_clips_lie_around_the_judged_frame_and_need_sound(pipeline_root):
    clips = read_examples(str(pipeline_root), DATASET, "train", view=CLIPS)
    assert clips.rows.shape[1] == 10
    assert seconds_of(clips, "mute") == []
    assert clips.passed_over["without sound"] == len([*range(5, 30), 33, 34, 35])
    assert seconds_of(clips, "holed") == [*range(16, 30), 33, 34, 35]
    assert all(not s - 5 <= 22 <= s + 4 for s in seconds_of(clips, "gapless"))


def test_a_seen_creative_is_judged_only_when_asked_for(pipeline_root):
    unseen = read_examples(str(pipeline_root), DATASET, "test", view=WINDOWS)
    assert all(not (25 <= s <= 29 or 25 <= s - 4 <= 29) for s in seconds_of(unseen, "judged"))
    every = read_examples(str(pipeline_root), DATASET, "test", view=WINDOWS, seen_creatives=True)
    assert set(seconds_of(every, "judged")) > set(range(25, 30))


def test_a_column_that_says_what_is_masked_is_believed(pipeline_root, tmp_path):
    table = pq.read_table(pipeline_root / "datasets" / DATASET / "manifest.parquet")
    masked = np.asarray(table["pts_seconds"]).astype(int) == 3
    folder = tmp_path / "datasets" / "d"
    folder.mkdir(parents=True)
    pq.write_table(table.append_column("masked", pa.array(masked)), folder / "manifest.parquet")
    windows = read_examples(str(tmp_path), "d", "train", view=WINDOWS)
    assert min(seconds_of(windows, "mute")) == 8
    assert 23 in seconds_of(read_examples(str(tmp_path), "d", "train", view=FRAMES), "gapless")


def test_a_frame_without_a_score_that_names_a_creative_counts_as_masked(pipeline_root, tmp_path):
    table = pq.read_table(pipeline_root / "datasets" / DATASET / "manifest.parquet")
    named = ["promo-1" if name == "promo" else "" for name in table["label_name"].to_pylist()]
    folder = tmp_path / "datasets" / "d"
    folder.mkdir(parents=True)
    table = table.set_column(table.column_names.index("creative"), "creative", pa.array(named))
    pq.write_table(table, folder / "manifest.parquet")
    windows = read_examples(str(tmp_path), "d", "train", view=WINDOWS)
    assert seconds_of(windows, "mute") == [*range(4, 30), *range(37, 40)]


@pytest.mark.parametrize("kind", ["shuffled", "dictionary"])
def test_the_form_of_the_table_does_not_matter(pipeline_root, training_frames, tmp_path, kind):
    table = pq.read_table(pipeline_root / "datasets" / DATASET / "manifest.parquet")
    if kind == "shuffled":
        table = table.take(np.random.default_rng(1).permutation(len(table)))
    else:
        for name in ("recording_id", "shard_uri", "split", "creative"):
            table = table.set_column(table.column_names.index(name), name, table[name].dictionary_encode())
    folder = tmp_path / "datasets" / "d"
    folder.mkdir(parents=True)
    pq.write_table(table, folder / "manifest.parquet", row_group_size=30)
    again = read_examples(str(tmp_path), "d", "train")

    def listed(examples):
        files = [examples.files[n].rsplit("/frames/", 1)[1] for n in examples.file_numbers[:, 0]]
        return sorted(zip(files, examples.rows[:, 0], examples.labels, examples.pts_seconds, strict=True))

    assert listed(again) == listed(training_frames)


def test_what_is_missing_is_said(pipeline_root, tmp_path):
    with pytest.raises(DatasetUnusable, match="no dataset absent"):
        read_examples(str(pipeline_root), "absent", "train")
    table = pq.read_table(pipeline_root / "datasets" / DATASET / "manifest.parquet")
    folder = tmp_path / "datasets" / "d"
    folder.mkdir(parents=True)
    pq.write_table(table.filter(pa.array(np.asarray(table["label"]) != 1)), folder / "manifest.parquet")
    with pytest.raises(DatasetUnusable, match=r"no windows of ads .*incomplete"):
        read_examples(str(tmp_path), "d", "train", view=WINDOWS)
    with pytest.raises(DatasetUnusable, match="no frames of ads"):
        read_examples(str(tmp_path), "d", "train")
