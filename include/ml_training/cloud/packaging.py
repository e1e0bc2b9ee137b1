"""The code and the lock file that a machine fetches, each named by what it holds.

    code, lock = upload("s3://adbreak")            # s3://adbreak/code/<sha256>.tar.gz and .txt; there already: nothing
    JobSpec(module=..., code=code, lock=lock, ...)

The same files give the same archive, whoever packs them and when: a job that is asked for twice is one job. On the
machine ``hashing.code_version`` is what it is here, so a training finds the checkpoints that it began with here.
"""

import gzip
import io
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ml_training.cloud import storage
from ml_training.cloud.jobs import Archive
from ml_training.utils.errors import CloudMisconfigured, ObjectExists
from ml_training.utils.hashing import sha256_bytes

ROOT = Path(__file__).resolve().parents[3]
PACKED = ("include/ml_training", "include/configs")
LOCK = "requirements-ml.txt"
PASSED_OVER = ("__pycache__", ".pyc", ".part-")
MODE_FILE = 0o644


def upload(root_uri: str, repository: Path = ROOT) -> tuple[Archive, Archive]:
    """Store code and lock file below ``root_uri`` (a bucket or a folder), if they are not there; return both."""
    code, lock = pack_code(repository), read_lock(repository)
    return _store(root_uri, code, ".tar.gz"), _store(root_uri, lock, ".txt")


def pack_code(repository: Path = ROOT) -> bytes:
    """Return the package and its configs as tar.gz, below ``include/``. Raises CloudMisconfigured without it."""
    missing = [folder for folder in PACKED if not (repository / folder).is_dir()]
    if missing:
        raise CloudMisconfigured(
            f"{repository} has no {' and no '.join(missing)}: machines are given code of a checkout"
        )
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in _files(repository):
            data = path.read_bytes()
            archive.addfile(_entry(path.relative_to(repository).as_posix(), len(data)), io.BytesIO(data))
    return gzip.compress(buffer.getvalue(), mtime=0)


def read_lock(repository: Path = ROOT) -> bytes:
    """Return the lock file of the ML environment. Raises CloudMisconfigured when there is none."""
    path = repository / LOCK
    if not path.is_file():
        raise CloudMisconfigured(f"{path} is missing: `make lock` writes it")
    return path.read_bytes()


def _files(repository: Path) -> Iterator[Path]:
    for folder in PACKED:
        for path in sorted((repository / folder).rglob("*")):
            name = path.relative_to(repository).as_posix()
            if path.is_file() and not any(part in name for part in PASSED_OVER):
                yield path


def _entry(name: str, size_bytes: int) -> tarfile.TarInfo:
    """Return what an archive says of a file: nothing of its owner, its time or its rights."""
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = size_bytes, MODE_FILE, 0
    return entry


def _store(root_uri: str, data: bytes, ending: str) -> Archive:
    sha256 = sha256_bytes(data)
    uri = storage.join(root_uri, "code", sha256 + ending)
    if not storage.exists(uri):
        with suppress(ObjectExists):  # somebody else stored the same bytes meanwhile
            storage.write_bytes(uri, data, if_absent=True)
    return Archive(uri=uri, sha256=sha256)
