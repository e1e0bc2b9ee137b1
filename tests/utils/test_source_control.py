"""The commit that computed a result: of the checkout, marked when it was changed, none elsewhere."""

import shutil
import subprocess
from pathlib import Path

import pytest
from ml_training.utils.source_control import git_commit

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
    done = subprocess.run(["git", "-C", str(folder), *identity, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_commit_of_a_checkout_and_whether_it_was_changed(tmp_path: Path) -> None:
    package = tmp_path / "package"
    package.mkdir()
    assert git_commit(package) is None
    git(tmp_path, "init", "-q")
    assert git_commit(package) is None, "a checkout without commits"
    (package / "a.py").write_text("1")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "first")
    commit = git(tmp_path, "rev-parse", "HEAD")
    assert git_commit(package) == commit
    (tmp_path / "notes").write_text("not of the package")
    assert git_commit(package) == commit
    (package / "a.py").write_text("2")
    assert git_commit(package) == f"{commit}+changes"
    installed = tmp_path / "site-packages"
    installed.mkdir()
    (installed / "b.py").write_text("1")
    assert git_commit(installed) is None, "an installed copy inside a checkout is no part of it"
