"""The service on real video: red pictures are ads to the model here, blue ones are content."""

import json
import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from subprocess import TimeoutExpired

import pytest
from agent_world import crashing_model, model_files
from ml_training.edge.agent.check import check
from ml_training.edge.agent.clock import Clock
from ml_training.edge.agent.loaded import Active
from ml_training.edge.agent.run import Options, Runner
from ml_training.edge.agent.session import Session
from ml_training.edge.agent.state import changed_state, read_state
from ml_training.edge.agent.telemetry import ExampleSampler, read_comment
from ml_training.utils.errors import ConfigError, DeviceError, ModelError, RecordingUnreadable

MEMORY_BYTES = 150_000_000


def no_trial(folder, limits):
    return {"passed": True}


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """Thirty seconds of blue, thirty of red, thirty of blue, and some of a violet that is neither."""
    path = tmp_path_factory.mktemp("run") / "evening.ts"
    colours = [("blue", 30), ("red", 30), ("blue", 25), ("0x780078", 5)]
    words = ["ffmpeg", "-v", "error"]
    for colour, seconds in colours:
        words += ["-f", "lavfi", "-i", f"color={colour}:s=320x180:r=5:d={seconds}"]
    streams = "".join(f"[{n}:v]" for n in range(len(colours)))
    words += ["-filter_complex", f"{streams}concat=n={len(colours)}:v=1:a=0", "-c:v", "libx264", "-preset", "ultrafast"]
    subprocess.run([*words, "-pix_fmt", "yuv420p", str(path)], check=True)
    return path


@pytest.fixture
def home(world):
    world.publish("1.0.0")
    home = world.device(hard_examples_per_day=1000)
    check(home, Clock(), trial=no_trial)
    return home


def runner(home, clock=None):
    return Runner(home, clock or Clock(), Options(check=False))


def records(home, kind="telemetry"):
    found = [json.loads(path.read_text()) for path in (home.store / "records").iterdir()]
    return [record for record in found if record["kind"] == kind]


def service(home, *words):
    command = [sys.executable, "-m", "ml_training.edge.agent", "run", "--home", str(home.folder), *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.05)


class StandingClock(Clock):
    """Always the same time: what is allowed once a minute is then allowed once."""

    def __init__(self):
        super().__init__()
        self.time = super().now()

    def now(self):
        return self.time


def test_a_recording_gives_breaks_counts_and_unsure_frames(home, recording):
    result = runner(home, StandingClock()).run([str(recording)])
    assert (result["frames"], result["breaks"]) == (90, 1)
    start, end, action = (home.breaks / "evening.edl").read_text().split()
    assert (float(start), float(end), action) == (30.0, 60.0, "0")
    (told,) = records(home)
    assert (told["frames"], told["ad_frames"], told["breaks"]) == (90, sum(told["score_histogram"][10:]), 1)
    assert sum(told["score_histogram"]) == 90
    assert told["model"]["semver"] == "1.0.0"
    assert told["latency_ms"]["p95"] > 0
    (picture,) = (home.store / "hard_examples").iterdir()  # at most one a minute
    facts = read_comment(picture.read_bytes())
    assert 0.4 <= facts["score"] <= 0.6
    assert facts["pts_seconds"] >= 85


@pytest.mark.parametrize("error", [RecordingUnreadable("no JPEG"), OSError("no process"), TimeoutExpired("ffmpeg", 30)])
def test_a_picture_that_cannot_be_kept_ends_nothing(home, recording, monkeypatch, error):
    monkeypatch.setattr("ml_training.edge.agent.observations.encode_jpeg", lambda image: (_ for _ in ()).throw(error))
    result = runner(home).run([str(recording)])
    assert (result["frames"], result["unreadable"]) == (90, [])


def test_the_service_stays_small_and_has_no_tensorflow(home, recording):
    code = (
        "import sys; from ml_training.edge.agent.__main__ import main;"
        "code = main(sys.argv[1:]); from ml_training.edge.agent.facts import peak_memory_bytes;"
        "print(peak_memory_bytes(),"
        "sorted({'tensorflow', 'tf_keras', 'cv2', 'pydantic', 'boto3', 'pandas'} & set(sys.modules))); sys.exit(code)"
    )
    words = [sys.executable, "-c", code, "run", "--home", home.folder, "--no-check", recording]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    memory, _, modules = done.stdout.strip().splitlines()[-1].partition(" ")
    assert modules == "[]"
    assert int(memory) < MEMORY_BYTES


def test_a_shadow_judges_whole_minutes_beside(world, home, recording):
    world.publish("1.1.0", challenger="1.1.0", shadow=("challenger", 1.0))
    check(home, Clock(), trial=no_trial)
    runner(home).run([str(recording)])
    (told,) = records(home)
    assert told["shadow"]["model"]["semver"] == "1.1.0"
    assert (told["shadow"]["frames"], told["shadow"]["agreed"], told["shadow"]["mean_difference"]) == (90, 90, 0)


def test_a_stop_is_in_order_and_stores_what_was_counted(home, recording):
    with service(home, "--no-check", "--output", home.folder / "out", *[recording] * 50) as process:
        wait_for((home.folder / "out" / "evening.edl").exists)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert process.returncode == 143
    assert len(records(home)) == 1
    assert read_state(home).starts.times == []


def test_a_model_that_listens_is_told_that_a_recording_has_no_sound(home, recording, monkeypatch):
    heard = []

    class Listening(Session):
        def __init__(self, seen, active, sound, files):
            heard.append(sound)
            super().__init__(seen, active, sound, files)

    monkeypatch.setattr(Active, "hears", True)
    monkeypatch.setattr("ml_training.edge.agent.run.Session", Listening)
    assert runner(home).run([str(recording)])["frames"] == 90
    assert heard == [None]


def test_recordings_of_one_name_write_files_of_their_own(home, recording, tmp_path):
    for day in ("monday", "tuesday"):
        (tmp_path / "week" / day).mkdir(parents=True)
        os.symlink(recording, tmp_path / "week" / day / "evening.ts")
    assert runner(home).run([str(tmp_path / "week")])["breaks"] == 2
    assert sorted(path.parent.name for path in home.breaks.rglob("*.edl")) == ["monday", "tuesday"]


class Enough(BaseException):
    """The test has seen it."""


def test_a_stream_that_is_down_leaves_no_files(home, recording, monkeypatch):
    waits = []

    def wait(seconds):
        waits.append(seconds)
        if len(waits) == 3:
            raise Enough

    monkeypatch.setattr("ml_training.edge.agent.run.time.sleep", wait)
    with pytest.raises(Enough):
        runner(home).run(["tcp://127.0.0.1:9"])
    assert not home.breaks.exists()


class CheckAtFrame:
    """Stands in for the schedule: checks in this process, between two certain frames."""

    def __init__(self, home, frame):
        self.home, self.left = home, frame

    def is_due(self):
        return False

    def step(self):
        self.left -= 1
        if self.left == 0:
            check(self.home, Clock(), trial=no_trial)

    def stop(self):
        pass


def test_a_new_model_takes_over_between_two_frames(world, home, recording, monkeypatch):
    monkeypatch.setattr("ml_training.edge.agent.run.LOOK_SECONDS", 0.0)
    own = runner(home)
    world.publish("1.1.0")
    own._checks = CheckAtFrame(home, 40)
    result = own.run([str(recording)])
    assert (result["model"][:18], result["frames"]) == ("base-general/1.1.0", 90)
    assert {told["model"]["semver"]: told["frames"] for told in records(home)} == {"1.0.0": 40, "1.1.0": 50}


def test_a_model_that_crashes_the_process_gives_way_by_itself(world, home, recording):
    files = model_files("1.1.0", model=crashing_model())
    world.publish("1.1.0", files)
    check(home, Clock(), trial=no_trial)  # a trial would have refused it
    codes = []
    while read_state(home).current.semver == "1.1.0":
        with service(home, "--no-check", recording) as process:
            process.communicate(timeout=60)
        codes.append(process.returncode)
        assert len(codes) < 6
    assert codes == [-signal.SIGSEGV] * 3 + [0]
    (event,) = [told for told in records(home, "event") if told["event"] == "rolled_back"]
    assert "ended 3 times" in event["message"]
    assert records(home)[0]["model"]["semver"] == "1.0.0"


def test_a_model_that_always_crashed_gives_way_to_a_mended_one(world, recording):
    home = world.device(check_minutes=1)
    world.publish("1.0.0", model_files("1.0.0", model=crashing_model()))
    check(home, Clock(), trial=no_trial)
    with changed_state(home) as state:
        state.last_check["at"] = "2026-01-05T00:00:00+00:00"
    world.publish("1.1.0")
    with service(home, recording) as process:
        output, _ = process.communicate(timeout=200)
    assert json.loads(output)["model"].startswith("base-general/1.1.0")


def test_only_what_the_model_may_have_done_counts_as_its_crash(world, home, recording, monkeypatch):
    world.publish("1.1.0")
    check(home, Clock(), trial=no_trial)
    counted = []
    for error in (OSError("no room"), ConfigError("no ffmpeg"), ModelError("no such input"), ValueError("its scores")):
        monkeypatch.setattr(Session, "see", lambda *arguments, error=error: (_ for _ in ()).throw(error))
        with pytest.raises(type(error)):
            runner(home).run([str(recording)])
        counted.append(len(read_state(home).starts.times))
    assert counted == [0, 0, 1, 2]


def test_a_model_that_does_not_load_gives_way_at_once(world, home, recording):
    world.publish("1.1.0", model_files("1.1.0", model=b"TFL3 but not really"))
    check(home, Clock(), trial=no_trial)
    assert runner(home).run([str(recording)])["model"].startswith("base-general/1.0.0")


def test_a_new_model_that_is_too_slow_gives_way(world, home, recording, monkeypatch):
    world.publish("1.1.0")
    check(home, Clock(), trial=no_trial)
    monkeypatch.setattr("ml_training.edge.agent.run.PROOF_FRAMES", 10)
    config = json.loads(home.config_file.read_text())
    home.config_file.write_text(json.dumps({**config, "largest_latency_ms": 1e-9}))
    runner(home).run([str(recording)])
    state = read_state(home)
    assert state.current.semver == "1.0.0"
    assert "95 of 100 frames" in next(iter(state.refused.values()))["reason"]


def test_bad_inputs_are_named(home, tmp_path):
    (tmp_path / "bad.ts").write_bytes(b"nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(RecordingUnreadable, match=r"bad\.ts gives no frame"):
        runner(home).run([str(tmp_path / "bad.ts")])
    with pytest.raises(ConfigError, match="has no video"):
        runner(home).run([str(tmp_path / "empty")])
    with pytest.raises(ConfigError, match="there is no file"):
        runner(home).run([str(tmp_path / "none.ts")])
    with pytest.raises(ConfigError, match="expected an input"):
        runner(home).run([])


def test_one_bad_file_does_not_end_the_others(home, recording, tmp_path):
    (tmp_path / "a-bad.ts").write_bytes(b"nothing")
    os.symlink(recording, tmp_path / "evening.ts")
    result = runner(home).run([str(tmp_path)])
    assert (result["frames"], len(result["unreadable"])) == (90, 1)


def test_without_a_model_it_says_what_to_do(world, recording):
    home = world.device("pi5-new")
    with pytest.raises(DeviceError, match="run check"):
        runner(home).run([str(recording)])


def test_examples_are_spread_and_bounded_also_by_a_service_that_starts_again(tmp_path):
    file, day = tmp_path / "examples.json", Clock().now().replace(hour=0, minute=0)
    taken = []
    for minute in range(1440):
        if ExampleSampler(file, "pi", per_day=10).wants(0.5, day + timedelta(minutes=minute)):
            taken.append(minute)
    assert len(taken) == 10
    sampler = ExampleSampler(file, "pi", per_day=10)
    tomorrow = [day + timedelta(days=1, minutes=minute) for minute in range(1440)]
    assert not any(sampler.wants(0.7, moment) for moment in tomorrow)
    assert sum(sampler.wants(0.5, moment) for moment in tomorrow) == 10
    assert not any(ExampleSampler(file, "pi", per_day=0).wants(0.5, moment) for moment in tomorrow)
    file.write_text("[")
    assert any(ExampleSampler(file, "pi", per_day=10).wants(0.5, moment) for moment in tomorrow)
