"""The stack's S3 server itself, with what goes through it."""

import urllib.error
import urllib.request

import pytest
from local_stack.bucket import Bucket
from local_stack.data_docs import PREFIX, serve_data_docs
from local_stack.ports import any_port, choose_ports
from local_stack.services import Services
from local_stack.settings_file import AirflowSettings
from local_stack.supervisor import Supervisor
from local_stack.workplace import Workplace


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    place = Workplace(tmp_path_factory.mktemp("s3") / "state")
    place.prepare()
    services = Services(place, choose_ports(place, {}), AirflowSettings({}, {}, []))
    with Supervisor(place) as supervisor:
        service = services.s3()
        supervisor.start(service)
        supervisor.wait_ready(service)
        yield services.url("s3")


@pytest.fixture
def bucket(s3):
    made = Bucket(s3, "adbreak")
    made.make()
    made.make()
    return made


def test_only_new_content_is_stored(bucket, tmp_path):
    path = tmp_path / "a.ts"
    path.write_bytes(b"one")
    assert bucket.upload(path, "recordings/a.ts", "hash-1")
    assert not bucket.upload(path, "recordings/a.ts", "hash-1")
    path.write_bytes(b"two")
    assert bucket.upload(path, "recordings/a.ts", "hash-2")
    assert bucket.read_bytes("recordings/a.ts") == b"two"


def test_what_is_not_there_is_nothing(bucket):
    assert bucket.read_bytes("nothing") is None


def test_data_docs_are_pages_for_a_browser(bucket, tmp_path):
    page = tmp_path / "index.html"
    page.write_text("<p>docs</p>")
    bucket.upload(page, PREFIX + "index.html", "1")
    with serve_data_docs(bucket, any_port()) as url:
        with urllib.request.urlopen(url) as response:
            assert response.headers["Content-Type"] == "text/html"
            assert response.read() == b"<p>docs</p>"
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(url + "other.html")
