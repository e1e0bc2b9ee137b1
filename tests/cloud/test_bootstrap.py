"""What a new machine fetches with nothing but the standard library: also from a bucket of another region."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from ml_training.cloud import bootstrap

CONTENT = b"the code"


class Handler(BaseHTTPRequestHandler):
    """A bucket in eu-central-1: requests that are signed for another region are sent there, as S3 does."""

    def do_GET(self):
        here = "/eu-central-1/s3/" in self.headers["Authorization"] and self.server.is_found
        self.server.asked += 1
        self.send_response(200 if here else 301)
        self.send_header("x-amz-bucket-region", "eu-central-1")
        self.send_header("Content-Length", str(len(CONTENT) if here else 0))
        self.end_headers()
        if here:
            self.wfile.write(CONTENT)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def bucket(monkeypatch):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked, server.is_found = 0, True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_address[1]}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-2")
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_bucket_of_another_region_is_found(bucket, tmp_path):
    bootstrap.fetch("s3://elsewhere/code.tar.gz", hashlib.sha256(CONTENT).hexdigest(), str(tmp_path / "code"))
    assert (tmp_path / "code").read_bytes() == CONTENT
    assert bucket.asked == 2


def test_a_bucket_that_sends_on_for_ever_is_given_up(bucket, tmp_path):
    bucket.is_found = False
    with pytest.raises(OSError, match="301"):
        bootstrap.fetch("s3://elsewhere/code.tar.gz", "0" * 64, str(tmp_path / "code"))
    assert bucket.asked == 2
