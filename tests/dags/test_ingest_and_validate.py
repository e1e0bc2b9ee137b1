"""Ingest and validation on real recordings in a folder with the bucket's layout, with the real commands."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.airflow

RECORD = """
import sys
import av
import numpy as np
with av.open(sys.argv[1], "w", format="mpegts") as output:
    stream = output.add_stream("libx264", rate=25)
    stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
    random = np.random.default_rng(int(sys.argv[2]))
    for second in range(30):
        picture = np.kron(random.integers(30, 220, (24, 32, 3), dtype=np.uint8), np.ones((10, 10, 1), dtype=np.uint8))
        for _ in range(25):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
    output.mux(stream.encode())
"""


PAST_THE_END = {
    "event_id": "past-the-end",
    "recording_id": "evening",
    "start_seconds": 30,
    "end_seconds": 90,
    "label": "ad",
    "source": "person",
    "author": "test",
    "created_at": "2026-01-06T00:00:00Z",
}


def ml(*arguments: str) -> None:
    subprocess.run([os.environ["ADBREAK_ML_PYTHON"], *arguments], check=True, capture_output=True, timeout=60)


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """A folder of recordings: one of thirty seconds, labelled, and one that nothing can read."""
    folder = tmp_path / "bucket" / "recordings" / "one" / "2026-01-05"
    folder.mkdir(parents=True)
    ml("-c", RECORD, str(folder / "evening.ts"), "1")
    (folder / "broken.ts").write_bytes(b"this is no transport stream" * 100)
    return folder


def label(tmp_path: Path, segments: list[dict[str, Any]]) -> None:
    labels = tmp_path / "labels.json"
    labels.write_text(json.dumps({"evening": segments}))
    ml(
        "-m", "ml_training.data.labels", "import", "--labels", str(labels), "--data-dir", str(tmp_path / "bucket"),
        "--author", "test",
    )  # fmt: skip


def test_from_recordings_to_validated_frames(run_dag: Any, recordings: Path, alerts: Any, tmp_path: Path) -> None:
    ingest = run_dag("ingest_recordings")
    assert ingest.state == "success"
    assert ingest.state_of("extract_frames") == ["success", "success"]
    assert ingest.announced("frames") == [{"recordings": ["evening"]}]
    assert ingest.result_of("ingest_report")["recordings"] == {"extracted": 1, "quarantined": 1}
    assert [alert["kind"] for alert in alerts()] == ["recording_quarantined"]
    assert "broken" in alerts()[0]["summary"]

    label(tmp_path, [{"start": 0, "end": 10, "label": "ad"}, {"start": 10, "end": 30, "label": "content"}])
    validation = run_dag("validate_dataset", recordings=["evening"])
    assert validation.state == "success"
    assert validation.announced("validated_frames") == [{"recordings": ["evening"]}]
    assert (tmp_path / "bucket" / "validation" / "data_docs" / "index.html").is_file()

    again = run_dag("ingest_recordings")
    assert again.state == "success"
    assert again.state_of("frames") == "skipped"
    assert again.announced("frames") == []

    events = tmp_path / "bucket" / "labels" / "events" / "evening" / "by-hand.jsonl"
    events.write_text(json.dumps(PAST_THE_END) + "\n")
    failed = run_dag("validate_dataset")
    assert failed.state == "failed"
    assert (failed.state_of("validate_frames"), failed.state_of("validate_labels")) == ("success", "failed")
    assert failed.announced("validated_frames") == []
    assert "evening" in alerts()[-1]["facts"]["reason"]
    assert failed.link_of("validate_labels").endswith("/bucket/validation/data_docs/index.html")
