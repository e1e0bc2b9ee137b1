import json

import pytest
from agent_world import model_files
from ml_training.edge.agent.clock import Clock
from ml_training.edge.agent.home import Home
from ml_training.edge.agent.safety import forgive_start, mend, note_start, prove, roll_back
from ml_training.edge.agent.state import REFUSALS_KEPT, Installed, changed_state, read_state
from ml_training.edge.agent.store import Store
from ml_training.utils.hashing import sha256_bytes


class Device:
    """A home with two versions, the newer one not proven."""

    def __init__(self, folder):
        self.home, self.clock = Home(folder), Clock()
        self.config = self.home.write_config({"device_id": "pi", "delivery_url": "http://127.0.0.1"})
        self.store = Store(self.home.store, limit_bytes=10**6)
        for semver in ("1.0.0", "1.1.0"):
            with changed_state(self.home) as state:
                state.swap(self.install(semver))

    def install(self, semver):
        files = model_files(semver)
        folder = self.home.model_folder("base-general", semver)
        folder.mkdir(parents=True)
        for name, data in files.items():
            (folder / name).write_bytes(data)
        hashes = {name: sha256_bytes(data) for name, data in files.items()}
        return Installed("base-general", semver, "1", "champion", hashes, "why", "2026-11-23T00:00:00+00:00")

    @property
    def environment(self):
        return self.home, self.store, self.config, self.clock

    @property
    def semver(self):
        current = read_state(self.home).current
        return current and current.semver

    def events(self):
        return [json.loads(path.read_text())["event"] for path in (self.home.store / "records").iterdir()]


@pytest.fixture
def device(tmp_path):
    return Device(tmp_path / "home")


def test_the_third_crash_of_a_new_model_brings_the_one_before_back(device):
    assert [note_start(*device.environment) for _ in range(3)] == [False, False, False]
    assert device.semver == "1.1.0"
    assert note_start(*device.environment) is True
    assert device.semver == "1.0.0"
    (refused,) = read_state(device.home).refused.values()
    assert "ended 3 times" in refused["reason"]
    assert device.events() == ["rolled_back"]


def test_ends_in_order_are_no_crashes(device):
    for _ in range(10):
        note_start(*device.environment)
        forgive_start(device.home, read_state(device.home).current.key)
    assert device.semver == "1.1.0"


def test_a_proven_model_stays(device):
    prove(device.home, read_state(device.home).current.key)
    for _ in range(10):
        assert note_start(*device.environment) is False
    assert device.semver == "1.1.0"


def test_the_last_model_is_never_given_up(device):
    roll_back(*device.environment, "by hand")
    for _ in range(10):
        note_start(*device.environment)
    assert device.semver == "1.0.0"
    assert roll_back(*device.environment, "again") is False


def test_damage_on_the_disk_is_mended(device):
    (device.home.model_folder("base-general", "1.1.0") / "golden.npz").unlink()
    mend(*device.environment)
    assert (device.semver, device.events()) == ("1.0.0", ["damaged"])
    (device.home.model_folder("base-general", "1.0.0") / "model.tflite").write_bytes(b"")
    mend(*device.environment)
    assert device.semver is None


def test_a_damaged_previous_model_is_no_way_back(device):
    (device.home.model_folder("base-general", "1.0.0") / "model.tflite").write_bytes(b"")
    assert roll_back(*device.environment, "by hand") is False
    mend(*device.environment)
    assert (device.semver, read_state(device.home).previous) == ("1.1.0", None)


def test_a_damaged_state_is_read_from_its_copy_and_written_anew(device):
    device.home.state_file.write_bytes(bytes(100))
    assert device.semver == "1.1.0"
    note_start(*device.environment)
    assert json.loads(device.home.state_file.read_text())["current"]["semver"] == "1.1.0"
    device.home.state_file.write_text("{")
    device.home.state_copy.write_text("[]")
    assert device.semver is None


def test_refusals_are_remembered_up_to_a_number(device):
    with changed_state(device.home) as state:
        for number in range(REFUSALS_KEPT + 5):
            hashes = {"manifest.json": f"{number:064d}"}
            state.refuse(Installed("base-general", f"2.{number}.0", "1", "champion", hashes, "", ""), "bad", "now")
    assert len(read_state(device.home).refused) == REFUSALS_KEPT


def test_what_raises_changes_nothing(device):
    def give_up_halfway():
        with changed_state(device.home) as state:
            state.current = None
            raise RuntimeError

    with pytest.raises(RuntimeError):
        give_up_halfway()
    assert device.semver == "1.1.0"
