"""Starts a simulated EC2 from any of the environments, and speaks to it.

    with simulated_ec2(tmp_path, settings={"heartbeat_seconds": 1}) as ec2:
        monkeypatch.setenv(...)  # each of ec2.environment
        ec2.fault("lose_answer", action="CreateFleet")
        ec2.no_capacity(instance_type="g6.xlarge")
        ec2.notice(instance_id, seconds=2)
        ec2.machines()                          # every machine there was, oldest first

It needs the environment `stack` on disk, and here the standard library only.
"""

import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from local_stack.workplace import ROOT

PYTHON = ROOT / ".venv" / "stack" / "bin" / "python"
ANSWER_SECONDS = 30


class RemoteEc2:
    """A simulated EC2 in another process; see ``local_stack.ec2.simulation`` for what it is."""

    def __init__(self, facts: dict[str, Any]) -> None:
        self.url: str = facts["url"]
        self.folder = Path(facts["folder"])
        self.environment: dict[str, str] = facts["environment"]
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def fault(self, kind: str, **more: Any) -> None:
        """Let something go wrong: lose_answer, lose_request, throttle, error, hang, deny."""
        self._ask("POST", "faults", {"kind": kind, **more})

    def no_faults(self) -> None:
        """Nothing goes wrong any more, and there are machines of every type at their usual prices."""
        for what in ("faults", "market/shortages", "market/prices"):
            self._ask("DELETE", what)

    def faults(self) -> dict[str, Any]:
        """Return which faults wait and which have happened."""
        return dict(self._ask("GET", "faults"))

    def no_capacity(self, **where: Any) -> None:
        """Have no machines: of an ``instance_type``, in a ``zone``, on a ``market``, for ``seconds``, or at all."""
        self._ask("POST", "market/shortages", where)

    def quota(self, code: str = "VcpuLimitExceeded") -> None:
        """Be an account that may have no more machines."""
        self._ask("POST", "market/quota", {"code": code})

    def price(self, instance_type: str, usd_per_hour: float, zone: str | None = None) -> None:
        """Change a spot price."""
        content = {"instance_type": instance_type, "usd_per_hour": usd_per_hour, "zone": zone}
        self._ask("POST", "market/prices", content)

    def timing(self, **seconds: float) -> dict[str, float]:
        """Change how long things take; see ``Timing``, and ``visibility_seconds``."""
        return dict(self._ask("POST", "machines/timing", seconds))

    def machines(self) -> list[dict[str, Any]]:
        """Return every machine there was, oldest first."""
        return list(self._ask("GET", "machines"))

    def processes(self, instance_id: str) -> list[dict[str, Any]]:
        """Return what runs on a machine."""
        return list(self._ask("GET", f"machines/{instance_id}/processes"))

    def notice(self, instance_id: str, seconds: float | None = None) -> None:
        """Give a spot notice; 0 takes the machine away without one."""
        self._ask("POST", f"machines/{instance_id}/notice", {"seconds": seconds})

    def rebalance(self, instance_id: str) -> None:
        """Recommend to leave a machine."""
        self._ask("POST", f"machines/{instance_id}/rebalance")

    def kill(self, instance_id: str, who: str) -> list[int]:
        """Kill the ``trainer``, the ``supervisor`` or ``all``; returns the processes that were."""
        return list(self._ask("POST", f"machines/{instance_id}/kill", {"who": who}))

    def freeze(self, instance_id: str, who: str = "all") -> list[int]:
        """Stop processes without ending them."""
        return list(self._ask("POST", f"machines/{instance_id}/freeze", {"who": who}))

    def cut_s3(self, seconds: float, *, who: str = "machines", silent: bool = False) -> None:
        """Let ``machines`` or ``launchers`` reach no bucket for so long; ``silent``: without an answer at all."""
        self._ask("POST", "gates", {"who": who, "seconds": seconds, "silent": silent})

    def _ask(self, method: str, path: str, content: dict[str, Any] | None = None) -> Any:
        data = None if content is None else json.dumps(content).encode()
        request = urllib.request.Request(f"{self.url}/_{path}", data=data, method=method)
        try:
            with self._opener.open(request, timeout=ANSWER_SECONDS) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            raise ValueError(f"{method} {path}: {error.read().decode()}") from error


@contextmanager
def simulated_ec2(
    folder: Path,
    *,
    s3_url: str | None = None,
    timing: dict[str, float] | None = None,
    settings: dict[str, Any] | None = None,
    machine_environment: dict[str, str] | None = None,
) -> Iterator[RemoteEc2]:
    """Run one in a process of its own; it ends with the context, or with this process."""
    command = [str(PYTHON), "-m", "local_stack.ec2", "--folder", str(folder), "--until-input-ends"]
    command += ["--s3-url", s3_url] if s3_url else []
    for name, value in (("timing", timing), ("settings", settings), ("machine-environment", machine_environment)):
        command += [f"--{name}", json.dumps(value)] if value else []
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT / "include", text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"the simulated EC2 did not start (exit {process.wait()}): {' '.join(command)}")
        yield RemoteEc2(json.loads(line))
    finally:
        process.stdin.close()
        process.wait(timeout=60)
        process.stdout.close()
