"""Finished files of a training follow it from machine to machine."""

import pytest
from ml_training.cloud import storage
from ml_training.cloud.jobs import Job
from ml_training.cloud.work_files import WorkFiles


@pytest.fixture(params=["folder", "S3"])
def job(request, tmp_path):
    if request.param == "folder":
        return Job(str(tmp_path / "jobs" / "one"))
    request.getfixturevalue("s3_server")
    storage._client().create_bucket(Bucket="bucket")
    return Job("s3://bucket/jobs/one")


def write(folder, **files):
    for name, text in files.items():
        path = folder / "activations" / f"{name}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_what_is_finished_goes_on(job, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    work = WorkFiles(job, first)
    assert (work.restore(), work.store()) == (0, 0)
    write(first, one="1", two="22")
    (first / "activations" / ".part-1-three.npy").write_text("half")
    (first / "objects").mkdir()
    (first / "objects" / "copy").write_text("of something in the bucket")
    assert (work.store(), work.store()) == (2, 0)
    write(first, three="333")
    assert work.store() == 1

    write(second, one="1")
    other = WorkFiles(job, second)
    assert other.restore() == 2
    assert {path.name: path.read_text() for path in (second / "activations").iterdir()} == {
        "one.npy": "1", "two.npy": "22", "three.npy": "333",
    }  # fmt: skip
    assert other.store() == 0, "they are there already"
    other.remove()
    assert list(storage.list_objects(job.at("work") + "/")) == []


def test_a_machine_that_leaves_fetches_no_further(job, tmp_path):
    write(tmp_path / "first", one="1", two="2")
    WorkFiles(job, tmp_path / "first").store()
    WorkFiles(job, tmp_path / "second").restore(lambda: False)
    assert not (tmp_path / "second" / "activations").exists()
