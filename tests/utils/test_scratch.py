"""A scratch folder goes away with its work, also when the process was killed; those in use are let alone."""

import signal
import subprocess
import sys
import threading

from ml_training.utils.scratch import scratch_folder

HOLD = """
import sys, time
from pathlib import Path
from ml_training.utils.scratch import scratch_folder
with scratch_folder(Path(sys.argv[1]), "detect") as folder:
    (folder / "frames").mkdir()
    print(folder, flush=True)
    time.sleep(60)
"""


def hold(parent):
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(parent)], stdout=subprocess.PIPE, text=True)
    return process, process.stdout.readline().strip()


def test_a_folder_is_there_during_the_work_and_gone_after_it(tmp_path):
    with scratch_folder(tmp_path / "work", "detect") as folder:
        (folder / "file").write_text("x")
        assert folder.parent == tmp_path / "work"
    assert list((tmp_path / "work").iterdir()) == []


def test_what_a_killed_process_left_is_removed_by_the_next_one(tmp_path):
    process, left = hold(tmp_path)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert [str(path) for path in tmp_path.iterdir()] == [left]
    with scratch_folder(tmp_path, "detect") as folder:
        assert list(tmp_path.iterdir()) == [folder]


def test_a_folder_in_use_and_one_of_another_purpose_stay(tmp_path):
    (tmp_path / "models-x").mkdir()
    process, used = hold(tmp_path)
    try:
        with scratch_folder(tmp_path, "detect") as folder:
            assert {path.name for path in tmp_path.iterdir()} == {"models-x", folder.name, used.rpartition("/")[2]}
    finally:
        process.kill()
        process.wait()


def test_many_at_once_each_keep_theirs(tmp_path):
    broken = []

    def work():
        for _ in range(50):
            with scratch_folder(tmp_path, "detect") as folder:
                (folder / "mine").write_text("x")
                if not (folder / "mine").is_file():
                    broken.append(folder)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert broken == []
    assert list(tmp_path.iterdir()) == []
