"""The package's commands as benchmarks run them, and the dataset version that some of them train on.

    version = make_dataset(folder, recordings=16, minutes=3, channels=8)
    trained = command("training.train", "--config", "base_model", *version.options)

``ADBREAK_BENCH_DATA`` names a folder with a dataset version to use instead of making one; it is copied by links and not
changed.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple


class Version(NamedTuple):
    """A data root and its dataset version."""

    root: Path
    dataset_id: str

    @property
    def options(self) -> tuple[str, ...]:
        """The options by which commands take it."""
        return ("--data-dir", str(self.root), "--dataset", self.dataset_id)


def words_of(module: str, *arguments: object) -> list[str]:
    """Return the words of a command of the package."""
    return [sys.executable, "-m", f"ml_training.{module}", "--json", *map(str, arguments)]


def command(module: str, *arguments: object, **environment: str) -> dict[str, Any]:
    """Run a command of the package; return its result. Ends the benchmark when it fails."""
    words = words_of(module, *arguments)
    done = subprocess.run(words, capture_output=True, text=True, check=False, env={**os.environ, **environment})
    if done.returncode:
        sys.exit(f"{' '.join(words[2:])} failed with exit code {done.returncode}:\n{done.stderr[-3000:]}")
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def make_dataset(root: Path, *, recordings: int, minutes: float, channels: int) -> Version:
    """Make recordings and a dataset version in ``root``, or take those that ``ADBREAK_BENCH_DATA`` names."""
    given = os.environ.get("ADBREAK_BENCH_DATA")
    if given:
        subprocess.run(["cp", "-rl", given, str(root)], check=True)
        return Version(root, sorted(path.name for path in (root / "datasets").iterdir())[0])
    sizes = ("--recordings", recordings, "--minutes", minutes, "--channels", channels)
    command("data.synthetic", "generate", "--output-dir", root, *sizes)
    command("data.collectors", "extract", "--video-source", root / "recordings", "--output-dir", root / "frames")
    command("data.labels", "import", "--labels", root / "labels.json", "--data-dir", root, "--source", "generator")
    command("data.creatives", "update", "--data-dir", root)
    return Version(root, command("data.dataset", "build", "--data-dir", root, "--config", "base_model")["dataset_id"])
