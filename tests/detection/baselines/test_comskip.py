"""comskip: its list is read, its exit codes are understood, its absence is said."""

import os
import shutil
import stat
from pathlib import Path

import pytest
from ml_training.detection.baselines import comskip
from ml_training.utils.errors import RecordingUnreadable, UsageError


def test_its_edit_list_is_read() -> None:
    found = comskip.read_breaks(b"10.00\t25.50\t0\n120.00\t150.00\t0\n", "a.edl")
    assert [(b.start_seconds, b.end_seconds) for b in found] == [(10.0, 25.5), (120.0, 150.0)]
    assert comskip.read_breaks(b"", "a.edl") == []


def test_without_comskip_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="comskip is not on the PATH"):
        comskip.detect(tmp_path / "a.ts")


def program(folder: Path, script: str) -> None:
    """Put a program called comskip into a folder: a script that gets comskip's options."""
    path = folder / "comskip"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IEXEC)


@pytest.mark.parametrize(
    ("script", "breaks"),
    [('printf "6.00\\t16.00\\t0\\n" > gapped.edl', [(6.0, 16.0)]), ("exit 1", [])],
)
def test_its_exit_codes(
    gapped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, breaks: list[tuple[float, float]]
) -> None:
    program(tmp_path, script)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    outcome = comskip.detect(gapped)
    assert [(b.start_seconds, b.end_seconds) for b in outcome.breaks] == breaks
    assert outcome.duration_seconds == pytest.approx(24, abs=0.2)


def test_its_failure_is_told_in_its_words(gapped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "echo cannot open >&2; exit 7")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(RecordingUnreadable, match=r"comskip cannot read gapped\.ts: cannot open"):
        comskip.detect(gapped)


@pytest.mark.skipif(not shutil.which("comskip"), reason="comskip is not on the PATH")
def test_the_program_itself(gapped: Path) -> None:
    outcome = comskip.detect(gapped)
    assert all(0 <= b.start_seconds < b.end_seconds <= 25 for b in outcome.breaks)
