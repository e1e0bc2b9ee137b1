"""The same files give the same archive, and what comes out of it is the same code."""

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from ml_training.cloud import storage
from ml_training.cloud.packaging import LOCK, PACKED, ROOT, pack_code, upload
from ml_training.utils.errors import CloudMisconfigured
from ml_training.utils.hashing import code_version, sha256_bytes


@pytest.fixture
def repository(tmp_path):
    """A repository with little in it."""
    files = {
        "include/ml_training/one.py": "ONE = 1\n",
        "include/ml_training/training/page.html.j2": "<p>",
        "include/ml_training/__pycache__/one.pyc": "compiled",
        "include/configs/base.yaml": "a: 1\n",
        "include/local_stack/other.py": "not on a machine",
        LOCK: "numpy==2\n",
    }
    for name, text in files.items():
        path = tmp_path / "repository" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "repository"


def test_the_same_files_give_the_same_archive(repository):
    first = pack_code(repository)
    for path in repository.rglob("*"):
        os.utime(path, (1, 1))
    (repository / "include/ml_training/one.py").chmod(0o755)
    (repository / "include/ml_training/__pycache__/one.pyc").write_text("compiled again")
    assert pack_code(repository) == first
    (repository / "include/configs/base.yaml").write_text("a: 2\n")
    assert pack_code(repository) != first


def test_it_holds_what_a_machine_needs(repository, tmp_path):
    code, lock = upload(str(tmp_path / "bucket"), repository)
    with tarfile.open(code.uri) as archive:
        assert archive.getnames() == [
            "include/ml_training/one.py",
            "include/ml_training/training/page.html.j2",
            "include/configs/base.yaml",
        ]
    assert storage.read_bytes(lock.uri) == b"numpy==2\n"
    for found in (code, lock):
        assert found.sha256 == sha256_bytes(storage.read_bytes(found.uri))
        assert Path(found.uri).name.startswith(found.sha256)


def test_it_is_uploaded_once(repository, s3_server):
    storage._client().create_bucket(Bucket="packaging")
    first = upload("s3://packaging", repository)
    written = [storage.stat(archive.uri).modified for archive in first]
    assert upload("s3://packaging", repository) == first
    assert [storage.stat(archive.uri).modified for archive in first] == written


def test_the_code_has_the_same_version_on_the_machine(tmp_path):
    for name in (*PACKED, LOCK):  # a copy: people may be at work in the checkout
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
        (tmp_path / "copy" / name).parent.mkdir(parents=True, exist_ok=True)
        copy(ROOT / name, tmp_path / "copy" / name)
    code, _ = upload(str(tmp_path / "bucket"), tmp_path / "copy")
    with tarfile.open(code.uri) as archive:
        archive.extractall(tmp_path / "machine", filter="data")
    asked = "from ml_training.utils.hashing import code_version; print(code_version())"
    there = {"PYTHONPATH": str(tmp_path / "machine" / "include")}
    answer = subprocess.run([sys.executable, "-c", asked], env=there, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == code_version([tmp_path / "copy" / "include" / "ml_training"])


def test_without_a_checkout_it_says_so(tmp_path):
    with pytest.raises(CloudMisconfigured, match="machines are given code of a checkout"):
        pack_code(tmp_path)
