"""Which commit of the project is at work, where git knows it.

git_commit()      # '6c9f...' (40 digits), '6c9f...-dirty' with changes that are not committed, None without git

``hashing.code_version`` names the package's content everywhere; a commit is what a person can look up.
"""

import subprocess
from functools import lru_cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
DESCRIBE = ("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
TIMEOUT_SECONDS = 10.0


@lru_cache(maxsize=1)
def git_commit(root: Path = ROOT) -> str | None:
    """Return the commit of the checkout that the package lies in; None outside one, or without git."""
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *DESCRIBE],
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None
