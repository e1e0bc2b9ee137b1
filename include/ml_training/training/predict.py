"""Lets a model look at recordings without labels: a score for every frame.

    python -m ml_training.training.predict --model models/base-general/1.0.0/model.tflite --data-dir data --output out

Each recording's scores are stored as ``<output>/<recording_id>.parquet`` (pts_seconds, score). The result says which
stretches the frames at or above the model's threshold make; nothing is smoothed. ``detection.detect`` finds ad breaks.
"""

import argparse
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from ml_training.cloud import storage
from ml_training.config.settings import read_settings
from ml_training.data.frames import extraction_folder, read_extraction, read_index
from ml_training.data.workers import available_cores
from ml_training.inference.models import StretchScorer
from ml_training.models.stored import open_stored
from ml_training.training.evaluate import read_judged
from ml_training.training.split_frames import Pictures, stretch_of_pictures
from ml_training.utils.command_line import command_parser, run_command
from ml_training.utils.errors import DatasetUnusable

Array = npt.NDArray[Any]
SHORTEST_STRETCH = 2  # frames


def predict(model_uri: str, *, data_dir: str, output: str, recordings: Sequence[str] | None = None) -> dict[str, Any]:
    """Score recordings (default: all that have frames); those without frames are named in the result.

    Raises DatasetUnusable when none has frames.
    """
    there = recordings_with_frames(data_dir)
    names = [name for name in there if not recordings or name in recordings]
    if not names:
        wanted = f"none of {', '.join(recordings)}" if recordings else "no recording"
        raise DatasetUnusable(f"{wanted} has frames in {data_dir}: run data.collectors extract")
    threshold = read_judged(model_uri).threshold
    with open_stored(model_uri, data_dir=data_dir, threads=available_cores()) as scorer:
        seen = [_predict_recording(scorer, threshold, name, data_dir=data_dir, output=output) for name in names]
    without = sorted(set(recordings or ()) - set(names))
    return {
        "model_uri": model_uri,
        "threshold": threshold,
        "recordings": seen,
        "without_frames": without,
        "output": output,
    }


def recordings_with_frames(data_dir: str) -> list[str]:
    """Return the ids of all recordings that have frames, in order."""
    objects = storage.list_objects(storage.join(data_dir, "frames") + "/")
    return sorted({item.uri.split("/")[-2] for item in objects if item.uri.endswith("/current.json")})


def stretches(pts_seconds: Array, ads: Array, spacing: float) -> list[list[float]]:
    """Return [start, end] of every run of at least two frames that ``ads`` (bool [N]) marks; seconds [N] in order."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], ads, [False]]).astype(np.int8)))
    runs = zip(edges[::2], edges[1::2], strict=True)
    return [
        [round(float(pts_seconds[first]), 2), round(float(pts_seconds[end - 1]) + spacing, 2)]
        for first, end in runs
        if end - first >= SHORTEST_STRETCH
    ]


def _predict_recording(
    scorer: StretchScorer, threshold: float, name: str, *, data_dir: str, output: str
) -> dict[str, Any]:
    extraction = read_extraction(data_dir, name)
    index = read_index(data_dir, name)
    folder = extraction_folder(data_dir, name, extraction["extraction_id"])
    uris = [storage.join(folder, shard) for shard in index["shard"].to_pylist()]
    pictures = Pictures(index["pts_seconds"].to_numpy(), uris, index["row"].to_numpy())
    scores = scorer.score(stretch_of_pictures(pictures, data_dir, extraction))
    pts_seconds = pictures.pts_seconds
    buffer = io.BytesIO()
    pq.write_table(pa.table({"pts_seconds": pts_seconds, "score": scores}), buffer)
    storage.write_bytes(storage.join(output, f"{name}.parquet"), buffer.getvalue())
    ads = scores >= threshold
    return {
        "recording_id": name,
        "frames": len(scores),
        "ad_share": round(float(ads.mean()), 4),
        "stretches": stretches(pts_seconds, ads, 1 / extraction["frames_per_second"]),
    }


def _run(args: argparse.Namespace) -> dict[str, Any]:
    return predict(args.model, data_dir=args.data_dir, output=args.output, recordings=args.recordings)


def main(argv: list[str] | None = None) -> int:
    """Run the command."""
    parser = command_parser("ml_training.training.predict", __doc__)
    parser.add_argument("--model", required=True, help="a .keras or .tflite file, a folder of parts, an ensemble")
    parser.add_argument("--data-dir", default=read_settings().data_dir, help="bucket or folder that holds the data")
    parser.add_argument("--recordings", nargs="+", help="ids (default: all that have frames)")
    parser.add_argument("--output", required=True, help="folder for the scores")
    parser.set_defaults(run=_run)
    return run_command(parser, argv)


if __name__ == "__main__":
    raise SystemExit(main())
