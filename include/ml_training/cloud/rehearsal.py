"""Rehearses a training on a machine: all that a training does there, but that nothing is learned.

    python -m ml_training.cloud.spot run --module ml_training.cloud.rehearsal --gpus 0 \\
        --options '{"output": "s3://adbreak/rehearsals/one", "steps": 600}'

A first run in an account shows for a cent whether roles, network, image and bucket are right, and what an interruption
does. Each step hashes the state before it, so a rehearsal that was cut off anywhere and went on elsewhere ends with the
digest of an undisturbed one. It checkpoints as trainings do: now and then, after the step under way when SIGTERM comes,
and never on a machine that another one has replaced. Several machines (``--machines``) take each step together, end
together when one of them is asked to, and the first one writes: it shows whether they reach one another.
"""

import argparse
import hashlib
import json
import logging
import os
import time
from datetime import UTC, datetime
from typing import Any

from ml_training.cloud import storage
from ml_training.cloud.exchange import exchange_of
from ml_training.cloud.fence import require_newest_attempt
from ml_training.config.settings import read_settings
from ml_training.utils.command_line import command_parser, run_command
from ml_training.utils.errors import ObjectNotFound, UsageError
from ml_training.utils.termination import Terminated, deferred_termination

JOURNAL = "rehearsal.jsonl"  # in the work folder: a line for each step, also for those that were done twice

logger = logging.getLogger(__name__)


def rehearse(output: str, *, steps: int, step_seconds: float, checkpoint_steps: int) -> dict[str, Any]:
    """Take what is left of ``steps`` steps; returns the digest of the last state."""
    if steps < 1 or checkpoint_steps < 1 or step_seconds < 0:
        raise UsageError("expected --steps and --checkpoint-steps of 1 or more, and --step-seconds of 0 or more")
    checkpoint = storage.join(output, "checkpoint.json")
    done, state = _restore(checkpoint)
    logger.info("rehearsal: begins at step %d of %d", done, steps)
    started, before = time.monotonic(), done
    with exchange_of(os.environ, step=done) as exchange, deferred_termination() as termination:
        while done < steps:
            time.sleep(step_seconds)
            state, done = next_state(state, done), done + 1
            _note(output, done)
            asked = exchange.anybody(termination.asked)
            if asked or done == steps or done % checkpoint_steps == 0:
                if exchange.is_first:
                    _store(checkpoint, done, state)
                rate = (done - before) / max(time.monotonic() - started, 1e-9)
                left = (steps - done) / rate
                logger.info("rehearsal: %d of %d steps, %.0f a second, %.0f s left", done, steps, rate, left)
            if asked:
                raise Terminated
    return {"steps": steps, "digest": state, "output": output}


def next_state(state: str, step: int) -> str:
    """Return the state after a step."""
    return hashlib.sha256(f"{state}:{step}".encode()).hexdigest()


def _restore(checkpoint: str) -> tuple[int, str]:
    try:
        found = storage.read_json(checkpoint)
    except ObjectNotFound:
        return 0, ""
    return int(found["step"]), str(found["state"])


def _store(checkpoint: str, done: int, state: str) -> None:
    require_newest_attempt()
    storage.write_json(checkpoint, {"step": done, "state": state, "at": datetime.now(UTC).isoformat()})


def _note(output: str, step: int) -> None:
    settings = read_settings()
    settings.work_dir.mkdir(parents=True, exist_ok=True)
    line = json.dumps({"output": output, "attempt": settings.attempt, "step": step, "at": time.time()}) + "\n"
    journal = os.open(settings.work_dir / JOURNAL, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(journal, line.encode())
    finally:
        os.close(journal)


def _run(args: argparse.Namespace) -> dict[str, Any]:
    return rehearse(
        args.output, steps=args.steps, step_seconds=args.step_seconds, checkpoint_steps=args.checkpoint_steps
    )


def main(argv: list[str] | None = None) -> int:
    """Run the command."""
    parser = command_parser("ml_training.cloud.rehearsal", __doc__)
    parser.add_argument("--output", required=True, help="folder of the checkpoint, in a bucket or on disk")
    parser.add_argument("--steps", type=int, default=600, help="how many (default: 600)")
    parser.add_argument("--step-seconds", type=float, default=0.5, help="how long each takes (default: 0.5)")
    parser.add_argument("--checkpoint-steps", type=int, default=20, help="between two checkpoints (default: 20)")
    parser.set_defaults(run=_run)
    return run_command(parser, argv)


if __name__ == "__main__":
    raise SystemExit(main())
