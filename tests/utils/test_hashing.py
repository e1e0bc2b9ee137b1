"""Names by content."""

import hashlib

from ml_training.utils.hashing import code_version, sha256_file, short_hash, unit_interval


def test_order_of_keys_does_not_matter():
    assert short_hash({"a": 1, "b": [2.5, "é"]}) == short_hash({"b": [2.5, "é"], "a": 1})
    assert short_hash({"a": 1}) != short_hash({"a": 2})
    assert len(short_hash({})) == 16


def test_file_hash_is_that_of_its_bytes(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"x" * 100_000)
    assert sha256_file(path) == hashlib.sha256(b"x" * 100_000).hexdigest()


def test_unit_interval_depends_on_text_and_salt():
    values = [unit_interval(f"channel-{i}", "salt") for i in range(1000)]
    assert all(0 <= value < 1 for value in values)
    assert 0.45 < sum(values) / 1000 < 0.55
    assert unit_interval("channel-1", "salt") != unit_interval("channel-1", "other")


def test_code_version_follows_the_code(tmp_path):
    (tmp_path / "a.py").write_text("x = 1\n")
    before = code_version([tmp_path])
    (tmp_path / "notes.txt").write_text("not code")
    assert code_version([tmp_path]) == before
    (tmp_path / "a.py").write_text("x = 2\n")
    assert code_version([tmp_path]) != before
