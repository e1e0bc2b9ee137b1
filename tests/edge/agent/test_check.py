"""One device, one delivery over HTTP, and everything that may go wrong between them."""

import json
from datetime import timedelta

import pytest
from agent_world import COLOUR, golden, model_files
from ml_training.edge.agent.check import check
from ml_training.edge.agent.clock import Clock
from ml_training.edge.agent.safety import roll_back
from ml_training.edge.agent.state import read_state
from ml_training.edge.agent.store import Store
from ml_training.edge.delivery import roles
from ml_training.utils.errors import ConfigError, UpdateRefused

YEAR = 365 * 86400


def no_trial(folder, limits):
    return {"passed": True}


def look(home, clock=None, **options):
    return check(home, clock or Clock(), trial=options.pop("trial", no_trial), **options)


def semver(home):
    current = read_state(home).current
    return current and current.semver


@pytest.fixture
def home(world):
    """A device that runs 1.0.0."""
    world.publish("1.0.0")
    home = world.device()
    assert look(home)["outcome"] == "updated"
    return home


def test_a_new_model_is_installed_and_the_one_before_kept(world, home):
    assert look(home)["outcome"] == "current"
    world.publish("1.1.0")
    result = look(home)
    assert (result["outcome"], semver(home), read_state(home).previous.semver) == ("updated", "1.1.0", "1.0.0")
    assert sorted(path.name for path in (home.models / "base-general").iterdir()) == ["1.0.0", "1.1.0"]
    world.publish("1.2.0")
    look(home)
    assert sorted(path.name for path in (home.models / "base-general").iterdir()) == ["1.1.0", "1.2.0"]
    assert not list(home.incoming.iterdir())


def test_nothing_new_takes_two_requests(world, home):
    world.server.requests.clear()
    result = look(home)
    assert result["requests"] == len(world.server.requests) == 2


def test_without_a_rollout_nothing_happens(world):
    home = world.device()
    assert look(home)["outcome"] == "kept"
    assert semver(home) is None


def test_a_device_without_a_root_says_what_to_do(world, tmp_path):
    home = world.device()
    home.root_file.unlink()
    with pytest.raises(ConfigError, match="setup --root"):
        look(home)


def test_the_stage_holdback_pins_and_exclusions_are_followed(world, home):
    world.publish("1.1.0", challenger="1.1.0", stage_percent=0)
    assert look(home)["outcome"] == "current"
    world.publish("1.1.0", stage_percent=100)
    assert (look(home)["outcome"], semver(home)) == ("updated", "1.1.0")
    world.publish("1.1.0", pins={"pi5-kitchen": "champion"})
    assert (look(home)["outcome"], semver(home)) == ("updated", "1.0.0")
    world.publish("1.1.0", exclusions=("pi5-kitchen",), pins={"pi5-kitchen": None})
    assert (look(home)["outcome"], semver(home)) == ("kept", "1.0.0")


def test_a_model_for_other_boards_is_not_taken(world, home):
    world.publish("1.1.0", champion="1.1.0", boards=("Raspberry Pi 5",))
    result = look(home)
    assert result["outcome"] == "kept"
    assert "is for Raspberry Pi 5" in result["message"]


def test_an_altered_file_is_refused_and_the_old_model_stays(world, home):
    world.publish("1.1.0")
    world.server.change["model.tflite$"] = lambda data: data[:-1] + b"!"
    result = look(home)
    assert (result["outcome"], result["kind"], semver(home)) == ("refused", "altered", "1.0.0")
    world.server.change.clear()
    assert look(home)["outcome"] == "updated"


def test_an_endless_file_is_refused(world, home):
    world.publish("1.1.0")
    world.server.endless.append("model.tflite$")
    result = look(home)
    assert (result["outcome"], result["kind"], semver(home)) == ("refused", "longer", "1.0.0")


def test_endless_metadata_is_refused(world, home):
    world.server.endless.append("timestamp.json")
    result = look(home)
    assert (result["outcome"], result["kind"]) == ("refused", "longer")
    assert result["received_bytes"] < 100_000


def test_an_older_state_is_refused(world, home):
    old = (world.root / "delivery/metadata/timestamp.json").read_bytes()
    world.publish("1.1.0")
    look(home)
    world.server.change["timestamp.json"] = lambda data: old
    result = look(home)
    assert (result["outcome"], result["kind"], semver(home)) == ("refused", "rollback", "1.1.0")


def test_a_mix_of_two_states_is_refused(world, home):
    names = {path.name for path in (world.root / "delivery/metadata").glob("*.snapshot.json")}
    old = (world.root / "delivery/metadata" / max(names)).read_bytes()
    world.publish("1.1.0")
    world.server.change["snapshot.json"] = lambda data: old
    result = look(home)
    assert (result["outcome"], semver(home)) == ("refused", "1.0.0")
    assert result["kind"] in ("altered", "rollback", "malformed")


def test_a_wrong_key_is_refused(world, home):
    def forged(data):
        content = json.loads(data)
        content["signed"]["version"] += 1
        return json.dumps(content).encode()

    world.server.change["timestamp.json"] = forged
    result = look(home)
    assert (result["outcome"], result["kind"]) == ("refused", "unsigned")
    assert "not signed by enough trusted keys" in result["message"]


def test_frozen_metadata_is_refused_once_it_expires(world, home):
    world.server.date = None
    late = Clock(timedelta(days=40).total_seconds())
    world.server.date = late.now().strftime("%a, %d %b %Y %H:%M:%S GMT")
    result = look(home, late)
    assert (result["outcome"], result["kind"], semver(home)) == ("refused", "expired", "1.0.0")
    assert "this clock says" in result["message"]


@pytest.mark.parametrize("offset", [-YEAR, YEAR])
def test_a_clock_wrong_by_a_year_keeps_the_model_takes_no_update_and_reports(world, home, offset):
    world.publish("1.1.0")
    result = look(home, Clock(offset))
    assert (result["outcome"], result["kind"], semver(home)) == ("refused", "clock", "1.0.0")
    assert "the clock is wrong" in read_state(home).last_check["message"]
    waiting = Store(home.store, limit_bytes=10**6)
    events = [json.loads(path.read_text()) for path in (home.store / "records").iterdir()]
    assert any(event.get("refused") == "clock" for event in events), waiting.counts()
    assert look(home)["outcome"] == "updated"


def test_a_model_that_fails_its_trial_is_not_tried_again_until_asked(world, home):
    world.publish("1.1.0")
    tried = []

    def failing(folder, limits):
        tried.append(folder)
        raise UpdateRefused("it fails the trial", kind="trial")

    assert look(home, trial=failing)["kind"] == "trial"
    again = look(home, trial=failing)
    assert (again["kind"], len(tried), semver(home)) == ("refused_before", 1, "1.0.0")
    assert look(home, again=True)["outcome"] == "updated"


def test_a_trial_that_was_ended_is_made_again(world, home):
    world.publish("1.1.0")

    def ended(folder, limits):
        raise UpdateRefused("SIGKILL ended it", kind="trial_ended")

    assert look(home, trial=ended)["kind"] == "trial_ended"
    world.server.requests.clear()
    assert look(home)["outcome"] == "updated"
    assert not [path for _, path, _ in world.server.requests if "model.tflite" in path]  # it is here already


def test_a_rollback_by_hand_holds_until_there_is_another_version(world, home):
    world.publish("1.1.0")
    look(home)
    store = Store(home.store, limit_bytes=10**6)
    assert roll_back(home, store, home.read_config(), Clock(), "misses a jingle")
    assert semver(home) == "1.0.0"
    result = look(home)
    assert (result["kind"], semver(home)) == ("refused_before", "1.0.0")
    assert "misses a jingle" in result["message"]
    world.publish("1.2.0")
    assert (look(home)["outcome"], semver(home)) == ("updated", "1.2.0")


def test_an_interrupted_download_is_gone_on_from(world, home):
    world.publish("1.1.0", model_files("1.1.0", size=300_000))
    world.server.cut["model.tflite$"] = 150_000
    assert look(home)["outcome"] == "unreachable"
    world.server.cut.clear()
    assert look(home)["outcome"] == "updated"
    assert world.server.ranges[-1] == "bytes=150000-"


def test_a_part_damaged_on_the_disk_is_fetched_anew(world, home):
    world.publish("1.1.0", model_files("1.1.0", size=300_000))
    world.server.cut["model.tflite$"] = 150_000
    look(home)
    (part,) = home.incoming.glob("*/*.part")
    part.write_bytes(bytes(part.stat().st_size))
    world.server.cut.clear()
    assert look(home)["outcome"] == "updated"


def test_a_damaged_current_model_gives_way_and_comes_back(world, home):
    world.publish("1.1.0")
    look(home)
    (home.model_folder("base-general", "1.1.0") / "model.tflite").write_bytes(b"zeros")
    world.server.down = True
    assert look(home)["outcome"] == "unreachable"
    assert semver(home) == "1.0.0"
    world.server.down = False
    assert (look(home)["outcome"], semver(home)) == ("updated", "1.1.0")


def test_a_newer_agent_is_asked_for(world, home):
    from ml_training.edge.delivery.rollout_changes import publish_rollout

    publish_rollout(world.publisher, "base-general", {}, minimum_agent=99)
    result = look(home)
    assert (result["outcome"], result["kind"]) == ("refused", "agent")


def test_rotated_keys_are_followed(world, home):
    for role in ("root", "targets", "models", "timestamp"):
        roles.rotate(world.publisher, role, None)
    world.publish("1.1.0")
    assert (look(home)["outcome"], semver(home)) == ("updated", "1.1.0")


def test_a_shadow_is_installed_beside_and_its_failure_changes_nothing(world, home):
    world.publish("1.1.0", challenger="1.1.0", shadow=("challenger", 0.5))
    assert look(home)["outcome"] == "current"
    state = read_state(home)
    assert (state.current.semver, state.shadow.semver, state.shadow_share) == ("1.0.0", "1.1.0", 0.5)
    world.publish("1.2.0", challenger="1.2.0")
    world.server.change["1.2.0/.*model.tflite"] = lambda data: b"x" * len(data)
    assert look(home)["outcome"] == "current"
    assert read_state(home).shadow is None


def test_the_real_trial_passes_a_good_model_and_refuses_other_golden_outputs(world):
    world.publish("1.0.0")
    home = world.device()
    assert check(home, Clock())["trial"]["golden_steps"] == 0
    inverted = model_files("1.1.0")
    inverted["golden.npz"] = golden(COLOUR.read_bytes()).replace(b"outputs", b"outputs")
    wrong = dict(inverted)
    wrong["golden.npz"] = _shifted()
    world.publish("1.1.0", wrong)
    result = check(home, Clock())
    assert (result["outcome"], result["kind"], semver(home)) == ("refused", "trial", "1.0.0")
    assert "golden outputs differ by" in result["message"]


def _shifted():
    import io

    import numpy as np

    with np.load(io.BytesIO(golden(COLOUR.read_bytes()))) as file:
        inputs, outputs = file["inputs"], file["outputs"]
    data = io.BytesIO()
    np.savez(data, inputs=inputs, outputs=outputs // 2 + 3)
    return data.getvalue()
