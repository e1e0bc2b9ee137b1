"""Signed delivery on this machine: keys and a repository at the first start, the Pi's look for updates after a night.

    prepare_delivery(place, run)                      # ``run(module, *arguments)`` runs a command of ml_training
    check_on_device(place, port=2222, delivery_url="http://127.0.0.1:4566/adbreak/delivery", ...)

The agent is packed and brought to the simulated Pi over SSH, as it would be to a real one, and runs there with what the
device has. Nobody else can publish to it: the keys lie in the state folder.
"""

import asyncio
import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncssh
from ml_training.edge.agent.pack import pack

from local_stack.device_server import BOARD, USER, make_keys
from local_stack.errors import StackError
from local_stack.ports import HOST
from local_stack.workplace import Workplace

REPOSITORY = "ml_training.edge.delivery.repository"
DEVICE = "pi_local"
HOME = "agent"  # on the device; benchmarks have a folder of their own
SECONDS = 300  # for all of it; a busy machine takes a minute
LARGEST_LATENCY_MS = 2000  # how fast this machine is says nothing of a Pi: the benchmark judges that
NO_LIMIT_BYTES = 1_000_000_000

Run = Callable[..., Any]


def keys_folder(place: Workplace) -> Path:
    """Return where the signing keys of this stack lie."""
    return place.state / "keys"


def prepare_delivery(place: Workplace, run: Run) -> None:
    """Make keys and an empty repository where there are none, and sign a fresh timestamp."""
    if not (keys_folder(place) / "ready").is_file():
        run("ml_training.edge.delivery.keys", "create")
        run(REPOSITORY, "init")
        (keys_folder(place) / "ready").touch()
    run(REPOSITORY, "refresh")


def check_on_device(
    place: Workplace, *, port: int, delivery_url: str, root: bytes, models: list[str]
) -> dict[str, Any]:
    """Bring the agent and the ``root`` that it trusts to the device; return what its look for updates found.

    That it refuses is a result. Raises StackError when the device or the agent does not answer.
    """
    packed, trusted = place.state / "work" / "adbreak-agent.zip", place.state / "work" / "root.json"
    pack(packed)
    trusted.write_bytes(root)
    try:
        return asyncio.run(asyncio.wait_for(_check(place, port, delivery_url, models, [packed, trusted]), SECONDS))
    except (OSError, asyncssh.Error, TimeoutError) as error:
        raise StackError(f"the agent on the simulated device cannot be run: {error!r}") from error


async def _check(
    place: Workplace, port: int, delivery_url: str, models: list[str], files: list[Path]
) -> dict[str, Any]:
    device = place.state / "device"
    known_hosts = asyncssh.import_known_hosts(f"[{HOST}]:{port} {make_keys(device)}\n")
    options = {"username": USER, "client_keys": [str(device / "login_key")], "known_hosts": known_hosts}
    async with asyncssh.connect(HOST, port, **options) as connection:
        async with connection.start_sftp_client() as sftp:
            for path in files:
                await sftp.put(str(path), path.name)
        settings = [f"largest_latency_ms={LARGEST_LATENCY_MS}", f"rate_limit_bytes_per_second={NO_LIMIT_BYTES}"]
        identity = ["--device-id", DEVICE, "--board", BOARD, "--delivery-url", delivery_url, "--root", files[1].name]
        await _agent(connection, ["setup", *identity, "--assigned", *models, "--set", *settings])
        found = await _agent(connection, ["check", "--no-upload"])
        return {"device": DEVICE, "board": BOARD, **found, "status": await _agent(connection, ["status"])}


async def _agent(connection: asyncssh.SSHClientConnection, arguments: list[str]) -> dict[str, Any]:
    """Run one command of the agent; exit code 1 of ``check`` is a refusal, which its result tells."""
    command = ["python3", "-m", "ml_training.edge.agent", arguments[0], "--home", HOME, *arguments[1:]]
    done = await connection.run(f"PYTHONPATH=adbreak-agent.zip {shlex.join(command)}", check=False)
    lines = str(done.stdout).splitlines()
    result = json.loads(lines[-1]) if lines else {}
    if "outcome" not in result and done.exit_status != 0:
        raise StackError(f"the agent's {arguments[0]} failed on the simulated device:\n{done.stderr}")
    return dict(result)
