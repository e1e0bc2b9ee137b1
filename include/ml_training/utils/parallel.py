"""Many small requests at once, in the order of the items: the answer time of a bucket counts, not its bandwidth.

records = in_threads(names, lambda name: read_split(data_dir, name))       # a list
for table in stream_in_threads(names, read): ...                           # a few ahead of the reader, no more
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

THREADS = 8

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_threads(items: Iterable[Item], work: Callable[[Item], Result], *, threads: int = THREADS) -> list[Result]:
    """Return ``work`` of every item, in their order; raises what the first failing one raises."""
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, items))


def stream_in_threads(
    items: Iterable[Item], work: Callable[[Item], Result], *, threads: int = THREADS
) -> Iterator[Result]:
    """Yield ``work`` of every item, in their order; at most ``2 * threads`` results wait in memory."""
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) >= 2 * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
