import gzip
import json

import pytest
from ml_training.edge.agent.budget import Budget, RateLimiter
from ml_training.edge.agent.clock import Clock
from ml_training.edge.agent.network import Network
from ml_training.edge.agent.store import Store
from ml_training.edge.agent.upload import upload_stored

DAY = "2026-11-23"


class Sender:
    def __init__(self, world, limit=10**7):
        self.world, self.home, self.clock = world, world.device(), Clock()
        self.store = Store(self.home.store, limit_bytes=10**6)
        self.limit = limit

    def send(self, limit=None):
        downloads = Budget(self.home.budget_file, "download", limit_bytes=10**7, clock=self.clock)
        uploads = Budget(self.home.budget_file, "upload", limit_bytes=limit or self.limit, clock=self.clock)
        network = Network(RateLimiter(None), downloads, timeout_seconds=2)
        return upload_stored(self.home, self.store, network, uploads, self.clock)

    def records(self):
        objects = self.world.server.objects.items()
        lines = [gzip.decompress(data).splitlines() for key, data in objects if key.startswith("telemetry/")]
        return [json.loads(line) for batch in lines for line in batch]


@pytest.fixture
def sender(world):
    return Sender(world)


def test_everything_goes_below_the_devices_prefix_and_is_forgotten(sender):
    sender.world.grant(sender.home)
    names = {sender.store.add_record({"n": n}, day=DAY) for n in range(3)}
    sender.store.add_example(b"\xff\xd8picture", day=DAY)
    assert sender.send().files == 2
    assert {record["record_id"] for record in sender.records()} == names
    assert all(key.split("/")[1] == "pi5-kitchen" for key in sender.world.server.objects)
    assert sender.store.counts() == {"records": 0, "telemetry": 0, "hard_examples": 0}
    assert sender.send().files == 0


def test_without_grants_or_with_old_ones_all_stays(sender):
    sender.store.add_record({"n": 1}, day=DAY)
    assert "no uploads.json" in sender.send().message
    sender.world.grant(sender.home, expires_at="2020-01-01T00:00:00+00:00")
    assert "expired at 2020" in sender.send().message
    sender.home.grants_file.write_text('{"expires_at": 5}')
    assert "cannot be read" in sender.send().message
    assert sum(sender.store.counts().values()) == 1


@pytest.mark.parametrize("status", [403, 500])
def test_what_the_bucket_refuses_stays(sender, status):
    sender.world.grant(sender.home)
    sender.store.add_record({"n": 1}, day=DAY)
    sender.world.server.upload_status = status
    sent = sender.send()
    assert (sent.files, f"HTTP {status}" in sent.message) == (0, True)
    sender.world.server.upload_status = 204
    assert sender.send().files == 1


def test_an_upload_whose_answer_was_lost_is_one_object(sender):
    sender.world.grant(sender.home)
    sender.store.add_record({"n": 1}, day=DAY)
    forget, sender.store.sent = sender.store.sent, lambda item: None  # power went before it was forgotten
    sender.send()
    sender.store.add_record({"n": 2}, day=DAY)
    sender.store.sent = forget
    sender.send()
    assert sorted(record["n"] for record in sender.records()) == [1, 2]


def test_the_days_bytes_are_honoured(sender):
    sender.world.grant(sender.home)
    for number in range(4):
        sender.store.add_example(bytes([number]) * 2000, day=DAY)
    sent = sender.send(limit=12_000)
    assert (sent.files, "tomorrow" in sent.message) == (2, True)
    assert sender.send(limit=30_000).files == 2


def test_no_network_is_said_and_loses_nothing(sender):
    sender.world.grant(sender.home)
    grants = json.loads(sender.home.grants_file.read_text())
    grants["telemetry"]["url"] = "http://127.0.0.1:9/"
    sender.home.grants_file.write_text(json.dumps(grants))
    sender.store.add_record({"n": 1}, day=DAY)
    assert "does not answer" in sender.send().message
    assert sender.store.counts()["telemetry"] == 1
