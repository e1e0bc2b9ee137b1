"""What a machine is told to do at its first start: the user data of one attempt, a bash script without secrets.

    script = render("s3://adbreak/training/jobs/3f9c2d1a7b60", attempt, spec, usd_per_hour=0.39)

The values of the attempt come first, then the text of ``bootstrap.py``, then that of ``user_data.sh``: the deadline,
the fetching, the supervisor, and the shutdown on every path. docs/machine.md tells it in order.
"""

import math
import re
import shlex
from pathlib import Path

from ml_training.cloud.jobs import Attempt, JobSpec
from ml_training.utils.errors import CloudMisconfigured

HERE = Path(__file__).resolve().parent
LARGEST_BYTES = 16_384  # EC2's limit, before base64
UV_VERSION = "0.13.9"
UV_SHA256 = "d7f459fe4fd247d830351c75686d3996ace3c6f3f728eb0e85a30b7ada0cef19"  # of its wheel for x86_64, from PyPI
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
SECRET = re.compile(r"SECRET|PASSWORD|TOKEN|ACCESS_KEY|CREDENTIAL", re.IGNORECASE)
LOGIN_IN_ADDRESS = re.compile(r"://[^/@\s]*:[^/@\s]*@")


def render(job_uri: str, attempt: Attempt, spec: JobSpec, *, usd_per_hour: float | None = None) -> str:
    """Return the script for an attempt; ``usd_per_hour`` is the most that the machine may cost, for its own cap.

    Raises CloudMisconfigured when the environment of the spec holds what must not be in user data, or too much.
    """
    values = {
        "job": job_uri.rstrip("/"),
        "job_id": job_uri.rstrip("/").rsplit("/", 1)[-1],
        "attempt": attempt.number,
        "deadline": int(attempt.deadline_at.timestamp()),
        "longest": math.ceil(spec.deadline_seconds),
        "code_uri": spec.code.uri,
        "code_sha256": spec.code.sha256,
        "lock_uri": spec.lock.uri,
        "lock_sha256": spec.lock.sha256,
        "uv_sha256": UV_SHA256,
        "image": spec.image or "",
        "gpus": spec.gpus,
        "usd_per_hour": usd_per_hour or 0,
    }
    header = [f"{name}={shlex.quote(str(value))}" for name, value in values.items()]
    exports = [f"export {name}={shlex.quote(value)}" for name, value in _checked(spec.environment).items()]
    bootstrap = ["write_bootstrap() { cat <<'BOOTSTRAP'", (HERE / "bootstrap.py").read_text() + "BOOTSTRAP", "}"]
    body = (HERE / "user_data.sh").read_text()
    script = "\n".join(["#!/bin/bash", *header, *exports, *bootstrap, body])
    if len(script.encode()) > LARGEST_BYTES:
        raise CloudMisconfigured(
            f"the user data would be {len(script.encode())} bytes, EC2 takes {LARGEST_BYTES}: shorten `environment`"
        )
    return script


def _checked(environment: dict[str, str]) -> dict[str, str]:
    """Raise CloudMisconfigured for a name that a shell does not take, and for what looks like a secret."""
    for name, value in environment.items():
        if not NAME.fullmatch(name):
            raise CloudMisconfigured(f"{name!r} is no name of an environment variable")
        if SECRET.search(name) or LOGIN_IN_ADDRESS.search(value):
            raise CloudMisconfigured(
                f"{name} looks like a secret, and user data can be read by whoever may describe the machine: give the "
                "instance's role the permission instead"
            )
    return environment
