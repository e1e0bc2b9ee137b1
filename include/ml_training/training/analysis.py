"""A model, a dataset version and what the one said of the other, as tables: what the notebooks start from.

analysis = open_analysis("data")                       # the newest model, on the version that it names
table = frame_table(analysis)                          # pandas, a row a frame that counts
table.groupby("channel")["right"].mean()
error_runs(table)                                      # how long it stays wrong
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from ml_training.cloud import storage
from ml_training.data.manifest import read_frames_index
from ml_training.training.evaluate import Judged, figures, listing_of, read_judged
from ml_training.training.event_level import RecordingBreaks, judge_breaks
from ml_training.training.predictions import Predictions, predict_split, stored_predictions
from ml_training.training.split_frames import SplitFrames
from ml_training.utils.errors import ModelError, ObjectNotFound
from ml_training.utils.records import Interval, Split

MODEL_NAMES = ("model.keras", "model.tflite", "head.keras", "head.tflite")
APPEARANCE = ["pts_seconds", "luma", "motion", "shot_change", "loudness_lufs"]


class Analysis(NamedTuple):
    """What a model said of a split, and what came of it; no ``breaks`` where a version does not list its labels."""

    data_dir: str
    judged: Judged
    predictions: Predictions
    breaks: list[RecordingBreaks] | None


def newest_model(data_dir: str) -> str:
    """Return the address of the model that was trained, converted or registered last: a file, or a folder of parts.

    Raises ModelError when there is none.
    """
    listed = [
        item
        for folder in ("training", "models")
        for item in storage.list_objects(storage.join(data_dir, folder) + "/")
        if item.uri.endswith(MODEL_NAMES) and "/checkpoints/" not in item.uri
    ]
    if not listed:
        raise ModelError(f"there is no model in {data_dir}: train one with training.train")
    newest = max(listed, key=lambda item: item.modified).uri
    folder, _, name = newest.rpartition("/")
    return newest if name.startswith("model.") else folder


def open_analysis(
    data_dir: str, *, model_uri: str | None = None, dataset_id: str | None = None, split: Split = "test"
) -> Analysis:
    """Return what a model says of a split: as its evaluation stored it, else by letting it look now."""
    judged = read_judged(model_uri or newest_model(data_dir))
    judged = judged._replace(dataset_id=dataset_id or judged.dataset_id)
    where = (judged.model_uri, data_dir, judged.dataset_id, split)
    predictions = stored_predictions(*where) or predict_split(*where)
    listing = listing_of(data_dir, judged.dataset_id)
    breaks = judge_breaks(predictions, judged.threshold, listing) if listing else None
    return Analysis(data_dir, judged, predictions, breaks)


def figure_table(analysis: Analysis) -> pd.DataFrame:
    """Return every figure with its interval, a row each; those of breaks are named ``break_...``."""
    found = figures(analysis.predictions, analysis.judged.threshold, analysis.breaks)
    named = {**found, **{f"break_{name}": value for name, value in (found["events"] or {}).items()}}
    rows = {
        name: Interval.model_validate(value).model_dump()
        for name, value in named.items()
        if isinstance(value, dict) and "recordings" in value and "value" in value
    }
    return pd.DataFrame(rows).T


def frame_table(analysis: Analysis) -> pd.DataFrame:
    """Return a row a frame that counts.

    Columns: recording_id, channel, genre, show, seconds, is_ad, score, right, boundary_seconds (to the nearest start or
    end of a true break; NaN without one), luma, motion, shot_change, loudness_lufs.
    """
    frames, scores = analysis.predictions.frames, analysis.predictions.all_scores
    called = scores >= np.float32(analysis.judged.threshold)
    table = pd.DataFrame(
        {
            "recording_id": frames.recording_ids,
            "channel": frames.channels,
            "genre": frames.genres,
            "show": frames.shows,
            "seconds": frames.pts_seconds,
            "is_ad": frames.labels == 1,
            "score": scores,
            "right": called == (frames.labels == 1),
            "boundary_seconds": _boundary_seconds(analysis),
        }
    )
    return pd.concat([table, _appearance(frames, analysis.data_dir)], axis=1)[frames.scored].reset_index(drop=True)


def error_runs(table: pd.DataFrame) -> pd.DataFrame:
    """Return every run of wrong frames of one kind: recording_id, kind, start_seconds, frames; the longest first."""
    kind = np.where(table["is_ad"], "missed", "false alarm")
    key = np.where(table["right"], "", table["recording_id"].astype(str) + "/" + kind)
    runs = np.cumsum(np.append(True, key[1:] != key[:-1])) if len(key) else np.zeros(0, int)
    wrong = table.assign(kind=kind, run=runs)[~table["right"]]
    found = wrong.groupby("run").agg(
        recording_id=("recording_id", "first"),
        kind=("kind", "first"),
        start_seconds=("seconds", "first"),
        frames=("seconds", "size"),
    )
    return found.sort_values("frames", ascending=False).reset_index(drop=True)


def _boundary_seconds(analysis: Analysis) -> npt.NDArray[np.float64]:
    frames = analysis.predictions.frames
    distances = np.full(len(frames.labels), np.nan)
    true = {recording.recording_id: recording.true for recording in analysis.breaks or []}
    for name, part in frames.recordings():
        bounds = np.array([time for span in true.get(name, []) for time in span])
        if len(bounds):
            distances[part] = np.abs(frames.pts_seconds[part][:, None] - bounds).min(axis=1)
    return distances


def _appearance(frames: SplitFrames, data_dir: str) -> pd.DataFrame:
    """Return what the stored index says of each frame; NaN where an extraction has none."""
    parts: list[pd.DataFrame] = []
    for name, part in frames.recordings():
        extraction_id = str(frames.shard_uris[part.start]).split("/")[-2]
        times = pd.DataFrame({"pts_seconds": frames.pts_seconds[part]})
        try:
            index: Any = read_frames_index(data_dir, name, extraction_id, APPEARANCE).to_pandas()
        except ObjectNotFound:
            index = pd.DataFrame(columns=APPEARANCE, dtype=float)
        parts.append(times.merge(index, on="pts_seconds", how="left").drop(columns="pts_seconds"))
    return pd.concat(parts, ignore_index=True)
