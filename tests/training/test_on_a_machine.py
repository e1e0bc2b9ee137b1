"""A real training on a machine that is taken away: the next machine ends with the same weights."""

import io
import shutil
import tarfile
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import yaml
from colour_dataset import DATASET, TINY_MODEL
from ml_training.cloud import leaving, storage
from ml_training.cloud.jobs import Archive, Attempt, Job, JobSpec
from ml_training.cloud.packaging import pack_code
from ml_training.cloud.supervisor import Machine, supervise
from ml_training.config.loading import load_config
from ml_training.inference.scorer import load_keras
from ml_training.training.train import train

from tests.cloud.conftest import MetadataService

WAIT_SECONDS = 1200
TINY = {
    "model_type": "base",
    "variant": "tiny",
    "model": TINY_MODEL,
    "training": {
        "mode": "staged",
        "augmented_copies": 1,
        "checkpoint_seconds": 3600,
        "head": {"epochs": 2, "batch_size": 32, "learning_rate": 1e-2},
        "upper": {"epochs": 40, "batch_size": 8, "learning_rate": 1e-4, "from_block": 6},
    },
}


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(TINY))
    return path


@pytest.fixture
def metadata(monkeypatch):
    service = MetadataService()
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", service.url)
    yield service
    service.close()


def claim(job, number):
    now = datetime.now(UTC)
    attempt = Attempt(number=number, client_token="t", created_at=now, deadline_at=now + timedelta(hours=1))
    assert job.claim(attempt)


def notice_when(job, metadata, line):
    """Give notice as soon as the machine's log has a line."""
    deadline = time.monotonic() + WAIT_SECONDS
    while line not in job.read_log(1)[0] and time.monotonic() < deadline:
        time.sleep(0.1)
    metadata.give_notice((datetime.now(UTC) + timedelta(seconds=120)).isoformat())


@pytest.mark.timeout(2400)
def test_an_interrupted_training_ends_with_the_same_weights(config, training_root, tmp_path, metadata, monkeypatch):
    monkeypatch.setenv("ADBREAK_WORK_DIR", str(tmp_path / "work"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(leaving, "NOTICE_SECONDS", 0.1)
    with tarfile.open(fileobj=io.BytesIO(pack_code())) as archive:  # what a machine is given; nobody edits it
        archive.extractall(tmp_path / "machine", filter="data")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "machine" / "include"))
    options = {
        "config": str(config), "data_dir": training_root, "dataset": DATASET, "output_dir": str(tmp_path / "runs"),
    }  # fmt: skip
    archive = Archive(uri="s3://adbreak/code/x", sha256="0" * 64)
    spec = JobSpec(
        module="ml_training.training.train", options=options, code=archive, lock=archive, gpus=0,
        deadline_seconds=3600, budget_usd=1, heartbeat_seconds=0.5,
    )  # fmt: skip
    job = Job(str(tmp_path / "jobs" / "one"))
    job.create(spec)
    claim(job, 1)

    watcher = threading.Thread(target=notice_when, args=(job, metadata, b"upper: first batch"))
    watcher.start()
    outcome = supervise(job.uri, 1, Machine(booted_at=time.time()))
    watcher.join()
    assert outcome["cause"] == "interrupted", job.read_log(1)[0].decode()
    assert job.result() is None
    stored = list(storage.list_objects(job.at("work") + "/"))
    assert stored, "the activations were stored"

    shutil.rmtree(tmp_path / "work")  # the next machine has an empty disk
    metadata.values.pop("spot/instance-action")
    claim(job, 2)
    assert supervise(job.uri, 2, Machine(booted_at=time.time()))["cause"] == "done"
    log = job.read_log(2)[0].decode()
    assert "upper: goes on at epoch" in log
    assert "head: begins" not in log
    assert " pictures to compute, 0 are there" not in log, "no activation was computed twice"

    whole = train(
        load_config(str(config)), data_dir=training_root, dataset_id=DATASET, output_dir=str(tmp_path / "whole")
    )
    resumed = job.result().output
    first, second = (load_keras(Path(run["model_uri"])) for run in (whole, resumed))
    for one, other in zip(first.get_weights(), second.get_weights(), strict=True):
        assert np.array_equal(one, other)
    assert resumed["validation_average_precision"] == whole["validation_average_precision"]
