"""Processes or threads that work on parts of recordings, and end when whoever started them does.

    with WorkerPool(2) as pool:
        for result in pool.map(do_part, jobs): ...

With one worker everything happens in this process. The others are started when there is work for two, freshly (not
forked: threads of libraries do not survive that), and watch their parent: one that was killed leaves nobody behind.
Threads start at once, which is worth more for work of a few seconds, though only what libraries do runs side by side.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor, wait
from multiprocessing import get_context
from types import TracebackType
from typing import Self, TypeVar

WATCH_SECONDS = 1.0

Item = TypeVar("Item")
Result = TypeVar("Result")


def available_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class WorkerPool:
    """Up to ``workers`` processes, or ``threads``, started at their first use."""

    def __init__(self, workers: int, *, threads: bool = False) -> None:
        self.workers = workers
        self._threads = threads
        self._executor: Executor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._executor is not None:
            processes = list((getattr(self._executor, "_processes", None) or {}).values())
            self._executor.shutdown(wait=error is None, cancel_futures=True)
            if error is not None:
                for process in processes:
                    process.terminate()

    def prepare(self) -> None:
        """Start the processes now, so that they begin while there is other work to do."""
        if self.workers > 1 and not self._threads:
            self._started().submit(os.getpid)

    def map(self, work: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        """Yield ``work`` of each item in order; raises what the first failing one raises.

        No work goes on after that: what has begun is waited for, the rest is not begun.
        """
        if self.workers <= 1 or len(items) <= 1:
            yield from map(work, items)
            return
        executor = self._started()
        futures = [executor.submit(work, item) for item in items]
        try:
            for future in futures:
                yield future.result()
        except Exception:
            for future in futures:
                future.cancel()
            wait(futures)
            raise

    def _started(self) -> Executor:
        if self._executor is None and self._threads:
            self._executor = ThreadPoolExecutor(self.workers)
        elif self._executor is None:
            self._executor = ProcessPoolExecutor(
                self.workers, mp_context=get_context("spawn"), initializer=_watch, initargs=(os.getpid(),)
            )
        return self._executor


def _watch(parent: int) -> None:
    def look() -> None:
        while os.getppid() == parent:
            time.sleep(WATCH_SECONDS)
        os._exit(1)

    threading.Thread(target=look, daemon=True).start()
