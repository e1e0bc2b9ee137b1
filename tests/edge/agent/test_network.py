import time

import pytest
from ml_training.edge.agent.budget import Budget, RateLimiter
from ml_training.edge.agent.clock import Clock
from ml_training.edge.agent.network import CHUNK_BYTES, Network
from ml_training.utils.errors import DeliveryUnreachable, UpdateRefused
from tuf.api.exceptions import DownloadHTTPError

DATA = bytes(range(256)) * 1000


@pytest.fixture
def served(world):
    (world.root / "file.bin").write_bytes(DATA)
    return world


def network(tmp_path, *, rate=None, limit=10_000_000, timeout=5.0):
    budget = Budget(tmp_path / "budget.json", "download", limit_bytes=limit, clock=Clock())
    return Network(RateLimiter(rate), budget, timeout_seconds=timeout)


def test_an_interrupted_download_goes_on_where_it_stopped(served, tmp_path):
    own, part = network(tmp_path), tmp_path / "file.part"
    served.server.cut["file.bin"] = 100_000
    with pytest.raises(DeliveryUnreachable, match=r"goes on from there|connection broke"):
        own.download(f"{served.server.url}/file.bin", len(DATA), part)
    assert part.stat().st_size == 100_000
    served.server.cut.clear()
    assert own.download(f"{served.server.url}/file.bin", len(DATA), part) is True
    assert part.read_bytes() == DATA
    assert served.server.ranges == ["bytes=100000-"]
    assert own.received_bytes == len(DATA)


def test_a_part_that_is_too_long_is_begun_anew(served, tmp_path):
    part = tmp_path / "file.part"
    part.write_bytes(DATA + b"more")
    network(tmp_path).download(f"{served.server.url}/file.bin", len(DATA), part)
    assert part.read_bytes() == DATA


def test_a_file_without_an_end_is_not_read_past_its_length(served, tmp_path):
    served.server.endless.append("file.bin")
    own, part = network(tmp_path), tmp_path / "file.part"
    with pytest.raises(UpdateRefused, match=f"longer than the {len(DATA)} bytes that are signed"):
        own.download(f"{served.server.url}/file.bin", len(DATA), part)
    assert not part.exists()
    assert own.received_bytes < len(DATA) + 100_000


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_refusal_without_an_end_is_not_read(served, tmp_path, method):
    served.server.endless.append("none")
    own, url = network(tmp_path), f"{served.server.url}/none"
    if method == "GET":
        with pytest.raises(DownloadHTTPError):
            own.fetch(url)
    else:
        served.server.upload_status = 404
        assert own.post(url, {"key": "none", "file": ("none", b"", "text/plain")}) == 404
    assert own.received_bytes == CHUNK_BYTES


def test_a_server_cannot_make_a_device_wait(served, tmp_path):
    served.server.down = True
    served.server.refusal_headers["Retry-After"] = "1"
    with pytest.raises(DownloadHTTPError):
        network(tmp_path).fetch(f"{served.server.url}/file.bin")
    while not served.server.requests:  # it is noted after the answer
        time.sleep(0.01)
    assert len(served.server.requests) == 1


def test_a_short_refusal_keeps_its_connection(served, tmp_path):
    own = network(tmp_path)
    for _ in range(3):
        with pytest.raises(DownloadHTTPError):
            own.fetch(f"{served.server.url}/none")
    (pool,) = own._pools.values()
    assert pool.connection_from_url(served.server.url).num_connections == 1


def test_the_day_ends_a_download_and_the_next_one_goes_on(served, tmp_path):
    part = tmp_path / "file.part"
    with pytest.raises(DeliveryUnreachable, match="budget of 120000 bytes"):
        network(tmp_path, limit=120_000).download(f"{served.server.url}/file.bin", len(DATA), part)
    assert 0 < part.stat().st_size <= 120_000
    assert network(tmp_path).download(f"{served.server.url}/file.bin", len(DATA), part) is True
    assert part.read_bytes() == DATA


def test_a_rate_is_kept(served, tmp_path):
    start = time.monotonic()
    network(tmp_path, rate=200_000).download(f"{served.server.url}/file.bin", len(DATA), tmp_path / "part")
    assert time.monotonic() - start > 0.25


def test_nothing_there_is_unreachable(served, tmp_path):
    own = network(tmp_path, timeout=0.5)
    with pytest.raises(DeliveryUnreachable, match="HTTP 404"):
        own.download(f"{served.server.url}/none", 5, tmp_path / "part")
    with pytest.raises(DeliveryUnreachable, match=r"127.0.0.1:9 does not answer: .*refused"):
        own.download("http://127.0.0.1:9/x", 5, tmp_path / "part")
