"""A command as a process group of its own, which ends when its task ends, whatever ends the task.

    with CommandProcess([python, "-m", "ml_training.training.train", "--json"], environment, say=log) as command:
        exit_code = command.run()
    command.last_output      # the last line on standard output: the command's result

Beside every command stands a guard, a shell that waits for one line on a pipe. When the line is ``stop``, or when the
pipe closes because the task was killed, it sends SIGTERM to the group and, after ``grace_seconds``, SIGKILL. So a
command may checkpoint on SIGTERM, also when Airflow gives the task itself less time, and no grandchild stays behind.
"""

import contextlib
import os
import selectors
import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any, Self

GRACE_SECONDS = 15.0
POLL_SECONDS = 0.5
TAIL_LINES = 20
GUARD = """
read -r word
[ "$word" = done ] && exit 0
kill -s TERM -- "-$1" 2>/dev/null
left=$2
while [ "$left" -gt 0 ]; do
    kill -s 0 -- "-$1" 2>/dev/null || exit 0
    sleep 0.2
    left=$((left - 1))
done
kill -s KILL -- "-$1" 2>/dev/null
"""

Say = Callable[[str, str], None]


class Lines:
    """Cuts a stream of bytes into lines; a carriage return (a progress display) ends a line too."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[str]:
        *lines, self._rest = (self._rest + data).replace(b"\r", b"\n").split(b"\n")
        return [text for line in lines if (text := line.decode("utf-8", "backslashreplace").rstrip())]

    def end(self) -> list[str]:
        return self.feed(b"\n")


class GuardedCommand:
    """A command and its guard, however its lines are read. ``say(stream, line)`` hears each line as it is written."""

    tail_lines = TAIL_LINES

    def __init__(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        *,
        say: Say,
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        self._arguments = list(arguments)
        self._environment = dict(environment)
        self._say = say
        self._grace_seconds = grace_seconds
        self.last_output = ""
        self.error_tail: list[str] = []

    def _guard_arguments(self, group: int) -> list[str]:
        return ["/bin/sh", "-c", GUARD, "guard", str(group), str(round(self._grace_seconds * 5))]

    def _hear(self, stream: str, lines: Sequence[str]) -> None:
        for line in lines:
            if stream == "stdout":
                self.last_output = line
            else:
                self.error_tail = [*self.error_tail, line][-self.tail_lines :]
            self._say(stream, line)


class CommandProcess(GuardedCommand):
    """One run of a command; a context manager."""

    def __enter__(self) -> Self:
        self._selector = selectors.DefaultSelector()
        self._process = subprocess.Popen(
            self._arguments,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._guard = subprocess.Popen(
            self._guard_arguments(self._process.pid),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._streams = {"stdout": self._process.stdout, "stderr": self._process.stderr}
        for name, stream in self._streams.items():
            self._selector.register(stream, selectors.EVENT_READ, (name, Lines()))  # type: ignore[arg-type]
        return self

    def __exit__(self, *exception: object) -> None:
        if self._process.poll() is None or group_is_alive(self._process.pid):
            self.stop()
        else:
            self._tell_guard(b"done\n")
        self.run()
        self._guard.wait()
        for stream in (*self._streams.values(), self._guard.stdin):
            _close(stream)
        self._selector.close()

    @property
    def group(self) -> int:
        """The id of the command's process group."""
        return self._process.pid

    def run(self) -> int:
        """Pass on every line until the command has ended; return its exit code (minus the signal's number)."""
        while self._selector.get_map():
            ready = self._selector.select(POLL_SECONDS)
            for key, _ in ready:
                self._read(key)
            if not ready and self._process.poll() is not None:
                break  # a grandchild holds the pipe open
        return self._process.wait()

    def stop(self) -> None:
        """Ask the guard to end the group. Returns at once, may be called from a signal handler and twice."""
        self._tell_guard(b"stop\n")

    def _read(self, key: selectors.SelectorKey) -> None:
        name, lines = key.data
        data = os.read(key.fd, 65536)
        if not data:
            self._selector.unregister(key.fileobj)
        self._hear(name, lines.feed(data) if data else lines.end())

    def _tell_guard(self, word: bytes) -> None:
        with contextlib.suppress(BrokenPipeError, ValueError):  # the guard has done its work already
            os.write(self._guard.stdin.fileno(), word)  # type: ignore[union-attr]


def group_is_alive(group: int) -> bool:
    """Tell whether a process group has a process left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def _close(stream: IO[Any] | None) -> None:
    if stream is not None:
        with contextlib.suppress(BrokenPipeError):
            stream.close()
