"""What a device has seen and not sent yet: bounded, on its disk, nothing twice and nothing lost unsaid.

    store = Store(home.store, limit_bytes=200_000_000)
    store.add_record({"kind": "telemetry", ...}, day="2026-11-23")
    store.add_example(jpeg, day="2026-11-23")
    for item in store.outgoing():                     # records in batches, examples one by one
        send(item.name, item.path)                    # the name is the content's hash: sent twice, it is there once
        store.sent(item)

A record is a file until a batch holds it: the batch is written first, whole, then its records go. What a power cut
leaves between is found when the store is opened: such records are in a batch already. When the store is full the
oldest examples go, then the oldest telemetry; ``dropped`` counts them, and that count is on the disk before they go.
"""

import fcntl
import gzip
import json
import logging
import uuid
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from ml_training.edge.agent.home import remove_leftovers, sync_folder, write_atomically
from ml_training.utils.hashing import sha256_bytes

RECORDS_IN_A_BATCH = 100
KINDS = ("telemetry", "hard_examples")

logger = logging.getLogger(__name__)


class Item(NamedTuple):
    """One file to send; ``name`` is its place below the device's prefix."""

    kind: str  # telemetry or hard_examples
    name: str
    path: Path


class Store:
    """Records wait in ``records/``, batches in ``telemetry/``, pictures in ``hard_examples/``. Shared by processes."""

    def __init__(self, folder: Path, *, limit_bytes: int) -> None:
        self._folder, self._limit = folder, limit_bytes
        self._records = folder / "records"
        self._drops_file = folder / "dropped.json"
        for name in ("records", *KINDS):
            (folder / name).mkdir(parents=True, exist_ok=True)
        with self._alone():
            for name in ("", "records", *KINDS):
                remove_leftovers(folder / name)
            self._finish_drops()
            self._finish_batches()

    def add_record(self, record: dict[str, Any], *, day: str) -> str:
        """Store a record; returns the id that it gets and that stays with it. ``day`` is YYYY-MM-DD."""
        name = uuid.uuid4().hex
        data = (json.dumps({**record, "record_id": name}, sort_keys=True) + "\n").encode()
        with self._alone():
            self._make_room(len(data))
            write_atomically(self._records / f"{day}_{name}.json", data)
            if len(self._files(self._records)) >= RECORDS_IN_A_BATCH:
                self._seal()
        return name

    def add_example(self, data: bytes, *, day: str) -> str:
        """Store a picture under its content's name; returns that."""
        name = f"{day}_{sha256_bytes(data)}.jpg"
        with self._alone():
            self._make_room(len(data))
            write_atomically(self._folder / "hard_examples" / name, data)
        return name

    def _seal(self) -> None:
        """Put the waiting records of each day into a batch: one line of JSON each, gzip."""
        by_day: dict[str, list[Path]] = {}
        for path in self._files(self._records):
            by_day.setdefault(path.name[:10], []).append(path)
        for day, paths in by_day.items():
            data = gzip.compress(b"".join(path.read_bytes() for path in paths), mtime=0)
            write_atomically(self._folder / "telemetry" / f"{day}_{sha256_bytes(data)}.jsonl.gz", data)
            self._remove(paths)

    def outgoing(self) -> Iterator[Item]:
        """Batch what waits, then yield what is to be sent: telemetry first, the oldest first."""
        with self._alone():
            self._seal()
            files = {kind: self._files(self._folder / kind) for kind in KINDS}
        for kind in KINDS:
            for path in files[kind]:
                day, _, name = path.name.partition("_")
                yield Item(kind, f"{day}/{name}", path)

    def sent(self, item: Item) -> None:
        """Forget what the server has."""
        with self._alone():
            self._remove([item.path])

    def size_bytes(self) -> int:
        """Return the bytes that the store holds."""
        folders = (self._records, *(self._folder / kind for kind in KINDS))
        return sum(path.stat().st_size for folder in folders for path in self._files(folder))

    def counts(self) -> dict[str, int]:
        """Return how many records wait, and how many batches and pictures."""
        return {name: len(self._files(self._folder / name)) for name in ("records", *KINDS)}

    def dropped(self) -> dict[str, int]:
        """Return how many files and records were ever dropped for want of room."""
        content = self._drops()
        return {name: int(content[name]) for name in ("records", "hard_examples", "bytes")}

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other processes out: ``run`` stores while ``check`` sends."""
        with open(self._folder / "lock", "w", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _make_room(self, size: int) -> None:
        excess = self.size_bytes() + size - self._limit
        if excess <= 0:
            return
        going = []
        for path in self._oldest_first():
            going.append(path)
            excess -= path.stat().st_size
            if excess <= 0:
                break
        self._drop(going)

    def _oldest_first(self) -> Iterator[Path]:
        for folder in (self._folder / "hard_examples", self._folder / "telemetry", self._records):
            yield from self._files(folder)

    def _drop(self, paths: list[Path]) -> None:
        content = self._drops()
        for path in paths:
            content["bytes"] += path.stat().st_size
            content["hard_examples" if path.suffix == ".jpg" else "records"] += _records_in(path)
        content["going"] = [path.relative_to(self._folder).as_posix() for path in paths]
        write_atomically(self._drops_file, json.dumps(content).encode())
        logger.warning("the store is full: %d files go, %s", len(paths), self.dropped())
        self._finish_drops()

    def _finish_drops(self) -> None:
        content = self._drops()
        if content["going"]:
            for name in content["going"]:
                (self._folder / name).unlink(missing_ok=True)
            write_atomically(self._drops_file, json.dumps({**content, "going": []}).encode())

    def _drops(self) -> dict[str, Any]:
        empty: dict[str, Any] = {"records": 0, "hard_examples": 0, "bytes": 0, "going": []}
        try:
            content = json.loads(self._drops_file.read_text())
            return {name: type(value)(content[name]) for name, value in empty.items()}
        except FileNotFoundError:
            return empty
        except (ValueError, TypeError, KeyError) as error:
            logger.error("%s is damaged, it counts anew: %r", self._drops_file, error)
            return empty

    def _finish_batches(self) -> None:
        waiting = {path.stem[11:]: path for path in self._files(self._records)}
        if not waiting:
            return
        for batch in self._files(self._folder / "telemetry"):
            held = [_id_in(line) for line in _lines_of(batch)]
            self._remove([waiting.pop(name) for name in held if name in waiting])

    def _remove(self, paths: list[Path]) -> None:
        for path in paths:
            path.unlink(missing_ok=True)
        for folder in {path.parent for path in paths}:
            sync_folder(folder)

    def _files(self, folder: Path) -> list[Path]:
        """Return the files of a folder by day and time: of one day, as they were written."""
        whole = [path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")]
        return sorted(whole, key=lambda path: (path.name[:10], path.stat().st_mtime_ns, path.name))


def _lines_of(batch: Path) -> list[bytes]:
    """Return a batch's records; none where the disk has damaged it."""
    try:
        return gzip.decompress(batch.read_bytes()).splitlines()
    except (OSError, EOFError, zlib.error) as error:
        logger.error("%s is damaged: %r", batch, error)
        return []


def _id_in(line: bytes) -> str:
    try:
        return str(json.loads(line)["record_id"])
    except (ValueError, TypeError, KeyError):
        return ""


def _records_in(path: Path) -> int:
    return len(_lines_of(path)) if path.suffix == ".gz" else 1
