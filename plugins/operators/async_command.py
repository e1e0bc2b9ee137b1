"""A command beside an event loop: the asynchronous sibling of ``operators.command_process``.

    async with AsyncCommand([python, "-m", "ml_training.cloud.spot", "watch"], environment, say=log) as command:
        exit_code = await command.run()
    command.last_output      # the last line on standard output: the command's result

The same guard stands beside it: its process group ends when the block is left, and when the process that runs the loop
is killed.
"""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Self

from operators.command_process import GRACE_SECONDS, GUARD, Lines, Say

CHUNK_BYTES = 65536
TAIL_LINES = 60  # a watched job's error has the end of its log behind it


class AsyncCommand:
    """One run of a command; an asynchronous context manager. ``say(stream, line)`` hears each line."""

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
        self.exit_code: int | None = None

    async def __aenter__(self) -> Self:
        pipe, nothing = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
        self._process = await asyncio.create_subprocess_exec(
            *self._arguments,
            env=self._environment,
            stdin=nothing,
            stdout=pipe,
            stderr=pipe,
            start_new_session=True,
        )
        guard = ["/bin/sh", "-c", GUARD, "guard", str(self._process.pid), str(round(self._grace_seconds * 5))]
        self._guard = await asyncio.create_subprocess_exec(
            *guard, stdin=pipe, stdout=nothing, stderr=nothing, start_new_session=True
        )
        return self

    async def __aexit__(self, *exception: object) -> None:
        word = b"done\n" if self.exit_code is not None else b"stop\n"
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            await self._guard.communicate(word)  # the guard ends when the group has
        await self._process.wait()

    async def run(self) -> int:
        """Pass on every line until the command has ended; return its exit code (minus the signal's number)."""
        streams = {"stdout": self._process.stdout, "stderr": self._process.stderr}
        await asyncio.gather(*(self._read(name, stream) for name, stream in streams.items() if stream))
        self.exit_code = await self._process.wait()
        return self.exit_code

    async def _read(self, name: str, stream: asyncio.StreamReader) -> None:
        lines = Lines()
        while data := await stream.read(CHUNK_BYTES):
            self._hear(name, lines.feed(data))
        self._hear(name, lines.end())

    def _hear(self, name: str, lines: Sequence[str]) -> None:
        for line in lines:
            if name == "stdout":
                self.last_output = line
            else:
                self.error_tail = [*self.error_tail, line][-TAIL_LINES:]
            self._say(name, line)
