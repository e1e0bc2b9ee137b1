"""A thousand simulated devices refresh, update and upload against the local S3 server, by the agent's own code.

    make bench NAME=delivery PARTS=fleet

Every device has a folder, a place in the rollout and upload grants of its own; a few processes take turns being them.
An hour of a device is a check and four records; a challenger comes to a quarter of the fleet. Requests and bytes are
counted by the agents; a day is 24 such hours. The trial on golden inputs is left out: it is no network. SCALE=full
lives through 24 hours instead of four.
"""

import json
import os
import random
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agent_world import NAME, model_files
from figures import Figure
from ml_training.cloud import storage
from ml_training.edge.agent.check import check
from ml_training.edge.agent.clock import Clock
from ml_training.edge.agent.home import Home
from ml_training.edge.agent.setup import set_up
from ml_training.edge.agent.state import read_state
from ml_training.edge.agent.store import Store
from ml_training.edge.delivery.grants import upload_grants
from ml_training.edge.delivery.keys import create_keys
from ml_training.edge.delivery.model_files import ModelFiles
from ml_training.edge.delivery.publishing import publish_model
from ml_training.edge.delivery.roles import initialize
from ml_training.edge.delivery.rollout_changes import publish_rollout
from ml_training.edge.delivery.state import DeliveryStore, Publisher

TESTS = Path(__file__).resolve().parents[1]
STACK_PYTHON = TESTS.parent / ".venv" / "stack" / "bin" / "python"
DEVICES = int(os.environ.get("ADBREAK_BENCH_DEVICES", "1000"))
HOURS = 24 if os.environ.get("SCALE") == "full" else 4
PROCESSES = 4
ROOT = "s3://adbreak"
RECORDS_AN_HOUR, RECORD_BYTES = 4, 1200
EXAMPLE_BYTES, EXAMPLES_A_DAY = 15_000, 10
STAGE = 25
MOST_REQUESTS, MOST_BYTES = 200, 20_000_000  # a device and day


def no_trial(folder: Path, limits: Any) -> dict[str, Any]:
    """Pass everything."""
    return {"passed": True}


def measure() -> list[Figure]:
    """Live through the hours; returns the figures."""
    with tempfile.TemporaryDirectory() as temporary, s3_server(Path(temporary)) as address:
        folder = Path(temporary)
        publisher = Publisher(DeliveryStore(ROOT), create_keys(folder / "keys"))
        initialize(publisher)
        publish(publisher, "1.0.0", {"champion": "1.0.0"})
        (folder / "root.json").write_bytes(storage.read_bytes(f"{ROOT}/delivery/metadata/1.root.json"))
        names = [f"pi-{number:04d}" for number in range(DEVICES)]
        with ProcessPoolExecutor(PROCESSES) as pool:
            first = run_hour(pool, folder, address, names, hour=-1)
            hours = []
            for hour in range(HOURS):
                if hour == 1:
                    publish(publisher, "1.1.0", {"challenger": "1.1.0", "stage_percent": STAGE})
                hours.append(run_hour(pool, folder, address, names, hour=hour))
        return figures(names, first, hours)


def figures(names: list[str], first: list[dict[str, Any]], hours: list[list[dict[str, Any]]]) -> list[Figure]:
    """Count what passed and what arrived."""
    all_checks = [result for hour in hours for result in hour]
    requests, received, sent = (
        24 * sum(result[key] for result in all_checks) / len(all_checks)
        for key in ("requests", "received_bytes", "sent_bytes")
    )
    right = sum(result["outcome"] in ("updated", "current") for result in [*first, *all_checks])
    challengers = sum(result["semver"] == "1.1.0" for result in hours[-1])
    stored = sum(result["stored"] for result in [*first, *all_checks])
    objects = [item.uri for kind in ("telemetry", "hard_examples") for item in storage.list_objects(f"{ROOT}/{kind}/")]
    sent_files = sum(result["sent"]["files"] for result in [*first, *all_checks])
    installed = sum(result["received_bytes"] for result in first) / len(first)
    print(
        f"{len(names)} devices, {HOURS} hours of 24 lived through; a first check receives {installed:,.0f} bytes, of "
        f"which {model_bytes():,} are the model's files; one device and day: {requests:.1f} requests, {received:,.0f} "
        f"bytes received, {sent:,.0f} sent; {challengers} devices have the challenger",
        flush=True,
    )
    return [
        Figure("checks of the fleet that went well", right / len([*first, *all_checks]), ">=", 1),
        Figure("requests a device and day", requests, "<=", MOST_REQUESTS),
        Figure("bytes a device and day", received + sent, "<=", MOST_BYTES),
        Figure("files sent that are not one object", abs(sent_files - len(objects)), "<=", 0),
        Figure("files that stay on devices", stored, "<=", 0),
        Figure("share of the fleet with the challenger, beside its stage", abs(challengers / len(names) - 0.25), "<=",
               0.05 if len(names) >= 500 else 0.3),
    ]  # fmt: skip


def run_hour(
    pool: ProcessPoolExecutor, folder: Path, address: str, names: list[str], *, hour: int
) -> list[dict[str, Any]]:
    """Let every device live an hour; hour -1 sets it up and installs the first model."""
    started = time.monotonic()
    shares = [names[first :: PROCESSES * 4] for first in range(PROCESSES * 4)]
    done = pool.map(live, [str(folder)] * len(shares), [address] * len(shares), shares, [hour] * len(shares))
    results = [result for share in done for result in share]
    rate = len(results) / (time.monotonic() - started)
    print(f"hour {hour}: {len(results)} devices, {rate:.0f} a second", flush=True)
    return results


def live(folder: str, address: str, names: list[str], hour: int) -> list[dict[str, Any]]:
    """Be these devices for an hour, one after the other."""
    results = []
    for name in names:
        home = Home(Path(folder) / "devices" / name)
        if hour < 0:
            config = {
                "device_id": name,
                "delivery_url": f"{address}/adbreak/delivery",
                "rate_limit_bytes_per_second": None,
            }
            set_up(home, config, Path(folder) / "root.json")
            home.grants_file.write_text(json.dumps(upload_grants(ROOT, name, 100)))
        else:
            observe(home, name, hour)
        result = check(home, Clock(), trial=no_trial)
        current = read_state(home).current
        counts = Store(home.store, limit_bytes=10**8).counts()
        results.append({**result, "semver": current and current.semver, "stored": sum(counts.values())})
    return results


def observe(home: Home, name: str, hour: int) -> None:
    """Store what a device stores in an hour."""
    draw, day = random.Random(f"{name} {hour}"), Clock().text()[:10]
    store = Store(home.store, limit_bytes=10**8)
    for _ in range(RECORDS_AN_HOUR):
        store.add_record({"kind": "telemetry", "noise": draw.randbytes(RECORD_BYTES // 2).hex()}, day=day)
    if draw.random() < EXAMPLES_A_DAY / 24:
        store.add_example(draw.randbytes(EXAMPLE_BYTES), day=day)


def publish(publisher: Publisher, semver: str, wishes: dict[str, Any]) -> None:
    """Sign a version and roll it out."""
    publish_model(publisher, ModelFiles(NAME, semver, model_files(semver), "1"))
    publish_rollout(publisher, NAME, wishes)


def model_bytes() -> int:
    """Return the size of a version's files."""
    return sum(len(data) for data in model_files("1.0.0").values())


@contextmanager
def s3_server(folder: Path) -> Iterator[str]:
    """Start the local stack's S3 server with a bucket; the environment leads boto3 to it."""
    if not STACK_PYTHON.exists():
        raise SystemExit("error: there is no .venv/stack: run make setup-stack")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    environment = {
        **os.environ, "GATEWAY_PORT": str(port), "BIND_HOST": "127.0.0.1", "S3_PERSIST": "1",
        "S3_DATA_DIR": str(folder / "s3"), "STATE_DIR": str(folder / "s3-state"),
    }  # fmt: skip
    os.environ.update(
        AWS_ENDPOINT_URL=address, AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test",
        AWS_DEFAULT_REGION="us-east-1",
    )  # fmt: skip
    with (folder / "s3.log").open("w") as log:
        server = subprocess.Popen(
            [STACK_PYTHON, "-m", "ministack"], env=environment, cwd=folder, stdout=log, stderr=log
        )
    try:
        wait_until_healthy(f"{address}/_ministack/health", server)
        storage._client().create_bucket(Bucket="adbreak")
        yield address
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
        shutil.rmtree(folder / "s3", ignore_errors=True)


def wait_until_healthy(address: str, server: "subprocess.Popen[bytes]") -> None:
    """Wait for the first answer."""
    end = time.monotonic() + 90
    while time.monotonic() < end:
        if server.poll() is not None:
            raise SystemExit("error: the S3 server ended at its start")
        try:
            urllib.request.urlopen(address, timeout=2).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise SystemExit("error: the S3 server does not answer")
