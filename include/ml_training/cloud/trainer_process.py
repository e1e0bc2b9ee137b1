"""The trainer on a machine: a process group, its lines as they are written, and its last line of output.

    with TrainerProcess([python, "-m", module, "--json", "--spec-from-env"], environment, hear) as trainer:
        while trainer.poll() is None: ...
        trainer.terminate()             # SIGTERM for the whole group: it stores its state and ends
    trainer.last_output                 # the result, as JSON

``hear(line, transient)`` gets every line; a transient one ended in a carriage return: the next one takes its place.
"""

import contextlib
import os
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Self

LONGEST_LINE = 4096
PIECE = 65536
JOIN_SECONDS = 5.0
LINE_END = re.compile(rb"\r\n|\n|\r")

Hear = Callable[[str, bool], None]


class Lines:
    """Cuts a stream of bytes into lines; a line without an end is cut at 4096 bytes."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[tuple[str, bool]]:
        """Return the lines that are whole now, each with whether it is transient."""
        text, found, start = self._rest + data, [], 0
        for end in LINE_END.finditer(text):
            if end.group() == b"\r" and end.end() == len(text):
                break  # perhaps the first half of \r\n
            found.append((_decoded(text[start : end.start()]), end.group() == b"\r"))
            start = end.end()
        self._rest = text[start:]
        if len(self._rest) > LONGEST_LINE:
            found.append((_decoded(self._rest), False))
            self._rest = b""
        return [(line, transient) for line, transient in found if line]

    def end(self) -> list[tuple[str, bool]]:
        """Return what is left."""
        return [(line, False) for line, _ in self.feed(b"\n")]


class TrainerProcess:
    """One run of the trainer; a context manager, at whose end nothing of its group is left."""

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str], hear: Hear) -> None:
        self._arguments, self._environment, self._hear = list(arguments), dict(environment), hear
        self.last_output = ""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._arguments,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            process_group=0,  # a group to signal, in the machine's own session
        )
        self._readers = [
            threading.Thread(target=self._read, args=(stream, name), name=f"trainer's {name}", daemon=True)
            for name, stream in (("output", self._process.stdout), ("log", self._process.stderr))
        ]
        for reader in self._readers:
            reader.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.kill()
        self._process.wait()
        for reader in self._readers:
            reader.join(JOIN_SECONDS)  # a process that left the group may hold the pipe open
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()

    def poll(self) -> int | None:
        """Return the exit code, minus the number of the signal that killed it; None while it runs."""
        return self._process.poll()

    def terminate(self) -> None:
        """Send SIGTERM to the group."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL to the group."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _read(self, stream: IO[bytes], name: str) -> None:
        lines = Lines()
        with contextlib.suppress(ValueError, OSError):  # closed at the end
            while data := os.read(stream.fileno(), PIECE):
                self._say(lines.feed(data), name)
            self._say(lines.end(), name)

    def _say(self, lines: list[tuple[str, bool]], name: str) -> None:
        for line, transient in lines:
            if name == "output":
                self.last_output = line
            self._hear(line, transient)


def _decoded(line: bytes) -> str:
    return line.decode("utf-8", "backslashreplace").rstrip()
