"""What a training computed beside its checkpoints survives its machine: finished files go to the job's folder and back.

    work = WorkFiles(job, settings.work_dir)
    work.restore()                # at the beginning of an attempt: what those before it computed
    work.store()                  # now and then: what is new
    work.remove()                 # when the job is done

Only folders that hold immutable files are kept (activations, named by all that they depend on); a file whose name
begins with a dot is under way.
"""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ml_training.cloud import storage
from ml_training.cloud.jobs import Job

KEPT = ("activations",)
FOLDER = "work"
CONNECTIONS = 8

logger = logging.getLogger(__name__)


class WorkFiles:
    """The files of one machine's work folder that a later machine can use."""

    def __init__(self, job: Job, folder: Path) -> None:
        self._job, self._folder = job, folder
        self._stored: set[str] = set()

    def restore(self, go_on: Callable[[], bool] = lambda: True) -> int:
        """Fetch what earlier attempts stored and this machine lacks, while ``go_on()``; returns the number of files."""
        prefix = self._job.at(FOLDER) + "/"
        found = {item.uri.removeprefix(prefix): item for item in storage.list_objects(prefix)}
        missing = [name for name, item in found.items() if not self._is_there(name, item.size_bytes)]

        def fetch(name: str) -> None:
            if go_on():
                storage.download(found[name].uri, self._folder / name)

        self._each(fetch, missing)
        self._stored |= set(found)
        if missing:
            logger.info("%d files of earlier attempts are here", len(missing))
        return len(missing)

    def store(self) -> int:
        """Store every finished file that is new; returns their number."""
        new = [name for name in self._finished() if name not in self._stored]

        def put(name: str) -> None:
            storage.upload(self._folder / name, self._job.at(FOLDER, name))
            self._stored.add(name)

        self._each(put, new)
        return len(new)

    def remove(self) -> None:
        """Remove what is stored: the job is done, nobody needs it any more."""
        uris = [item.uri for item in storage.list_objects(self._job.at(FOLDER) + "/")]
        self._each(storage.delete, uris)

    def _finished(self) -> list[str]:
        return [
            path.relative_to(self._folder).as_posix()
            for kept in KEPT
            for path in sorted((self._folder / kept).rglob("*"))
            if path.is_file() and not any(part.startswith(".") for part in path.relative_to(self._folder).parts)
        ]

    def _is_there(self, name: str, size_bytes: int) -> bool:
        path = self._folder / name
        return path.is_file() and path.stat().st_size == size_bytes

    def _each(self, work: Callable[[str], None], names: list[str]) -> None:
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            list(pool.map(work, names))
