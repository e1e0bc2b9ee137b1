"""One contract for a folder and for a real S3 server (moto's, started here)."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
import pytest
from ml_training.cloud import storage
from ml_training.utils.errors import ObjectChanged, ObjectExists, ObjectNotFound, StorageError


@pytest.fixture(params=["folder", "s3"])
def root(request, tmp_path):
    if request.param == "folder":
        return str(tmp_path / "root")
    request.getfixturevalue("s3_server")
    name = f"bucket-{abs(hash(tmp_path)) % 10**9}"
    boto3.client("s3").create_bucket(Bucket=name)
    return f"s3://{name}"


def test_write_read_list_delete(root):
    for name in ("b/2", "a/1", "b/1"):
        storage.write_bytes(storage.join(root, name), name.encode())
    listed = list(storage.list_objects(storage.join(root, "b") + "/"))
    assert [item.uri for item in listed] == [storage.join(root, "b", "1"), storage.join(root, "b", "2")]
    assert [item.size_bytes for item in listed] == [3, 3]
    assert storage.read_bytes(storage.join(root, "a/1")) == b"a/1"
    storage.delete(storage.join(root, "a/1"))
    storage.delete(storage.join(root, "a/1"))
    assert not storage.exists(storage.join(root, "a/1"))


def test_version_changes_with_content(root):
    uri = storage.join(root, "x")
    storage.write_bytes(uri, b"one")
    first = storage.stat(uri)
    storage.write_bytes(uri, b"three")
    assert storage.stat(uri).version != first.version
    assert first.size_bytes == 3


def test_what_is_missing_says_so(root):
    missing = storage.join(root, "nothing")
    assert not storage.exists(missing)
    assert list(storage.list_objects(storage.join(root, "none") + "/")) == []
    for action in (storage.read_bytes, storage.stat, storage.cached_copy):
        with pytest.raises(ObjectNotFound, match="nothing"):
            action(missing)
    with pytest.raises(ObjectNotFound), storage.local_copy(missing):
        pass


def test_if_version_replaces_only_what_was_read(root):
    uri = storage.join(root, "counter")
    with pytest.raises(ObjectChanged):
        storage.write_bytes(uri, b"0", if_version="of nothing")
    storage.write_bytes(uri, b"0")
    data, version = storage.read_version(uri)
    assert (data, version) == (b"0", storage.stat(uri).version)
    storage.write_bytes(uri, b"1", if_version=version, cache_control="no-cache")
    with pytest.raises(ObjectChanged):
        storage.write_bytes(uri, b"2", if_version=version)
    assert storage.read_bytes(uri) == b"1"


def test_if_version_loses_no_count_of_many_writers_in_a_folder(tmp_path):
    uri = str(tmp_path / "counter")
    storage.write_bytes(uri, b"0")

    def count():
        for _ in range(5):
            while True:
                data, version = storage.read_version(uri)
                try:
                    storage.write_bytes(uri, str(int(data) + 1).encode(), if_version=version)
                    break
                except ObjectChanged:
                    continue

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert storage.read_bytes(uri) == b"20"


def test_if_absent_lets_one_writer_win(root):
    uri = storage.join(root, "once")
    outcomes = []

    def write(text):
        try:
            storage.write_bytes(uri, text, if_absent=True)
            outcomes.append(text)
        except ObjectExists:
            outcomes.append(None)

    threads = [threading.Thread(target=write, args=(f"writer {i}".encode(),)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winners = [text for text in outcomes if text]
    assert len(winners) == 1
    assert storage.read_bytes(uri) == winners[0]


def test_upload_and_copies(root, tmp_path, monkeypatch):
    monkeypatch.setenv("ADBREAK_WORK_DIR", str(tmp_path / "work"))
    source = tmp_path / "source.bin"
    source.write_bytes(b"content")
    uri = storage.join(root, "folder/source.bin")
    storage.upload(source, uri)
    with storage.local_copy(uri) as path:
        assert path.read_bytes() == b"content"
    first = storage.cached_copy(uri)
    assert storage.cached_copy(uri) == first
    assert first.read_bytes() == b"content"
    assert not list((tmp_path / "work").glob("**/.part-*"))


def test_json_that_is_none_names_the_object(root):
    uri = storage.join(root, "bad.json")
    storage.write_bytes(uri, b"{")
    with pytest.raises(StorageError, match=r"bad\.json should be JSON"):
        storage.read_json(uri)
    storage.write_json(uri, {"b": 1, "a": [1.5]})
    assert storage.read_json(uri) == {"a": [1.5], "b": 1}


def test_an_address_without_a_key_is_refused():
    with pytest.raises(StorageError, match="expected s3://bucket/key"):
        storage.read_bytes("s3://bucket")


def test_a_range_file_reads_any_place(root):
    data = bytes(range(256)) * 100
    uri = storage.join(root, "long")
    storage.write_bytes(uri, data)
    with storage.RangeFile(uri, piece_bytes=1000) as file:
        assert file.read(10) == data[:10]
        assert file.seek(-5, 2) == len(data) - 5
        assert file.read() == data[-5:]
        assert file.read(1) == b""
        file.seek(995)
        assert file.read(5010) == data[995:6005]
        assert file.tell() == 6005
    with pytest.raises(ObjectNotFound):
        storage.open_range(storage.join(root, "nothing"))


def test_an_object_that_changes_is_not_read_on(root):
    if not storage.is_s3(root):
        pytest.skip("only a bucket knows versions")
    uri = storage.join(root, "changing")
    storage.write_bytes(uri, b"a" * 3000)
    with storage.RangeFile(uri, piece_bytes=1000) as file:
        assert file.read(1000) == b"a" * 1000
        storage.write_bytes(uri, b"b" * 3000)
        with pytest.raises(StorageError):
            file.read(1000)


def test_leftovers_of_killed_processes_are_removed_and_others_stay(tmp_path):
    owner = storage._owner()
    living = tmp_path / f"{storage.PART_PREFIX}{owner}-abc"
    dead = tmp_path / f"{storage.PART_PREFIX}{owner.rpartition('-')[0]}-999999999-abc"
    other = tmp_path / f"{storage.PART_PREFIX}elsewhere-999999999-abc"
    for path in (living, dead, other):
        path.write_bytes(b"half")
    storage.remove_leftovers(str(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([living.name, other.name])
    storage.remove_leftovers("s3://bucket/folder")
    storage.remove_leftovers(str(tmp_path / "none"))


class Breaking:
    """An S3 server whose answers break off in the middle, the first few times."""

    def __init__(self, times):
        self.left, self.server = times, ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Length", "10")
                self.send_header("ETag", '"one"')
                self.end_headers()
                outer.left -= 1
                self.wfile.write(b"0123456789" if outer.left < 0 else b"012")
                self.close_connection = True

            def log_message(self, *arguments):
                pass

        self.server.RequestHandlerClass = Handler
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()


@pytest.mark.parametrize("times", [1, 100])
def test_an_answer_that_breaks_off_is_asked_for_again(times, s3_server, monkeypatch):
    breaking = Breaking(times)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{breaking.server.server_address[1]}")
    storage._client.cache_clear()
    if times == 1:
        assert storage.read_version("s3://adbreak/one") == (b"0123456789", "one")
    else:
        with pytest.raises(StorageError, match="cannot be used for s3://adbreak/one"):
            storage.read_bytes("s3://adbreak/one")
    breaking.server.shutdown()
    breaking.server.server_close()
