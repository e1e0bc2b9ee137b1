"""How the benchmark of detection runs its steps: commands of the package, kept results, parts that are left out aloud.

    steps = Steps(folder)
    built = steps.command("data.dataset", "build", "--config", "base_model", "--data-dir", root)
    scores = steps.kept("frames-base", {"model": sha256}, lambda: measure())       # measured once

A result is kept under the hash of what it depends on and of the package's code, so a benchmark that was killed goes on.
A part whose command or model is missing raises ``LeftOut``; one that fails raises ``StepFailed``; the others go on.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ml_training.config.loading import config_names
from ml_training.utils.errors import AdbreakError
from ml_training.utils.hashing import code_version, short_hash

SAID_BYTES = 3000


class LeftOut(Exception):
    """A part cannot be measured here: something that it needs is not there."""


class StepFailed(Exception):
    """A command failed, with its own last words."""


class Steps:
    """Runs commands in processes of their own and keeps results below ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.code = code_version()
        self.notes: list[str] = []
        os.environ |= {"ADBREAK_WORK_DIR": str(folder / "work"), "MLFLOW_TRACKING_URI": ""}

    def command(self, module: str, *arguments: object) -> dict[str, Any]:
        """Run ``python -m ml_training.MODULE``; return its result. Raises LeftOut, StepFailed."""
        require_module(module)
        words = [sys.executable, "-m", f"ml_training.{module}", "--json", *map(str, arguments)]
        started = time.monotonic()
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        print(f"    {time.monotonic() - started:6.0f} s  {module} {_named(arguments)}", flush=True)
        if done.returncode:
            raise StepFailed(f"{' '.join(words[2:])}: exit code {done.returncode}: {done.stderr[-SAID_BYTES:]}")
        return dict(json.loads(done.stdout.strip().splitlines()[-1]))

    def kept(self, name: str, depends_on: Any, make: Callable[[], Any]) -> Any:
        """Return what ``make`` gave for the same name, dependencies and code, else make it and keep it (as JSON)."""
        path = self.folder / "kept" / f"{name}-{short_hash([depends_on, self.code])}.json"
        if path.exists():
            print(f"      kept   {name}", flush=True)
            return json.loads(path.read_text())
        value = make()
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.write_text(json.dumps(value))
        part.replace(path)
        return value

    @contextmanager
    def part(self, title: str) -> Iterator[None]:
        """Run one part of the benchmark; what leaves it out or makes it fail is said, and the others go on."""
        started = time.monotonic()
        print(f"\n== {title}", flush=True)
        try:
            yield
        except LeftOut as reason:
            self._note(f"LEFT OUT: {title}: {reason}")
        except (StepFailed, AdbreakError) as error:
            self._note(f"FAILED: {title}: {error}")
        print(f"== {title}: {time.monotonic() - started:.0f} s", flush=True)

    def _note(self, text: str) -> None:
        self.notes.append(text if len(text) < 400 else text[:400] + " ...")
        print(text, flush=True)


def require_module(module: str) -> None:
    """Raise LeftOut when the package has no such module."""
    try:
        found = find_spec(f"ml_training.{module}")
    except ModuleNotFoundError:
        found = None
    if found is None:
        raise LeftOut(f"there is no ml_training.{module}")


def require_config(name: str) -> str:
    """Return the name of a config. Raises LeftOut when there is no such config."""
    if name not in config_names():
        raise LeftOut(f"there is no config {name}")
    return name


def _named(arguments: tuple[object, ...]) -> str:
    """Return the words of a command for the eye: names instead of paths, and no JSON."""
    words = [str(word) for word in arguments if not str(word).startswith("{")]
    return " ".join(Path(word).name if "/" in word else word for word in words)[:150]
