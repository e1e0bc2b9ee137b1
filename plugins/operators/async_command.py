"""A command beside an event loop: the asynchronous sibling of ``operators.command_process``.

    async with AsyncCommand([python, "-m", "ml_training.cloud.spot", "watch"], environment, say=log) as command:
        exit_code = await command.run()
    command.last_output      # the last line on standard output: the command's result

The same guard stands beside it: its process group ends when the block is left, and when the process that runs the loop
is killed.
"""

import asyncio
import contextlib
import os
import signal
from typing import Self

from operators.command_process import GuardedCommand, Lines, group_is_alive

CHUNK_BYTES = 65536


class AsyncCommand(GuardedCommand):
    """One run of a command; an asynchronous context manager."""

    tail_lines = 60  # a watched job's error has the end of its log behind it
    exit_code: int | None = None

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
        try:
            self._guard = await asyncio.create_subprocess_exec(
                *self._guard_arguments(self._process.pid),
                stdin=pipe,
                stdout=nothing,
                stderr=nothing,
                start_new_session=True,
            )
        except BaseException:  # cancelled, or no process is to be had: nobody else would end the command
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            raise
        streams = {"stdout": self._process.stdout, "stderr": self._process.stderr}
        self._streams = [(name, stream, Lines()) for name, stream in streams.items() if stream]
        return self

    async def __aexit__(self, *exception: object) -> None:
        ended = self.exit_code is not None and not group_is_alive(self._process.pid)
        await asyncio.gather(self._tell_guard(b"done\n" if ended else b"stop\n"), self.run())

    async def run(self) -> int:
        """Pass on every line until the command has ended; return its exit code (minus the signal's number)."""
        await asyncio.gather(*(self._read(*stream) for stream in self._streams))
        self.exit_code = await self._process.wait()
        return self.exit_code

    async def _read(self, name: str, stream: asyncio.StreamReader, lines: Lines) -> None:
        while data := await stream.read(CHUNK_BYTES):
            self._hear(name, lines.feed(data))
        self._hear(name, lines.end())

    async def _tell_guard(self, word: bytes) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            await self._guard.communicate(word)  # the guard ends when the group has
