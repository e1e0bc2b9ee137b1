"""A way to the bucket that can be cut, and comes back by itself.

with Gate("http://127.0.0.1:4566") as gate:
    gate.url                          # the bucket, as long as the gate is open
    gate.cut(60)                      # connections end, new ones are refused: a network that is down
    gate.cut(60, silent=True)         # nothing is answered any more: a network that swallows
"""

import contextlib
import socket
import threading
import time
from types import TracebackType
from urllib.parse import urlsplit

from local_stack.ports import HOST

PIECE_BYTES = 65536
LOOK_SECONDS = 0.2


class Gate:
    """Passes bytes to one server and back until the context ends."""

    def __init__(self, target_url: str) -> None:
        target = urlsplit(target_url)
        self._target = (target.hostname or HOST, target.port or 80)
        self._listener = socket.create_server((HOST, 0))
        self._listener.settimeout(LOOK_SECONDS)
        self._cut_until, self._silent = 0.0, False
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._accept, daemon=True)

    @property
    def url(self) -> str:
        """The address through the gate."""
        return f"http://{HOST}:{self._listener.getsockname()[1]}"

    @property
    def is_cut(self) -> bool:
        """Tell whether nothing gets through now."""
        return time.monotonic() < self._cut_until

    def __enter__(self) -> "Gate":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        self._listener.close()
        self._end_connections()

    def cut(self, seconds: float, *, silent: bool = False) -> None:
        """Let nothing through for so long; 0 opens the gate again."""
        self._cut_until, self._silent = time.monotonic() + seconds, silent
        if seconds > 0 and not silent:
            self._end_connections()

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                caller, _ = self._listener.accept()
            except TimeoutError:
                continue
            caller.settimeout(None)
            if self.is_cut and not self._silent:
                caller.close()
                continue
            threading.Thread(target=self._pass_on, args=(caller,), daemon=True).start()

    def _pass_on(self, caller: socket.socket) -> None:
        try:
            server = socket.create_connection(self._target)
        except OSError:
            caller.close()
            return
        with self._lock:
            self._open |= {caller, server}
        threading.Thread(target=self._pump, args=(server, caller), daemon=True).start()
        self._pump(caller, server)

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        """Copy one direction until either side ends; a silent gate holds the bytes back."""
        try:
            while piece := source.recv(PIECE_BYTES):
                while self.is_cut and self._silent and not self._over.is_set():
                    time.sleep(LOOK_SECONDS)
                target.sendall(piece)
        except OSError:
            pass
        for end in (source, target):
            _close(end)
        with self._lock:
            self._open -= {source, target}

    def _end_connections(self) -> None:
        with self._lock:
            ended = list(self._open)
        for connection in ended:
            _close(connection)


def _close(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
