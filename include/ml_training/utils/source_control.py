"""Which commit of the repository computed a result, where there is a repository.

git_commit()        # '096f369…', '096f369…+changes' with uncommitted changes, None outside a checkout
"""

import shutil
import subprocess
from pathlib import Path

TIMEOUT_SECONDS = 20


def git_commit(folder: Path | None = None) -> str | None:
    """Return the commit of the checkout that ``folder`` (default: this package) lies in; None where there is none."""
    git = shutil.which("git")
    place = folder or Path(__file__).resolve().parents[1]
    if git is None:
        return None
    commit = _ask(git, place, "rev-parse", "HEAD")
    if commit is None or _ask(git, place, "ls-files", "--error-unmatch", ".") is None:
        return None  # no checkout, or an installed copy that happens to lie in somebody else's
    changed = _ask(git, place, "status", "--porcelain", "--untracked-files=no", "--", ".")
    return f"{commit}+changes" if changed else commit


def _ask(git: str, place: Path, *arguments: str) -> str | None:
    try:
        answer = subprocess.run(
            [git, "-C", str(place), *arguments], capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()
