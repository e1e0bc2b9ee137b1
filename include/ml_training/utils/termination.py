"""SIGTERM at a moment that suits the work: a training stores its state after the step under way, and then ends.

    with deferred_termination() as termination:
        for batch in batches:
            step(batch)
            if termination.asked:
                store_state()
                raise Terminated
            with termination.at_once():
                judge()                    # long, and nothing is lost when it is cut off

Everywhere else SIGTERM raises Terminated where the program stands. ``utils.command_line`` listens for the signal.
"""

import signal
import types
from collections.abc import Iterator
from contextlib import contextmanager


class Terminated(BaseException):
    """SIGTERM arrived: unwind, let ``finally`` blocks and checkpoints run, exit 143."""


class Termination:
    """Whether SIGTERM arrived while it was deferred."""

    def __init__(self) -> None:
        self.asked = False
        self._now = False

    def arrive(self) -> None:
        """SIGTERM is here."""
        if self._now:
            raise Terminated
        self.asked = True

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Let SIGTERM raise Terminated within the block; also at its beginning, when it came before."""
        if self.asked:
            raise Terminated
        self._now = True
        try:
            yield
        finally:
            self._now = False


_deferral: Termination | None = None


@contextmanager
def deferred_termination() -> Iterator[Termination]:
    """Keep SIGTERM for later: the block asks whether it came, and the block's end raises Terminated if it did."""
    global _deferral
    outer, _deferral = _deferral, Termination()
    termination = _deferral
    try:
        yield termination
    finally:
        _deferral = outer
    if termination.asked:
        raise Terminated


def listen_for_termination() -> None:
    """Turn SIGTERM into Terminated, from now on."""
    signal.signal(signal.SIGTERM, _on_terminate)


def _on_terminate(number: int, frame: types.FrameType | None) -> None:
    if _deferral is None:
        raise Terminated
    _deferral.arrive()
