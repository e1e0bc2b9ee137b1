"""Finds the examples of a dataset version: which judged frames have all that their view needs.

    examples = read_examples("s3://adbreak", dataset_id, "train", view=CLIPS)
    examples.passed_over          # {'incomplete': 41, 'masked': 12, 'without sound': 0}

A view is complete when each of its media times has a frame of the same recording within a quarter of a second. It never
reaches over a masked frame: the neighbour of an ad of another split would show what the split must not see.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from ml_training.cloud import storage
from ml_training.data.audio.sound import has_sound
from ml_training.data.pipeline.examples import FRAMES, Examples, View
from ml_training.utils.errors import DatasetUnusable, ObjectNotFound
from ml_training.utils.records import Split

Array = npt.NDArray[Any]

TOLERANCE_SECONDS = 0.25  # frames come at or after whole seconds, by less than a frame's duration
COLUMNS = ("recording_id", "pts_seconds", "label", "label_name", "creative", "seen_creative", "masked")
TEXTS = ("recording_id", "split", "label_name", "creative", "shard_uri")
PARALLEL_REQUESTS = 8


class _Frames(NamedTuple):
    """The frames of a split, in the order of recording and time."""

    recordings: list[str]
    recording_numbers: Array  # int32
    files: list[str]
    file_numbers: Array  # int32
    rows: Array
    pts_seconds: Array
    labels: Array
    masked: Array


def read_examples(
    data_dir: str, dataset_id: str, split: Split, *, view: View = FRAMES, seen_creatives: bool = False
) -> Examples:
    """Return every scored frame of a split with what its view needs.

    ``seen_creatives`` keeps frames of a test split that show a creative of another split. Raises DatasetUnusable when
    there is no such version, or when no example or only one class is left.
    """
    frames = _read_frames(data_dir, dataset_id, split, seen_creatives=seen_creatives)
    judged, places, passed_over = _complete(frames, view)
    examples = Examples(
        view=view,
        files=[storage.join(data_dir, name) for name in frames.files],
        file_numbers=frames.file_numbers[places],
        rows=frames.rows[places],
        labels=frames.labels[judged],
        recordings=frames.recordings,
        recording_numbers=frames.recording_numbers[judged],
        pts_seconds=frames.pts_seconds[judged],
        hardness=np.zeros(len(judged), np.float32),
        data_dir=data_dir,
        passed_over=passed_over,
    )
    if view.sound_seconds is not None:
        examples = _with_sound(examples)
    _require_both_classes(examples, dataset_id, split)
    return examples


def _read_frames(data_dir: str, dataset_id: str, split: Split, *, seen_creatives: bool) -> _Frames:
    uri = storage.join(data_dir, "datasets", dataset_id, "manifest.parquet")
    try:
        path = storage.cached_copy(uri)
    except ObjectNotFound as error:
        raise DatasetUnusable(f"there is no dataset {dataset_id} in {data_dir}: build it, or see its id") from error
    known = set(pq.read_schema(path).names)
    columns = [name for name in (*COLUMNS, "shard_uri", "row") if name in known]
    texts = [name for name in TEXTS if name in known]
    table = pq.read_table(path, columns=columns, filters=[("split", "=", split)], read_dictionary=texts)
    recording_numbers, recordings = _codes(table, "recording_id")
    file_numbers, files = _codes(table, "shard_uri")
    pts = table["pts_seconds"].to_numpy()
    order = np.lexsort((pts, recording_numbers))
    return _Frames(
        recordings=recordings,
        recording_numbers=recording_numbers[order],
        files=files,
        file_numbers=file_numbers[order],
        rows=table["row"].to_numpy()[order].astype(np.int32),
        pts_seconds=pts[order],
        labels=table["label"].to_numpy()[order],
        masked=_masked(table, seen_creatives=seen_creatives)[order],
    )


def _codes(table: pa.Table, name: str) -> tuple[npt.NDArray[np.int32], list[str]]:
    """Return a column of texts as numbers, and the texts that they stand for; null is the empty text."""
    column = table[name].unify_dictionaries() if pa.types.is_dictionary(table[name].type) else table[name]
    column = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    if not column.num_chunks:
        return np.zeros(0, np.int32), []
    whole = column.combine_chunks()
    whole = whole.chunk(0) if isinstance(whole, pa.ChunkedArray) else whole
    texts = [*whole.dictionary.to_pylist(), ""]
    used, numbers = np.unique(whole.indices.fill_null(len(texts) - 1).to_numpy(), return_inverse=True)
    return numbers.astype(np.int32), [texts[number] for number in used]


def _masked(table: pa.Table, *, seen_creatives: bool) -> npt.NDArray[np.bool_]:
    """Tell which frames show a creative of another split.

    Where the manifest has no such column: a frame that is not scored although others of its label are, or that names a
    creative. That is more than the masked ones where an ignored class names creatives of its own split.
    """
    masked = np.zeros(len(table), bool)
    if "masked" in table.column_names:
        masked |= np.asarray(table["masked"]).astype(bool)
    elif "label_name" in table.column_names:
        names, texts = _codes(table, "label_name")
        unscored = table["label"].to_numpy() < 0
        scored_names = (np.bincount(names[~unscored], minlength=len(texts)) > 0) & (np.array(texts) != "")
        creatives, creative_texts = _codes(table, "creative")
        masked |= unscored & (scored_names[names] | (np.array(creative_texts) != "")[creatives])
    if "seen_creative" in table.column_names and not seen_creatives:
        masked |= np.asarray(table["seen_creative"]).astype(bool)
    return masked


def _complete(frames: _Frames, view: View) -> tuple[Array, Array, dict[str, int]]:
    """Return the judged frames [N], the frames of their views [N, n], and how many were passed over, and why."""
    judged_parts, place_parts, passed_over = [], [], {"masked": 0, "incomplete": 0}
    offsets = np.array(view.offsets_seconds)
    for start, end in _recordings_of(frames.recording_numbers):
        pts, masked = frames.pts_seconds[start:end], frames.masked[start:end]
        scored = np.flatnonzero(frames.labels[start:end] >= 0)
        places, found = _nearest(pts, pts[scored][:, None] + offsets)
        complete = found.all(axis=1)
        clean = ~masked[places].any(axis=1)
        passed_over["incomplete"] += int((~complete).sum())
        passed_over["masked"] += int((complete & ~clean).sum())
        kept = complete & clean
        judged_parts.append(scored[kept] + start)
        place_parts.append(places[kept] + start)
    if not judged_parts:
        return np.zeros(0, np.int64), np.zeros((0, len(offsets)), np.int64), passed_over
    return np.concatenate(judged_parts), np.concatenate(place_parts), passed_over


def _recordings_of(numbers: Array) -> Iterator[tuple[int, int]]:
    starts = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist()] if len(numbers) else []
    yield from zip(starts, [*starts[1:], len(numbers)], strict=True)


def _nearest(pts: Array, wanted: Array) -> tuple[Array, Array]:
    """Return for each wanted time the nearest frame, and whether it is near enough."""
    after = np.clip(np.searchsorted(pts, wanted), 0, len(pts) - 1)
    before = np.maximum(after - 1, 0)
    places = np.where(np.abs(pts[before] - wanted) < np.abs(pts[after] - wanted), before, after)
    return places, np.abs(pts[places] - wanted) <= TOLERANCE_SECONDS


def _with_sound(examples: Examples) -> Examples:
    """Read what is known of each recording's sound, and pass over the recordings without one."""
    extractions = _extractions(examples)
    sounding = np.array([*(has_sound(facts) for facts in extractions), False])[examples.recording_numbers]
    return replace(
        examples,
        extractions=extractions,
        file_numbers=examples.file_numbers[sounding],
        rows=examples.rows[sounding],
        labels=examples.labels[sounding],
        recording_numbers=examples.recording_numbers[sounding],
        pts_seconds=examples.pts_seconds[sounding],
        hardness=examples.hardness[sounding],
        passed_over={**examples.passed_over, "without sound": int((~sounding).sum())},
    )


def _extractions(examples: Examples) -> Sequence[dict[str, Any]]:
    """Return the ``extraction.json`` of each recording; it lies beside the recording's shards."""
    used, first = np.unique(examples.recording_numbers, return_index=True)
    found: list[dict[str, Any]] = [{} for _ in examples.recordings]
    folders = [str(examples.files[examples.file_numbers[at, 0]]).rsplit("/", 1)[0] for at in first]
    with ThreadPoolExecutor(PARALLEL_REQUESTS) as pool:
        read = pool.map(lambda folder: dict(storage.read_json(storage.join(folder, "extraction.json"))), folders)
        for number, facts in zip(used, read, strict=True):
            found[number] = facts
    return found


def _require_both_classes(examples: Examples, dataset_id: str, split: Split) -> None:
    missing = [name for value, name in ((1, "ads"), (0, "content")) if value not in examples.labels]
    if missing:
        left_out = ", ".join(f"{count} {reason}" for reason, count in examples.passed_over.items() if count)
        raise DatasetUnusable(
            f"the {split} split of dataset {dataset_id} has no {examples.view.name} of {' and '.join(missing)}"
            f"{f' (passed over: {left_out})' if left_out else ''}: label more recordings, or take another view"
        )
