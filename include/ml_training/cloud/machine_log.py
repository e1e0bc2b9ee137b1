"""The log of a machine on its way to the bucket, in pieces, never larger than what a person reads.

    log = MachineLog()
    log.add("upper: 1504 of 4200 images, 27 a second, 100 s left")
    piece = log.piece()                  # (1, b"upper: ...\\n"), the same again until ...
    log.stored()                         # ... it is in the bucket

Of a progress display (lines that end in a carriage return) only the newest line is kept. When more is written than may
be kept, the oldest lines go, and a line says how many.
"""

import logging
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ml_training.utils.command_line import LOG_FORMAT

LARGEST_PIECE = 256 << 10
LARGEST_LOG = 16 << 20
SMALL_PIECE = 8 << 10  # of each further piece of a log that is that large
TAIL_LINES = 30


class MachineLog:
    """Lines that wait to be stored, and the newest ones."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[str] = deque()
        self._waiting_bytes = self._left_out = self._stored_bytes = 0
        self._transient = False
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._piece: bytes | None = None
        self._number = 1

    def add(self, line: str, transient: bool = False) -> None:
        """Add a line; the next one takes the place of one that is ``transient``."""
        with self._lock:
            if self._transient:
                self._drop(self._waiting.pop() if self._waiting else "")
                if self._tail:
                    self._tail.pop()
            self._transient = transient
            self._waiting.append(line)
            self._tail.append(line)
            self._waiting_bytes += _size(line)
            most = LARGEST_PIECE if self._stored_bytes < LARGEST_LOG else SMALL_PIECE
            while self._waiting_bytes > most and len(self._waiting) > 1:
                self._drop(self._waiting.popleft())
                self._left_out += 1

    def piece(self) -> tuple[int, bytes] | None:
        """Return the number and the bytes of the piece that is to be stored next; None when nothing was written."""
        with self._lock:
            if self._piece is None and self._waiting:
                note = [f"[{self._left_out} lines were left out here]"] if self._left_out else []
                self._piece = "".join(f"{line}\n" for line in [*note, *self._waiting]).encode()
                self._waiting.clear()
                self._waiting_bytes = self._left_out = 0
                self._transient = False
            return None if self._piece is None else (self._number, self._piece)

    def stored(self) -> None:
        """The piece is in the bucket: the next one may come."""
        with self._lock:
            self._stored_bytes += len(self._piece or b"")
            self._piece = None
            self._number += 1

    def tail(self) -> str:
        """Return the last lines."""
        with self._lock:
            return "\n".join(self._tail)

    def _drop(self, line: str) -> None:
        self._waiting_bytes -= _size(line)


def read_boot_log(path: Path | None, log: MachineLog) -> None:
    """Let a machine's log begin with what its set-up printed."""
    if path is not None and path.is_file():
        for line in path.read_text(errors="replace").splitlines():
            log.add(line)


@contextmanager
def heard_by(log: MachineLog) -> Iterator[None]:
    """Let what this process logs stand in the machine's log too."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            log.add(self.format(record))

    handler = Handler(logging.INFO)
    handler.setFormatter(logging.Formatter(LOG_FORMAT))
    logging.getLogger("ml_training").addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger("ml_training").removeHandler(handler)


def _size(line: str) -> int:
    return len(line.encode()) + 1 if line else 0
