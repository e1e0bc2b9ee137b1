"""Faults of a device: power cuts at random points, a week without a network, a clock that is wrong by a year.

    make bench NAME=delivery PARTS=faults

A power cut is SIGKILL of a process that stores, downloads, swaps and uploads: before a random one of its system calls
on files and sockets, or at a random moment. After each one the model must be whole and load; in the end every record
whose storing was confirmed is on the server once. The processes are forked from one that has imported everything and
has no threads. The trial on the golden inputs is left out of them: it is a process of its own, and tested.
"""

import gzip
import json
import logging
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from figures import Figure
from ml_training.edge.agent.check import check
from ml_training.edge.agent.clock import Clock
from ml_training.edge.agent.device_model import open_device_model
from ml_training.edge.agent.home import Home
from ml_training.edge.agent.state import is_whole, read_state
from ml_training.edge.agent.store import Store

KILLS = int(os.environ.get("ADBREAK_BENCH_KILLS", "1000" if os.environ.get("SCALE") == "full" else "200"))
BY_MOMENT = 0.4  # of the kills; the others are before a system call
MODEL_BYTES = 300_000
RATE = 2_000_000
RECORDS, EXAMPLE_BYTES = 3, 3000
WEEK_STORE_BYTES = 3_000_000
CALLS = ("open", "os.", "socket.", "fcntl.", "shutil.", "tempfile.")
LONGEST_SECONDS = 60.0
DAY = 86_400.0


def no_trial(folder: Path, limits: Any) -> dict[str, Any]:
    """Pass everything."""
    return {"passed": True}


def measure() -> list[Figure]:
    """Run the three; returns the figures."""
    from agent_world import World  # not above: the process that is forked has no use for it

    logging.getLogger("ml_training").setLevel(logging.ERROR)  # each drop is a warning
    with tempfile.TemporaryDirectory() as temporary:
        keys = Path(temporary) / "keys"
        figures: list[Figure] = []
        for name, part in (("kills", power_cuts), ("week", week_without_network), ("clock", wrong_clocks)):
            folder = Path(temporary) / name
            folder.mkdir()
            with World(folder, keys) as world:
                figures += part(world)
    return figures


def power_cuts(world: Any) -> list[Figure]:
    """Kill a device's process KILLS times."""
    from agent_world import model_files

    draw = random.Random(1)
    world.publish("1.0.0", model_files("1.0.0", size=MODEL_BYTES))
    home = world.device(rate_limit_bytes_per_second=RATE, daily_download_bytes=10**12, daily_upload_bytes=10**12)
    world.grant(home)
    working = updated = 0
    with Forker(home) as forker:
        forker.cycle()
        world.publish("1.1.0", model_files("1.1.0", size=MODEL_BYTES))
        whole = forker.cycle()
        print(f"a cycle: {whole['calls']} calls, {whole['seconds']:.2f} s without a kill", flush=True)
        where: Counter[str] = Counter()
        for number in range(KILLS):
            version = f"1.{number + 2}.0"
            world.publish(version, model_files(version, size=MODEL_BYTES))
            if draw.random() < BY_MOMENT:
                cut = forker.cycle(after_seconds=draw.uniform(0, whole["seconds"]))
            else:
                cut = forker.cycle(before_call=draw.randint(1, whole["calls"]))
            where[cut["last"] if cut["signal"] else "nowhere, it was done"] += 1
            working += works(home)
            if number % 10 == 9:
                forker.cycle()
                updated += read_state(home).current.semver == version  # type: ignore[union-attr]
        forker.cycle()
    print("killed before or after: " + ", ".join(f"{count} {name}" for name, count in where.most_common(8)), flush=True)
    lost, doubled = lost_and_doubled(world, forker)
    return [
        Figure("power cuts after which a working model was there", working, ">=", KILLS),
        Figure("updates finished by the next run, of those looked at", updated, ">=", KILLS // 10),
        Figure("records and pictures lost", lost, "<=", 0),
        Figure("records doubled", doubled, "<=", 0),
    ]


def lost_and_doubled(world: Any, forker: "Forker") -> tuple[int, int]:
    """Count what was confirmed as stored and is not on the server, and what is there more than once."""
    stored = set(forker.stored())
    pictures = [key.rsplit("/", 1)[-1] for key in world.server.objects if key.endswith(".jpg")]
    on_server = Counter([*server_records(world), *pictures])
    print(f"{len(stored)} were confirmed as stored, {len(on_server)} are on the server", flush=True)
    lost = sum(name not in on_server and name.partition("_")[2] not in on_server for name in stored)
    return lost, sum(count - 1 for count in on_server.values())


def works(home: Home) -> bool:
    """Tell whether the current model is whole and loads."""
    current = read_state(home).current
    if current is None:
        return False
    folder = home.model_folder(current.name, current.semver)
    if not is_whole(folder, current.files):
        return False
    open_device_model(folder)
    return True


def server_records(world: Any) -> list[str]:
    """Return the ids of all records on the server, as often as they are there."""
    batches = [gzip.decompress(data) for key, data in world.server.objects.items() if key.endswith(".jsonl.gz")]
    records = [json.loads(line) for batch in batches for line in batch.splitlines()]
    return [record["record_id"] for record in records]


def week_without_network(world: Any) -> list[Figure]:
    """Store seven days of records and pictures in a store that is too small, then let the network come back."""
    world.publish("1.0.0")
    home = world.device(store_bytes=WEEK_STORE_BYTES, daily_upload_bytes=10**9)
    check(home, Clock(), trial=no_trial)
    world.server.down = True
    store = Store(home.store, limit_bytes=WEEK_STORE_BYTES)
    draw, largest, refused = random.Random(2), 0, 0
    added = {"records": store.counts()["records"], "hard_examples": 0}
    for quarter in range(7 * 96):
        clock = Clock(quarter * DAY / 96)
        day = clock.text()[:10]
        store.add_record({"kind": "telemetry", "created_at": clock.text(), "noise": draw.randbytes(400).hex()}, day=day)
        store.add_example(draw.randbytes(9000), day=day)
        added["records"], added["hard_examples"] = added["records"] + 1, added["hard_examples"] + 1
        largest = max(largest, store.size_bytes())
        world.server.date = clock.now().strftime("%a, %d %b %Y %H:%M:%S GMT")
        if quarter % 96 == 50:
            refused += check(home, clock, trial=no_trial)["outcome"] == "unreachable"
    dropped = store.dropped()
    world.server.down = False
    late = Clock(7 * DAY)
    world.server.date = late.now().strftime("%a, %d %b %Y %H:%M:%S GMT")
    world.grant(home)
    check(home, late, trial=no_trial)
    pictures = sum(key.endswith(".jpg") for key in world.server.objects)
    told = server_records(world)
    events = len(told) - (added["records"] - dropped["records"])  # of the checks themselves
    print(f"a week: {added} stored, {dropped} dropped, {len(told)} records and {pictures} pictures sent", flush=True)
    missing = added["hard_examples"] - dropped["hard_examples"] - pictures
    return [
        Figure("largest store in a week, share of its bound", largest / WEEK_STORE_BYTES, "<=", 1),
        Figure("pictures dropped, and said so", dropped["hard_examples"], ">=", 1),
        Figure("records and pictures neither sent nor said to be dropped", abs(missing) + max(0, -events), "<=", 0),
        Figure("checks of the week that kept the model", refused * works(home), ">=", 7),
    ]


def wrong_clocks(world: Any) -> list[Figure]:
    """Offer an update to a device whose clock is a year behind, then a year ahead."""
    world.publish("1.0.0")
    home = world.device()
    check(home, Clock(), trial=no_trial)
    world.publish("1.1.0")
    kept = reported = 0
    for offset in (-365 * DAY, 365 * DAY):
        result = check(home, Clock(offset), trial=no_trial)
        current = read_state(home).current
        kept += current is not None and current.semver == "1.0.0" and works(home) and result["outcome"] == "refused"
        reported += "the clock is wrong" in read_state(home).last_check["message"]
        print(f"clock {offset / DAY:+g} days: {result['message']}", flush=True)
    right = check(home, Clock(), trial=no_trial)["outcome"] == "updated"
    return [
        Figure("clocks wrong by a year: model kept, update refused", kept, ">=", 2),
        Figure("clocks wrong by a year: reported", reported, ">=", 2),
        Figure("update taken once the clock is right", right, ">=", 1),
    ]


class Forker:
    """A process without threads that forks one that works, and kills it."""

    def __init__(self, home: Home) -> None:
        self._noted = home.folder.parent / "stored.txt"
        self._noted.write_text("")
        self._home = home
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> "Forker":
        command = [sys.executable, __file__, str(self._home.folder), str(self._noted)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *exception: object) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)

    def cycle(self, *, before_call: int | None = None, after_seconds: float | None = None) -> dict[str, Any]:
        """Store, check and upload once, killed as asked; returns how it ended."""
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"before_call": before_call, "after_seconds": after_seconds}) + "\n")
        self._process.stdin.flush()
        return dict(json.loads(self._process.stdout.readline()))

    def stored(self) -> list[str]:
        """Return the names of what was confirmed as stored."""
        return self._noted.read_text().split()


def work(home: Home, noted: Path, before_call: int | None, report: int) -> None:
    """Be the device: store, then check."""
    calls = 0

    def count(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal calls
        if event.startswith(CALLS) and event != "os.kill":
            calls += 1
            os.pwrite(report, f"{calls} {event}".ljust(60).encode(), 0)
            if calls == before_call:
                os.kill(os.getpid(), signal.SIGKILL)

    clock = Clock()
    store = Store(home.store, limit_bytes=10**9)
    names = os.open(noted, os.O_WRONLY | os.O_APPEND)
    sys.addaudithook(count)
    for _ in range(RECORDS):
        os.write(names, (store.add_record({"kind": "telemetry"}, day=clock.text()[:10]) + "\n").encode())
    os.write(names, (store.add_example(os.urandom(EXAMPLE_BYTES), day=clock.text()[:10]) + "\n").encode())
    check(home, clock, trial=no_trial)


def fork_on_request(home: Home, noted: Path) -> None:
    """Read one request a line; answer with how the forked process ended."""
    for line in sys.stdin:
        asked = json.loads(line)
        report = os.memfd_create("report")
        started = time.monotonic()
        child = os.fork()
        if child == 0:
            try:
                work(home, noted, asked["before_call"], report)
            except BaseException as error:
                print(repr(error), file=sys.stderr, flush=True)
                os._exit(1)
            os._exit(0)
        wait = LONGEST_SECONDS if asked["after_seconds"] is None else asked["after_seconds"]
        status = None
        while status is None:
            done, ended = os.waitpid(child, os.WNOHANG)
            if done:
                status = ended
            elif time.monotonic() - started > wait:
                os.kill(child, signal.SIGKILL)
                status = os.waitpid(child, 0)[1]
            else:
                time.sleep(0.0005)
        calls, _, last = os.pread(report, 60, 0).decode().strip("\0 ").partition(" ")
        os.close(report)
        answer = {"signal": os.WIFSIGNALED(status), "calls": int(calls or 0), "last": last or "the first call"}
        print(json.dumps({**answer, "seconds": time.monotonic() - started}), flush=True)


if __name__ == "__main__":
    fork_on_request(Home(Path(sys.argv[1])), Path(sys.argv[2]))
