"""A manifest of ten million frames: built, verified and split, with its time and memory.

    make bench NAME=manifests            # SCALE=0.1 for a million frames

The frames are simulated: ``index.parquet`` files of 6,556 recordings of half an hour, with labels, a catalogue of
creatives that air across channels, and shards that are one real file under many names. Build and verification are the
commands themselves, each in a process of its own; the memory is the largest of either, measured from outside.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from ml_training.data.creatives.catalogue import AIRINGS_SCHEMA, catalogue_uri
from ml_training.data.frames import INDEX_SCHEMA, encode_jpeg
from ml_training.utils.hashing import sha256_bytes
from ml_training.utils.records import LabelEvent

FRAMES_LISTED = 10_000_000
FRAMES_STORED = 11_800_000  # some recordings of training channels are held out for models of their channel
FRAMES_EACH = 1_800  # half an hour at one frame a second
SHARD_FRAMES = 256
CHANNELS = 40
CREATIVES = 3_000
SPOT_SECONDS = 30
TIME_BAR_SECONDS = 180.0  # build, split and verification together
MEMORY_BAR_GB = 4.0


def simulate(root: Path, recordings: int) -> None:
    """Write so many recordings' indices, labels and shards, and a catalogue of what airs in them."""
    chance = random.Random(1)
    shard, digests = _write_shard(root)
    airings: list[dict[str, object]] = []
    for number in range(recordings):
        name, channel = f"recording-{number:05d}", f"channel-{number % CHANNELS:02d}"
        folder = root / "frames" / name / f"{number:016x}"
        folder.mkdir(parents=True)
        pq.write_table(_index(name, digests, number), folder / "index.parquet", compression="zstd")
        for at in range(-(-FRAMES_EACH // SHARD_FRAMES)):
            os.link(shard, folder / f"frames-{at:05d}.parquet")
        _write_json(folder / "extraction.json", _extraction(name, channel, folder.name))
        _write_json(folder.parent / "current.json", {"extraction_id": folder.name, "source_version": name})
        events, aired = _schedule(name, channel, chance)
        airings += aired
        log = root / "labels" / "events" / name / "0.jsonl"
        log.parent.mkdir(parents=True)
        log.write_text("".join(event.model_dump_json() + "\n" for event in events))
    Path(catalogue_uri(str(root))).parent.mkdir()
    pq.write_table(pa.Table.from_pylist(airings, schema=AIRINGS_SCHEMA), catalogue_uri(str(root)))


def _write_shard(root: Path) -> tuple[Path, list[str]]:
    pictures = [encode_jpeg(np.full((224, 224, 3), 40 + value % 160, np.uint8)) for value in range(SHARD_FRAMES)]
    root.mkdir(parents=True, exist_ok=True)
    path = root / "shard.parquet"
    pq.write_table(pa.table({"pts_seconds": np.arange(SHARD_FRAMES, dtype=float), "jpeg": pictures}), path)
    return path, [sha256_bytes(picture) for picture in pictures]


def _index(name: str, digests: list[str], seed: int) -> pa.Table:
    chance = np.random.default_rng(seed)
    at = np.arange(FRAMES_EACH)
    columns = {
        "recording_id": pa.repeat(name, FRAMES_EACH),
        "frame_index": at.astype(np.int32),
        "pts_seconds": at + 0.02,
        "shard": [f"frames-{number:05d}.parquet" for number in at // SHARD_FRAMES],
        "row": (at % SHARD_FRAMES).astype(np.int32),
        "luma": chance.uniform(20, 200, FRAMES_EACH).astype(np.float32),
        "sharpness": chance.uniform(0, 900, FRAMES_EACH).astype(np.float32),
        "motion": chance.uniform(0, 60, FRAMES_EACH).astype(np.float32),
        "phash": [f"{value:016x}" for value in chance.integers(0, 2**63, FRAMES_EACH)],
        "is_black": chance.random(FRAMES_EACH) < 0.01,
        "width": np.full(FRAMES_EACH, 1280, np.int32),
        "height": np.full(FRAMES_EACH, 720, np.int32),
        "sha256": [digests[row] for row in at % SHARD_FRAMES],
    }
    known = {field.name: field.type for field in INDEX_SCHEMA}
    for field in INDEX_SCHEMA:
        if field.name not in columns:
            columns[field.name] = pa.nulls(FRAMES_EACH, field.type)
    return pa.table({n: pa.array(v, known.get(n)) if not isinstance(v, pa.Array) else v for n, v in columns.items()})


def _extraction(name: str, channel: str, extraction_id: str) -> dict[str, object]:
    return {
        "recording_id": name, "extraction_id": extraction_id, "source_version": name, "frames_per_second": 1.0,
        "duration_seconds": float(FRAMES_EACH), "channel": channel, "genre": "news", "show": None,
        "frame_count": FRAMES_EACH,
    }  # fmt: skip


def _schedule(name: str, channel: str, chance: random.Random) -> tuple[list[LabelEvent], list[dict[str, object]]]:
    """Three breaks of five spots; the catalogue found most of them, a fraction of a second off."""
    said: list[tuple[float, float, str, str | None]] = []
    reached = 0.0
    for start in (chance.uniform(200, 400), chance.uniform(800, 1000), chance.uniform(1300, 1500)):
        said.append((reached, start, "content", None))
        for spot in range(5):
            begin = start + spot * SPOT_SECONDS
            said.append((begin, begin + SPOT_SECONDS, "ad", f"ad-{int(chance.paretovariate(0.7)) % CREATIVES:04d}"))
        reached = start + 5 * SPOT_SECONDS
    said.append((reached, float(FRAMES_EACH), "content", None))
    now = datetime(2026, 1, 1, tzinfo=UTC)
    events = [
        LabelEvent(
            event_id=f"{name}-{at}", recording_id=name, start_seconds=start, end_seconds=end, label=label,
            creative=creative, source="file", author="bench", created_at=now,
        )
        for at, (start, end, label, creative) in enumerate(said)
    ]  # fmt: skip
    aired = [
        {
            "creative_id": f"c{creative}", "recording_id": name, "start_seconds": start + chance.uniform(-0.2, 0.2),
            "end_seconds": end + chance.uniform(-0.2, 0.2), "channel": channel, "date": "2026-01-01", "label": "",
            "label_source": "",
        }
        for start, end, _, creative in said
        if creative and chance.random() < 0.95
    ]  # fmt: skip
    return events, aired


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value))


def measure(arguments: list[str], root: Path) -> tuple[dict, float, float]:
    """Run a command of ``data.dataset``; return its result, its seconds, and the most memory of its processes in GB."""
    command = [sys.executable, "-m", "ml_training.data.dataset", *arguments, "--data-dir", str(root), "--json"]
    environment = {**os.environ, "ADBREAK_WORK_DIR": str(root / "work")}
    started = time.monotonic()
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, stdout=output, env=environment)
        memory = 0
        while process.poll() is None:
            memory = max(memory, _memory(process.pid))
            time.sleep(0.1)
        seconds = time.monotonic() - started
        output.seek(0)
        if process.returncode:
            sys.exit(f"{' '.join(arguments)} failed with exit code {process.returncode}")
        return json.loads(output.read()), seconds, memory / 1e9


def _memory(pid: int) -> int:
    try:
        process = psutil.Process(pid)
        return sum(p.memory_info().rss for p in [process, *process.children(recursive=True)])
    except psutil.Error:
        return 0


def main() -> int:
    """Simulate, build, verify, and print the figures beside their bars."""
    scale = float(os.environ.get("SCALE", "1"))
    recordings = round(FRAMES_STORED * scale / FRAMES_EACH)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "data"
        started = time.monotonic()
        simulate(root, recordings)
        print(f"simulated {recordings} recordings of {FRAMES_EACH} frames in {time.monotonic() - started:.0f} s")
        built, build_seconds, build_memory = measure(["build", "--config", "base_model"], root)
        again, again_seconds, _ = measure(["build", "--config", "base_model"], root)
        checked, verify_seconds, verify_memory = measure(["verify", "--dataset", built["dataset_id"]], root)
        size = (root / "datasets" / built["dataset_id"] / "manifest.parquet").stat().st_size
    total, memory = build_seconds + verify_seconds, max(build_memory, verify_memory)
    for name, value in (
        ("frames", f"{checked['frames']:,} in {checked['recordings']:,} recordings"),
        ("frames by split", json.dumps(built["frames"])),
        ("hours by split", json.dumps(built["hours_per_split"])),
        ("build and split", f"{build_seconds:.1f} s, {build_memory:.2f} GB"),
        ("verify", f"{verify_seconds:.1f} s, {verify_memory:.2f} GB: {json.dumps(checked['checks'])}"),
        ("found again", f"{again_seconds:.1f} s, reused {again['reused']}"),
        ("manifest", f"{size / 1e6:.1f} MB, {size / checked['frames']:.1f} bytes a frame"),
    ):
        print(f"{name:<16} {value}")
    enough = checked["frames"] >= FRAMES_LISTED * min(scale, 1)
    kept = total < TIME_BAR_SECONDS and memory < MEMORY_BAR_GB and again["reused"] and enough
    print(
        f"frames {checked['frames']} >= {FRAMES_LISTED * scale:.0f}; build, split and verify (s) {total:.1f} < "
        f"{TIME_BAR_SECONDS:g}; memory (GB) {memory:.2f} < {MEMORY_BAR_GB:g}; {'kept' if kept else 'MISSED'}"
    )
    return 0 if kept else 1


if __name__ == "__main__":
    raise SystemExit(main())
