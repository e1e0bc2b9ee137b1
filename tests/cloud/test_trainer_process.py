"""The trainer's process group, its lines, and what they say of the progress."""

import os
import sys
import time
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from ml_training.cloud.trainer_process import LONGEST_LINE, Lines, TrainerProcess
from ml_training.cloud.training_progress import read_progress
from ml_training.training.progress import Progress


def whole(pieces):
    lines = Lines()
    return [found for piece in pieces for found in lines.feed(piece)] + lines.end()


def test_lines_end_in_any_way():
    assert whole([b"one\ntwo\r\nthree\rfour"]) == [("one", False), ("two", False), ("three", True), ("four", False)]
    assert whole([b"one\r", b"\ntwo"]) == [("one", False), ("two", False)]
    assert whole([b"\xff\n"]) == [("\\xff", False)]


@given(st.lists(st.sampled_from([b"a", b"\r", b"\n", b"bc"]), max_size=12), st.integers(1, 4))
def test_lines_do_not_depend_on_how_they_come(parts, size):
    text = b"".join(parts)
    assert whole([text[i : i + size] for i in range(0, len(text), size)]) == whole([text])


def test_a_line_without_an_end_does_not_fill_the_memory():
    lines = Lines()
    found = [line for _ in range(5) for line in lines.feed(b"x" * LONGEST_LINE)]
    assert sum(len(line) for line, _ in found) >= 4 * LONGEST_LINE


def test_nothing_of_the_group_is_left():
    script = "import subprocess as s, time; p = s.Popen(['sleep', '300']); print(p.pid, flush=True); time.sleep(300)"
    heard = []
    environment = {"PATH": os.environ["PATH"]}
    with TrainerProcess([sys.executable, "-c", script], environment, lambda *line: heard.append(line)) as trainer:
        deadline = time.monotonic() + 30
        while not heard:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert os.getsid(int(heard[0][0])) == os.getsid(0), "in the machine's session, where it is found"
        trainer.terminate()
        while trainer.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    assert trainer.poll() == -15
    state = Path("/proc") / heard[0][0] / "status"
    assert not state.exists() or "zombie" in state.read_text()
    assert trainer.last_output == heard[0][0]


def test_the_progress_is_what_the_training_logs(caplog, monkeypatch):
    monkeypatch.setattr("ml_training.training.progress.PROGRESS_SECONDS", 0.0)
    with caplog.at_level("INFO"):
        Progress("end_to_end", total=4200, done=1000).step(32)
    said = read_progress(caplog.messages[-1])
    assert {name: said[name] for name in ("stage", "done", "of")} == {"stage": "end_to_end", "done": 1032, "of": 4200}
    line = "2026-01-05 02:00:00,1 INFO ml_training.training.loop: upper: epoch 3 of 10: loss 0.1234, validation AP 0.9"
    assert read_progress(line) == {"stage": "upper", "epoch": 3, "epochs": 10, "loss": 0.1234, "validation_ap": 0.9}
    assert read_progress("anything else: 3 of 4") == {}
