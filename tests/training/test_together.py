"""Two machines learn together: they store, end and go on at the same step, whichever is asked to.

TensorFlow meets other machines once a process, so each of them is one.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

WAIT_SECONDS = 240
PROGRAM = """
import json, os, sys
import numpy as np
folder, pause = sys.argv[1], float(sys.argv[2])
from ml_training.training.machines import local_copy, make_strategy, part_of_data
from ml_training.utils.termination import Terminated, listen_for_termination

listen_for_termination()  # before TensorFlow does, as in a command
strategy, part = make_strategy(), part_of_data()
import time
import tf_keras as keras
from ml_training.training.checkpoints import CheckpointStore
from ml_training.training.feeds import ArrayFeed, LabeledArrays, LoopOptions
from ml_training.training.learner import Learner
from ml_training.training.loop import Stage, learner_options, run_stage

keras.utils.set_random_seed(1)
with strategy.scope():
    image = keras.layers.Input((8, 8, 3))
    x = keras.layers.BatchNormalization()(keras.layers.Conv2D(4, 3)(image))
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(image, keras.layers.Dense(1, "sigmoid")(keras.layers.Dropout(0.2)(x)))
generator = np.random.default_rng(part.number)  # each machine has pictures of its own
data = LabeledArrays(generator.integers(0, 255, (64, 8, 8, 3)).astype(np.uint8), np.arange(64) % 2)
# Only the second machine's clock says that it is time to store.
options = LoopOptions(3, 8, 1e-2, ema_decay=0.9, checkpoint_seconds=0.3 if part.number else 3600, name="together")
feed = ArrayFeed(data, options)
learner = Learner(model, learner_options(options, feed.steps), strategy=strategy)

class Slow:
    examples, steps = feed.examples, feed.steps
    def iterate(self, epoch, step, epochs):
        for fed in feed.iterate(epoch, step, epochs):
            time.sleep(pause)
            print("step", fed.epoch, fed.step, flush=True)
            yield fed

def judge(one):
    return float(np.mean(local_copy(one).predict_on_batch(data.inputs[:8].astype("float32")))) + part.number

try:
    score = run_stage(Stage(learner, Slow(), judge, options, CheckpointStore(folder + "/state.npz"), part.is_chief))
except Terminated:
    sys.exit(143)
own = local_copy(model)
if part.is_chief:
    named = {weight.name.replace("/", "-"): weight.numpy() for weight in own.weights}
    np.savez(folder + "/weights.npz", **named, score=score)
"""


def begin(exits: ExitStack, folder: Path, pause: float) -> list["subprocess.Popen[str]"]:
    """Start both machines."""
    folder.mkdir(exist_ok=True)
    with ExitStack() as probes:
        ports = [probes.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1] for _ in range(2)]
    workers = [f"127.0.0.1:{port}" for port in ports]
    started = []
    for index in range(2):
        said = {"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(folder), str(pause)],
            env={**os.environ, "TF_CONFIG": json.dumps(said)},
            stdout=subprocess.PIPE,
            stderr=(folder / f"{index}.log").open("w"),
            text=True,
        )
        exits.callback(process.wait)
        exits.callback(process.kill)
        started.append(process)
    return started


def ended(processes: list["subprocess.Popen[str]"]) -> list[int]:
    until = time.monotonic() + WAIT_SECONDS
    return [process.wait(max(1.0, until - time.monotonic())) for process in processes]


@pytest.mark.timeout(900)
def test_they_store_and_end_together_and_go_on_as_if_nothing_had_happened(tmp_path):
    with ExitStack() as exits:
        assert ended(begin(exits, tmp_path / "whole", 0)) == [0, 0]
        disturbed = tmp_path / "disturbed"
        pair = begin(exits, disturbed, 0.1)
        assert pair[1].stdout is not None
        while (line := pair[1].stdout.readline()) and line.split() != ["step", "1", "2"]:
            continue
        assert line, (disturbed / "1.log").read_text()[-3000:]
        pair[1].send_signal(signal.SIGTERM)
        assert ended(pair) == [143, 143], (disturbed / "0.log").read_text()[-3000:]
        again = begin(exits, disturbed, 0)
        assert ended(again) == [0, 0]
        assert again[0].stdout is not None
        first = again[0].stdout.readline().split()
        assert first[:2] == ["step", "1"]
        assert int(first[2]) >= 3, "no step was lost"
    with np.load(tmp_path / "whole" / "weights.npz") as whole, np.load(disturbed / "weights.npz") as resumed:
        assert sorted(whole.files) == sorted(resumed.files)
        for name in whole.files:
            rtol = 1e-5 if "moving_" in name else 0  # statistics are averaged over machines where they are stored
            np.testing.assert_allclose(resumed[name], whole[name], rtol, err_msg=name)
