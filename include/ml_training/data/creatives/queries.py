"""What people ask of the catalogue: what airs in a recording, what a creative is, all of it as a file.

find("s3://adbreak", "news-0105")["airings"]
show("s3://adbreak", "c1f0a2b4c6d8e0f1", sheet="sheet.png")["channels"]
"""

import json
from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any

import pyarrow as pa
import pyarrow.csv

from ml_training.cloud import storage
from ml_training.data.creatives.catalogue import catalogue_uri, read_airings, table_bytes
from ml_training.data.creatives.labels import CreativeClass, LabelSource, append_label, read_labels, resolve_labels
from ml_training.data.creatives.sheet import write_sheet
from ml_training.data.frames import read_current
from ml_training.utils.errors import DataError, UsageError


def find(
    data_dir: str, recording_id: str, *, start_seconds: float = 0.0, end_seconds: float | None = None
) -> dict[str, Any]:
    """Return the creatives that air in a recording, in order, each with how often and where else it aired.

    Raises DataError when the recording is not there.
    """
    rows = read_airings(data_dir).to_pylist()
    own = [row for row in rows if row["recording_id"] == recording_id]
    if not own and read_current(data_dir, recording_id) is None:
        raise DataError(f"there is no recording {recording_id} in {data_dir}: see whether the id is right")
    end = float("inf") if end_seconds is None else end_seconds
    inside = [row for row in own if row["end_seconds"] > start_seconds and row["start_seconds"] < end]
    times = Counter(row["creative_id"] for row in rows)
    where = {name: {r["recording_id"] for r in rows if r["creative_id"] == name} for name in times}
    return {
        "recording_id": recording_id,
        "airings": [
            {key: row[key] for key in ("start_seconds", "end_seconds", "creative_id", "label")}
            | {"times_aired": times[row["creative_id"]], "recordings": len(where[row["creative_id"]])}
            for row in sorted(inside, key=lambda row: row["start_seconds"])
        ],
    }


def show(data_dir: str, creative_id: str, *, sheet: str | None = None) -> dict[str, Any]:
    """Return one creative: length, class, channels, first and last date, airings. Raises DataError when unknown."""
    rows = [row for row in read_airings(data_dir).to_pylist() if row["creative_id"] == creative_id]
    if not rows:
        raise DataError(f"the catalogue of {data_dir} has no creative {creative_id}: `export` lists all")
    if sheet:
        write_sheet(data_dir, rows, Path(sheet))
    said = resolve_labels(read_labels(data_dir, creative_id)).get(creative_id)
    dates = sorted(row["date"] for row in rows if row["date"])
    return {
        "creative_id": creative_id,
        "label": said.label if said else "",
        "label_source": f"{said.source}:{said.author}" if said else "",
        "seconds": round(median(row["end_seconds"] - row["start_seconds"] for row in rows), 2),
        "times_aired": len(rows),
        "channels": sorted({row["channel"] for row in rows}),
        "first_seen": dates[0] if dates else "",
        "last_seen": dates[-1] if dates else "",
        "airings": [{key: row[key] for key in ("recording_id", "start_seconds", "end_seconds")} for row in rows],
        **({"sheet": sheet} if sheet else {}),
    }


def summary(data_dir: str) -> dict[str, Any]:
    """Return counts of the catalogue and its creatives that aired most often."""
    rows = read_airings(data_dir).to_pylist()
    times = Counter(row["creative_id"] for row in rows)
    labelled = {row["creative_id"] for row in rows if row["label"]}
    return {
        "creatives": len(times),
        "airings": len(rows),
        "hours": round(sum(row["end_seconds"] - row["start_seconds"] for row in rows) / 3600, 3),
        "labelled": len(labelled),
        "recordings": len({row["recording_id"] for row in rows}),
        "most_aired": dict(sorted(times.items(), key=lambda item: (-item[1], item[0]))[:20]),
    }


def label(data_dir: str, creative_id: str, said: CreativeClass, *, source: LabelSource, author: str) -> dict[str, Any]:
    """Append a label of a creative. Raises DataError when the catalogue has no such creative."""
    airings = sum(row == creative_id for row in read_airings(data_dir)["creative_id"].to_pylist())
    if not airings:
        raise DataError(f"the catalogue of {data_dir} has no creative {creative_id}: `export` lists all")
    event = append_label(data_dir, creative_id, said, source=source, author=author)
    return {"creative_id": creative_id, "label": said, "added": event is not None, "airings": airings}


def export(data_dir: str, output: str) -> dict[str, Any]:
    """Write all airings to a .csv, .json or .parquet file. Raises DataError when there is no catalogue yet."""
    if not storage.exists(catalogue_uri(data_dir)):
        raise DataError(f"there is no catalogue in {data_dir}: run data.creatives update")
    table = read_airings(data_dir)
    ending = Path(output).suffix
    if ending == ".csv":
        sink = pa.BufferOutputStream()
        pyarrow.csv.write_csv(table, sink)
        data = sink.getvalue().to_pybytes()
    elif ending == ".json":
        data = json.dumps(table.to_pylist(), indent=1).encode()
    elif ending == ".parquet":
        data = table_bytes(table)
    else:
        raise UsageError(f"--output must end in .csv, .json or .parquet, received {output}")
    storage.write_bytes(output, data)
    return {"output": output, "airings": len(table)}
