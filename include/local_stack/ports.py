"""Free ports on 127.0.0.1, remembered so that addresses stay the same from night to night.

ports = choose_ports(place)
ports["airflow"]           # 8080 where it is free; ADBREAK_PORT_AIRFLOW=9000 asks for another
"""

import fcntl
import os
import socket
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from local_stack.errors import InputError
from local_stack.workplace import Workplace, read_json, write_json

HOST = "127.0.0.1"
_reserved: dict[int, TextIO] = {}  # locks that go with this process
PREFERRED = {"airflow": 8080, "mlflow": 5050, "s3": 4566, "device": 2222, "docs": 8090, "ec2": 4570}


def choose_ports(place: Workplace, environment: Mapping[str, str] | None = None) -> dict[str, int]:
    """Return a free port for every service and remember it.

    In order: ``ADBREAK_PORT_<SERVICE>``, the port of last time, the preferred one, any. Raises InputError when a
    port that was asked for is in use or no port at all. The ports are reserved as long as this process lives: a
    service takes up to half a minute until it listens, and another stack could choose its port meanwhile.
    """
    source = os.environ if environment is None else environment
    remembered = read_json(place.state / "ports.json", {})
    chosen: dict[str, int] = {}
    for service, preferred in PREFERRED.items():
        variable = f"ADBREAK_PORT_{service.upper()}"
        if source.get(variable):
            chosen[service] = _configured(variable, source[variable])
            continue
        candidates = [port for port in (remembered.get(service), preferred) if port and port not in chosen.values()]
        chosen[service] = next((port for port in candidates if is_free(port) and reserve(port)), None) or any_port()
    write_json(place.state / "ports.json", chosen)
    return chosen


def _configured(variable: str, text: str) -> int:
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise InputError(f"{variable}={text}: expected a port number from 1 to 65535")
    if not (is_free(int(text)) and reserve(int(text))):
        raise InputError(f"{variable}={text}: this port of {HOST} is in use; choose another or stop what uses it")
    return int(text)


def is_free(port: int) -> bool:
    """Tell whether a server could listen on ``port`` now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def reserve(port: int) -> bool:
    """Keep a port from other stacks of this user until this process ends; tells whether it could be had."""
    if port in _reserved:
        return True
    folder = Path(tempfile.gettempdir(), f"adbreak-ports-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    lock = (folder / str(port)).open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return False
    _reserved[port] = lock
    return True


def any_port() -> int:
    """Return a free port of the system's choice, reserved."""
    while True:
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            port = int(probe.getsockname()[1])
        if port not in _reserved and reserve(port):
            return port
