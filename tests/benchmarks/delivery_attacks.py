"""Attacks on the delivery, each on a device that runs version 1.0.0: a real agent process must refuse and run on.

    for figure in measure(): print(figure.name, figure.value)

The agent speaks HTTP with a server that an attacker has in hand: it alters, holds back and mixes what it serves, or has
keys that it should not have. After each attack the agent classifies a clip with the model that it has.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from agent_world import ENDLESS_BYTES, World, crashing_model, model_files
from figures import Figure
from ml_training.cloud import storage
from ml_training.edge.delivery.keys import create_keys
from ml_training.edge.delivery.roles import rotate
from ml_training.edge.delivery.rollout_changes import current_rollout
from ml_training.edge.delivery.state import LIFETIME_DAYS, Publisher, State, read_state
from ml_training.edge.fleet.rollout import ROLLOUT_PATH
from tuf.api.metadata import MetaFile

OLD, NEW = "1.0.0", "1.1.0"
DAY_SECONDS = 86400
SECONDS = 300


class Attack(NamedTuple):
    """What is done to ``world``, and the kind of refusal, or the outcome, that it should give.

    ``offset`` moves the agent's clock, in seconds.
    """

    name: str
    do: Callable[[Any], None]
    kinds: tuple[str, ...]
    offset: float = 0.0


def flip(data: bytes) -> bytes:
    """Change one bit in the middle."""
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


def altered_model(world: Any) -> None:
    world.publish(NEW)
    world.server.change[r"model\.tflite$"] = flip


def altered_manifest(world: Any) -> None:
    world.publish(NEW)
    world.server.change[r"\.manifest\.json$"] = lambda data: data.replace(b"0.5", b"0.6")


def altered_rollout(world: Any) -> None:
    world.publish(NEW)
    world.server.change[r"fleet\.json$"] = lambda data: data.replace(b'"stage_percent": 0', b'"stage_percent": 9')


def older_version(world: Any) -> None:
    """Serve the state before the one that the device has seen."""
    old = shutil.copytree(world.root, world.folder / "old")
    world.publish(NEW)
    agent(world, "check")
    agent(world, "rollback")  # the device runs 1.0.0 again, and knows of the newer state
    world.server.folder = old


def frozen(world: Any) -> None:
    """Hold back 1.1.0 for longer than a timestamp holds; the attacker's clock is right."""
    world.server.folder = shutil.copytree(world.root, world.folder / "old")
    world.publish(NEW)
    world.server.date = formatdate(world.publisher.now().timestamp() + 3 * DAY_SECONDS, usegmt=True)


def expired(world: Any) -> None:
    """A timestamp that nobody signed anew."""
    short = {**LIFETIME_DAYS, "timestamp": -0.01}
    world.publisher = replace(world.publisher, lifetime_days=short)
    world.publish(NEW)


def mixed_snapshot(world: Any) -> None:
    """A new timestamp with the snapshot before it."""
    _mix(world, "snapshot")


def mixed_models(world: Any) -> None:
    """A new snapshot with the models before it."""
    _mix(world, "models")


def _mix(world: Any, role: str) -> None:
    folder = world.root / "delivery" / "metadata"
    newest = max(folder.glob(f"*.{role}.json"), key=lambda path: int(path.name.split(".")[0])).read_bytes()
    world.publish(NEW)
    world.server.change[rf"\d+\.{role}\.json$"] = lambda data: newest


def wrong_keys(world: Any) -> None:
    """A repository of the attacker's own, with a higher version of everything."""
    _attackers(world)


def wrong_root(world: Any) -> None:
    """The same, and it brings a next root that only the attacker's keys signed."""
    rotate(_attackers(world).publisher, "root")


def _attackers(world: Any) -> Any:
    evil = World(world.folder / "evil", world.folder / "evil-keys")
    evil.__enter__()
    evil.server.stop()
    for semver in (OLD, NEW, "1.2.0"):
        evil.publish(semver)
    world.server.folder = evil.root
    return evil


def revoked_key(world: Any) -> None:
    """A rollout signed with the key that was revoked; the attacker even has those of snapshot and timestamp."""
    publisher: Publisher = world.publisher
    old_key = read_state(publisher.store).role("rollouts").keyids[0]
    rotate(publisher, "rollouts")
    agent(world, "check")
    state = read_state(publisher.store)
    rollouts = state.targets["rollouts"]
    rollouts.signed.version += 1
    rollouts.signatures.clear()
    rollouts.sign(publisher.ring.signer(old_key))
    data = rollouts.to_bytes()
    storage.write_bytes(publisher.store.metadata_uri(f"{rollouts.signed.version}.rollouts"), data)
    state.snapshot.signed.meta["rollouts.json"] = MetaFile.from_data(rollouts.signed.version, data, ["sha256"])
    publisher._write(state, {"snapshot"}, {})


def stolen_rollout_key(world: Any) -> None:
    """A rollout, rightly signed, that names a file which nobody approved."""
    publisher: Publisher = world.publisher

    def change(state: State) -> set[str]:
        text = current_rollout(publisher.store, state).to_bytes().decode()
        text = re.sub(r'"semver": "1\.0\.0"', '"semver": "9.9.9"', text)
        state.target_files("rollouts")[ROLLOUT_PATH] = publisher.store.write_target(ROLLOUT_PATH, text.encode())
        return {"rollouts"}

    publisher.publish(change)


def endless_model(world: Any) -> None:
    world.publish(NEW)
    world.server.endless.append(r"model\.tflite$")


def endless_metadata(world: Any) -> None:
    world.server.endless.append(r"timestamp\.json$")


def endless_refusals(world: Any) -> None:
    """Say of every file that it is not there, and never come to the end of it."""
    world.server.folder = world.folder / "nothing"
    world.server.endless.append("")


def endless_waits(world: Any) -> None:
    """Refuse every request, without an end, and ask for another one in a year."""
    endless_refusals(world)
    world.server.down = True
    world.server.refusal_headers["Retry-After"] = str(365 * DAY_SECONDS)


def crashes(world: Any) -> None:
    """A file that is signed, and takes the runtime's process down."""
    world.publish(NEW, model_files(NEW, model=crashing_model()))


def other_outputs(world: Any) -> None:
    """A file that is signed, loads, and is not what its golden outputs say."""
    contents = model_files(NEW)
    with np.load(_file(world, contents["golden.npz"])) as golden:
        arrays = {**golden, "outputs": golden["outputs"] ^ 64}
    np.savez(world.folder / "golden.npz", **arrays)
    contents["golden.npz"] = (world.folder / "golden.npz").read_bytes()
    world.publish(NEW, contents)


def _file(world: Any, data: bytes) -> Path:
    path = Path(world.folder) / "whole.npz"
    path.write_bytes(data)
    return path


ATTACKS = (
    Attack("altered model file", altered_model, ("altered",)),
    Attack("altered manifest", altered_manifest, ("altered",)),
    Attack("altered rollout", altered_rollout, ("altered",)),
    Attack("older version served", older_version, ("rollback",)),
    Attack("frozen metadata", frozen, ("expired",), offset=3 * DAY_SECONDS),
    Attack("expired metadata", expired, ("expired",)),
    Attack("mix: older snapshot", mixed_snapshot, ("altered",)),
    Attack("mix: older models", mixed_models, ("altered",)),
    Attack("wrong keys", wrong_keys, ("unsigned",)),
    Attack("wrong keys, new root", wrong_root, ("unsigned",)),
    Attack("revoked key", revoked_key, ("unsigned",)),
    Attack("stolen rollout key", stolen_rollout_key, ("unsigned",)),
    Attack("endless model file", endless_model, ("longer",)),
    Attack("endless metadata", endless_metadata, ("longer",)),
    Attack("endless refusals", endless_refusals, ("unreachable",)),
    Attack("refusals that ask to wait", endless_waits, ("unreachable",)),
    Attack("valid file that crashes", crashes, ("trial",)),
    Attack("other golden outputs", other_outputs, ("trial",)),
)


def agent(world: Any, command: str, *arguments: object, offset: float = 0.0) -> dict[str, Any]:
    """Run the agent as a process of its own, and return its result with its exit code."""
    home = world.folder / "devices" / "pi5-kitchen"
    words = [sys.executable, "-m", "ml_training.edge.agent", command, "--home", home, *arguments]
    words += ["--clock-offset", offset] if offset else []
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=SECONDS, check=False)
    lines = done.stdout.strip().splitlines()
    return {**(json.loads(lines[-1]) if lines else {"message": done.stderr[-300:]}), "exit_code": done.returncode}


def attacked(attack: Attack, folder: Path, keys: Path, clip: Path) -> tuple[bool, bool]:
    """Carry out one attack; tells whether it was refused as what it is, and whether the old model runs on."""
    copy = shutil.copytree(keys, folder / "keys")
    with World(folder, copy) as world:
        world.publish(OLD)
        world.device()
        first = agent(world, "check")
        if first.get("outcome") != "updated":
            sys.exit(f"the device did not take the first model: {first}")
        attack.do(world)
        result = agent(world, "check", offset=attack.offset)
        refused = (result.get("kind") or result.get("outcome")) in attack.kinds and result["exit_code"] == 1
        ran = agent(world, "run", clip, "--no-check", "--output", folder / "breaks")
        status = agent(world, "status")
        semver = (status.get("model") or {}).get("semver")
        runs_on = ran["exit_code"] == 0 and semver == OLD
        refused = refused and max(size for _, _, size in world.server.requests) < ENDLESS_BYTES / 2
    word = "refused" if refused else f"NOT REFUSED as {attack.kinds[0]}: {result.get('outcome')}"
    still = f"runs {semver}" if runs_on else f"DOES NOT RUN: {ran.get('message')}"
    print(f"{attack.name:<26}{word}; {still}; {result.get('message', '')[:150]}", flush=True)
    return refused, runs_on


def measure() -> list[Figure]:
    """Carry out every attack."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        create_keys(folder / "keys")
        clip = folder / "clip.mp4"
        source = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=duration=4:size=320x240:rate=10"]
        subprocess.run([*source, "-pix_fmt", "yuv420p", str(clip)], check=True)
        found = []
        for number, attack in enumerate(ATTACKS):
            (folder / str(number)).mkdir()
            found.append(attacked(attack, folder / str(number), folder / "keys", clip))
            shutil.rmtree(folder / str(number))
    return [
        Figure("attacks refused", sum(refused for refused, _ in found), ">=", len(ATTACKS)),
        Figure("old model runs on after", sum(runs for _, runs in found), ">=", len(ATTACKS)),
    ]
