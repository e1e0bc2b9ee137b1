"""What the machines of a rehearsal say to one another: after each step all know whether one of them has to end.

    with exchange_of(os.environ, step=120) as exchange:     # where no TF_CONFIG names other machines, there is nobody
        if exchange.anybody(termination.asked): ...         # all machines hear the same, after the same step

The first machine listens, the others connect and stay connected, one line a step in each direction: as with the
collectives of a training, nobody goes on without the others, and one that has gone ends them all (OSError).
"""

import json
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TextIO

from ml_training.cloud.cluster import CLUSTER_VARIABLE

MEET_SECONDS = 120.0  # for all to be there
SILENT_SECONDS = 60.0  # a step with a machine that says nothing is given up


class Exchange:
    """The lines to the other machines; none where a job has one machine."""

    def __init__(self, lines: list[TextIO], *, is_first: bool) -> None:
        self._lines, self.is_first = lines, is_first

    def anybody(self, asked: bool) -> bool:
        """Tell whether any machine was asked to end. Raises OSError when one is not there any more."""
        if not self.is_first:
            _say(self._lines[0], asked)
            return bool(_hear(self._lines[0]))
        heard = [_hear(line) for line in self._lines]
        for line in self._lines:
            _say(line, asked or any(heard))
        return asked or any(heard)


@contextmanager
def exchange_of(environment: Mapping[str, str], *, step: int) -> Iterator[Exchange]:
    """Meet the other machines, all of which stand at ``step``. Raises OSError where they do not come."""
    said = json.loads(environment.get(CLUSTER_VARIABLE) or "{}")
    workers, index = said.get("cluster", {}).get("worker", []), said.get("task", {}).get("index", 0)
    with ExitStack() as exits:
        if len(workers) <= 1:
            connections = []
        elif index == 0:
            connections = _accepted(exits, _address(workers[0]), len(workers) - 1)
        else:
            connections = [exits.enter_context(_connected(_address(workers[0])))]
        lines: list[TextIO] = []
        for connection in connections:
            connection.settimeout(SILENT_SECONDS)
            lines.append(exits.enter_context(connection.makefile("rw")))
        for line in lines:
            _say(line, step)
        if any(_hear(line) != step for line in lines):
            raise ConnectionError("the machines of this rehearsal do not stand at the same step")
        yield Exchange(lines, is_first=index == 0)


def _accepted(exits: ExitStack, address: tuple[str, int], count: int) -> list[socket.socket]:
    listener = exits.enter_context(socket.create_server(("", address[1])))
    listener.settimeout(MEET_SECONDS)
    return [exits.enter_context(listener.accept()[0]) for _ in range(count)]


def _connected(address: tuple[str, int]) -> socket.socket:
    until = time.monotonic() + MEET_SECONDS
    while True:
        try:
            return socket.create_connection(address, timeout=5)
        except OSError:
            if time.monotonic() >= until:
                raise
            time.sleep(0.1)


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)


def _say(line: TextIO, what: int) -> None:
    line.write(json.dumps(what) + "\n")
    line.flush()


def _hear(line: TextIO) -> int:
    if not (said := line.readline()):
        raise ConnectionError("another machine of this rehearsal has gone")
    return int(json.loads(said))
