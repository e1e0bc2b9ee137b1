"""One door to the bucket, and the same door to a folder with the bucket's layout.

    write_json(join("s3://adbreak", "models", "base-general", "card.json"), {"f1": 0.93})
    with local_copy("s3://adbreak/recordings/one/2026-01-05/a.ts") as path: ...

An address is ``s3://bucket/key`` or a path. Writes to a path go beside the file and are renamed; S3 does the same by
itself. ``if_absent`` makes a write conditional on both (``If-None-Match: *``; ``O_EXCL`` through a hard link). So does
``if_version`` (``If-Match``; a lock beside the file): what was read is replaced only while it is still what was read.
"""

import fcntl
import io
import json
import mimetypes
import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from ml_training.cloud.s3 import client as _client
from ml_training.cloud.s3 import get_object
from ml_training.cloud.s3 import s3_errors as _s3_errors
from ml_training.cloud.s3 import split as _split
from ml_training.config.settings import read_settings
from ml_training.utils.errors import ObjectChanged, ObjectExists, ObjectNotFound, StorageError
from ml_training.utils.scratch import scratch_folder

PART_PREFIX = ".part-"  # of files that are being written
RANGE_PIECE_BYTES = 8 << 20  # one request: large enough that its answer time does not count
RANGE_PIECES_KEPT = 4  # what an open file holds: 32 MB


class StoredObject(NamedTuple):
    """One object of a listing. ``version`` changes when the content does (ETag, or size and time of a file)."""

    uri: str
    size_bytes: int
    modified: datetime
    version: str


def is_s3(uri: str) -> bool:
    """Tell whether ``uri`` names an object in a bucket."""
    return uri.startswith("s3://")


def join(uri: str, *parts: str) -> str:
    """Append path parts to an address."""
    return "/".join([uri.rstrip("/"), *(part.strip("/") for part in parts)])


def read_bytes(uri: str) -> bytes:
    """Return the whole object. Raises ObjectNotFound."""
    return read_version(uri)[0]


def read_json(uri: str) -> Any:
    """Return the object parsed as JSON. Raises ObjectNotFound, and StorageError when it is not JSON."""
    data = read_bytes(uri)
    try:
        return json.loads(data)
    except ValueError as error:
        raise StorageError(f"{uri} should be JSON, but: {error}", uri=uri) from error


def read_version(uri: str) -> tuple[bytes, str]:
    """Return the whole object, and the version that it is of. Raises ObjectNotFound."""
    if not is_s3(uri):
        try:
            with Path(uri).open("rb") as file:
                return file.read(), _file_version(os.fstat(file.fileno()))
        except (FileNotFoundError, IsADirectoryError) as error:
            raise ObjectNotFound(f"there is no file {uri}", uri=uri) from error
    bucket, key = _split(uri)
    with _s3_errors(uri):
        return get_object(Bucket=bucket, Key=key)


def write_bytes(
    uri: str,
    data: bytes,
    *,
    if_absent: bool = False,
    if_version: str | None = None,
    cache_control: str | None = None,
) -> None:
    """Write the whole object.

    With ``if_absent`` it raises ObjectExists rather than overwrite; with ``if_version`` it raises ObjectChanged unless
    it replaces that version. ``cache_control`` tells caches between a bucket and its readers how long to keep it.
    """
    if not is_s3(uri):
        if if_version is not None:
            return _replace_file(Path(uri), data, if_version)
        return _write_file(Path(uri), data, if_absent=if_absent)
    bucket, key = _split(uri)
    options = {"IfNoneMatch": "*"} if if_absent else {}
    options |= {"IfMatch": f'"{if_version}"'} if if_version is not None else {}
    options |= {"CacheControl": cache_control} if cache_control else {}
    try:
        with _s3_errors(uri):
            _client().put_object(Bucket=bucket, Key=key, Body=data, **options)
    except (ObjectExists, ObjectNotFound) as error:
        if if_version is None:
            raise
        raise ObjectChanged(f"{uri} is not what it was any more", uri=uri) from error
    return None


def write_json(uri: str, value: Any, *, if_absent: bool = False) -> None:
    """Write ``value`` as JSON with sorted keys."""
    write_bytes(uri, json.dumps(value, sort_keys=True, indent=1).encode(), if_absent=if_absent)


def exists(uri: str) -> bool:
    """Tell whether an object (not a folder) is stored at ``uri``."""
    if not is_s3(uri):
        return Path(uri).is_file()
    return _head(uri) is not None


def stat(uri: str) -> StoredObject:
    """Return size, time and version of one object. Raises ObjectNotFound."""
    if not is_s3(uri):
        path = Path(uri)
        if not path.is_file():
            raise ObjectNotFound(f"there is no file {uri}", uri=uri)
        return _describe_file(path)
    head = _head(uri)
    if head is None:
        raise ObjectNotFound(f"there is no object {uri}", uri=uri)
    return StoredObject(uri, head["ContentLength"], head["LastModified"], head["ETag"].strip('"'))


def list_objects(prefix: str) -> Iterator[StoredObject]:
    """Yield every object below ``prefix`` (a folder, or the start of keys), in order of address; none is no error."""
    if not is_s3(prefix):
        folder = Path(prefix)
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.name.startswith(PART_PREFIX):
                yield _describe_file(path)
        return
    bucket, key = _split(prefix, key_required=False)
    with _s3_errors(prefix):
        for page in _client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=key):
            for item in page.get("Contents", []):
                yield StoredObject(
                    f"s3://{bucket}/{item['Key']}", item["Size"], item["LastModified"], item["ETag"].strip('"')
                )


def delete(uri: str) -> None:
    """Remove one object; one that is not there is no error."""
    if not is_s3(uri):
        Path(uri).unlink(missing_ok=True)
        return
    bucket, key = _split(uri)
    with _s3_errors(uri):
        _client().delete_object(Bucket=bucket, Key=key)


def download(uri: str, path: Path) -> Path:
    """Copy an object to ``path``, through a partial file beside it. Raises ObjectNotFound."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{PART_PREFIX}{_owner()}-{threading.get_ident()}-{path.name}")
    try:
        if is_s3(uri):
            bucket, key = _split(uri)
            with _s3_errors(uri):
                _client().download_file(bucket, key, str(part))
        else:
            try:
                shutil.copyfile(uri, part)
            except FileNotFoundError as error:
                raise ObjectNotFound(f"there is no file {uri}", uri=uri) from error
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


def upload(path: Path, uri: str, *, content_type: str | None = None) -> None:
    """Copy a file to ``uri``. A browser sees it as ``content_type``, by default what the ending of ``uri`` means."""
    if not is_s3(uri):
        download(str(path), Path(uri))
        return
    bucket, key = _split(uri)
    with _s3_errors(uri):
        kind = content_type or mimetypes.guess_type(uri)[0] or "application/octet-stream"
        _client().upload_file(str(path), bucket, key, ExtraArgs={"ContentType": kind})


@contextmanager
def local_copy(uri: str) -> Iterator[Path]:
    """Give a path to read ``uri`` from: the file itself, or a temporary download of an object."""
    if not is_s3(uri):
        if not Path(uri).is_file():
            raise ObjectNotFound(f"there is no file {uri}", uri=uri)
        yield Path(uri)
        return
    with scratch_folder(read_settings().work_dir, "download") as folder:
        yield download(uri, folder / uri.rsplit("/", 1)[1])


def cached_copy(uri: str) -> Path:
    """Give a path to an **immutable** object: downloaded once into the work folder, found there afterwards."""
    if not is_s3(uri):
        if not Path(uri).is_file():
            raise ObjectNotFound(f"there is no file {uri}", uri=uri)
        return Path(uri)
    path = read_settings().work_dir / "objects" / uri.removeprefix("s3://")
    return path if path.is_file() else download(uri, path)


def open_range(uri: str) -> "RangeFile":
    """Open an object (or a file) for reading at any place, without a copy of it. Raises ObjectNotFound."""
    return RangeFile(uri)


class RangeFile(io.RawIOBase):
    """A file of which pieces are fetched when they are read; it keeps the newest few in memory.

    Every piece is of the version that was there at the opening: StorageError when the object changes meanwhile.
    """

    def __init__(self, uri: str, *, piece_bytes: int = RANGE_PIECE_BYTES) -> None:
        super().__init__()
        self.uri, self._piece_bytes = uri, piece_bytes
        described = stat(uri)
        self.size_bytes, self._version = described.size_bytes, described.version
        self._at = 0
        self._pieces: dict[int, bytes] = {}

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size_bytes}[whence]
        self._at = max(0, origin + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        piece = self._piece(self._at // self._piece_bytes) if self._at < self.size_bytes else b""
        begin = self._at % self._piece_bytes
        data = piece[begin : begin + len(buffer)]
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def read(self, size: int | None = -1) -> bytes:
        """Read up to ``size`` bytes, fewer only at the end of the file."""
        wanted = self.size_bytes - self._at if size is None or size < 0 else size
        pieces: list[bytes] = []
        while wanted > 0 and self._at < self.size_bytes:
            begin = self._at % self._piece_bytes
            data = self._piece(self._at // self._piece_bytes)[begin : begin + wanted]
            pieces.append(data)
            self._at += len(data)
            wanted -= len(data)
        return b"".join(pieces)

    def _piece(self, number: int) -> bytes:
        piece = self._pieces.pop(number, None)
        if piece is None:
            first = number * self._piece_bytes
            piece = self._fetch(first, min(first + self._piece_bytes, self.size_bytes) - 1)
            if len(self._pieces) >= RANGE_PIECES_KEPT:
                del self._pieces[next(iter(self._pieces))]
        self._pieces[number] = piece
        return piece

    def _fetch(self, first: int, last: int) -> bytes:
        if not is_s3(self.uri):
            with Path(self.uri).open("rb") as file:
                file.seek(first)
                return file.read(last - first + 1)
        bucket, key = _split(self.uri)
        with _s3_errors(self.uri):
            wanted = {"Range": f"bytes={first}-{last}", "IfMatch": f'"{self._version}"'}
            return get_object(Bucket=bucket, Key=key, **wanted)[0]


def remove_leftovers(folder: str) -> None:
    """Remove what processes of this machine that were killed have left half written in a folder; in a bucket nothing.

    What a living process writes at the moment stays.
    """
    if is_s3(folder):
        return
    host, _, _ = _owner().rpartition("-")
    for path in Path(folder).glob(f"{PART_PREFIX}{host}-*"):
        process = path.name.removeprefix(f"{PART_PREFIX}{host}-").partition("-")[0]
        if process.isdigit() and not _is_alive(int(process)):
            path.unlink(missing_ok=True)


def _owner() -> str:
    return f"{socket.gethostname().replace('-', '_')}-{os.getpid()}"


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _head(uri: str) -> dict[str, Any] | None:
    bucket, key = _split(uri)
    try:
        with _s3_errors(uri):
            return dict(_client().head_object(Bucket=bucket, Key=key))
    except ObjectNotFound:
        return None


def _write_file(path: Path, data: bytes, *, if_absent: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, part = tempfile.mkstemp(dir=path.parent, prefix=f"{PART_PREFIX}{_owner()}-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        if if_absent:
            try:
                os.link(part, path)
            except FileExistsError as error:
                raise ObjectExists(f"{path} is there already", uri=str(path)) from error
        else:
            os.replace(part, path)
    finally:
        Path(part).unlink(missing_ok=True)


def _replace_file(path: Path, data: bytes, version: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f"{PART_PREFIX}lock-{path.name}").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # ends with the process, also when it is killed
        if not path.is_file() or _file_version(path.stat()) != version:
            raise ObjectChanged(f"{path} is not what it was any more", uri=str(path))
        _write_file(path, data, if_absent=False)


def _describe_file(path: Path) -> StoredObject:
    facts = path.stat()
    modified = datetime.fromtimestamp(facts.st_mtime, UTC)
    return StoredObject(str(path), facts.st_size, modified, _file_version(facts))


def _file_version(facts: os.stat_result) -> str:
    return f"{facts.st_size}-{facts.st_mtime_ns}"
