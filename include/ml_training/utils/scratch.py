"""Folders for the length of one piece of work, that do not stay when the process is killed.

    with scratch_folder(settings.work_dir, "detect") as folder:      # work_dir/detect-k2x9...
        ...

A folder is locked as long as its process lives. Whoever makes the next one for the same purpose removes those that
nobody holds any more: a kill leaves gigabytes behind for one run at most.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def scratch_folder(parent: Path, purpose: str) -> Iterator[Path]:
    """Give a new folder ``<purpose>-...`` in ``parent``; it is removed at the end."""
    parent.mkdir(parents=True, exist_ok=True)
    for path in parent.glob(f"{purpose}-*"):
        _remove_forgotten(path)
    folder, held = _make(parent, purpose)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(held)


def _make(parent: Path, purpose: str) -> tuple[Path, int]:
    """Make a folder and lock it; another process may take it for a forgotten one in between, then the next is made."""
    while True:
        folder = Path(tempfile.mkdtemp(dir=parent, prefix=f"{purpose}-"))
        try:
            held = os.open(folder, os.O_RDONLY)
        except FileNotFoundError:
            continue
        with suppress(OSError):  # no locks on this file system: then nobody removes what others left
            fcntl.flock(held, fcntl.LOCK_EX)
        if folder.exists():
            return folder, held
        os.close(held)


def _remove_forgotten(path: Path) -> None:
    try:
        held = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:  # removed by its owner just now, or no folder
        return
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(path, ignore_errors=True)
    except OSError:  # somebody works in it, or the file system knows no locks
        pass
    finally:
        os.close(held)
