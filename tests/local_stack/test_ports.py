import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from local_stack.errors import InputError
from local_stack.ports import HOST, PREFERRED, any_port, choose_ports, is_free


@pytest.fixture
def busy_port():
    with socket.socket() as server:
        server.bind((HOST, 0))
        server.listen()
        yield server.getsockname()[1]


def test_every_service_gets_a_free_port_of_its_own(place):
    ports = choose_ports(place, {})
    assert set(ports) == set(PREFERRED)
    assert len(set(ports.values())) == len(ports)
    assert all(is_free(port) for port in ports.values())


def test_ports_stay_the_same_from_night_to_night(place):
    assert choose_ports(place, {}) == choose_ports(place, {})


def test_a_remembered_port_that_is_in_use_is_replaced(place, busy_port):
    (place.state / "ports.json").write_text(f'{{"mlflow": {busy_port}}}')
    assert choose_ports(place, {})["mlflow"] != busy_port


def test_a_configured_port_is_taken(place, busy_port):
    free = choose_ports(place, {})["s3"]
    assert choose_ports(place, {"ADBREAK_PORT_AIRFLOW": str(free)})["airflow"] == free
    assert choose_ports(place, {"ADBREAK_PORT_AIRFLOW": str(free)})["s3"] != free


def test_a_configured_port_in_use_is_said_plainly(place, busy_port):
    with pytest.raises(InputError, match=f"ADBREAK_PORT_S3={busy_port}: this port of {HOST} is in use"):
        choose_ports(place, {"ADBREAK_PORT_S3": str(busy_port)})


@pytest.mark.parametrize("text", ["http", "0", "70000"])
def test_a_configured_port_must_be_a_port(place, text):
    with pytest.raises(InputError, match=f"ADBREAK_PORT_S3={text}: expected a port number"):
        choose_ports(place, {"ADBREAK_PORT_S3": text})


def test_another_stack_does_not_choose_a_port_that_nobody_listens_on_yet(place):
    port = any_port()
    program = "import sys; from local_stack.ports import reserve; sys.exit(reserve(int(sys.argv[1])))"
    other = subprocess.run(
        [sys.executable, "-c", program, str(port)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2] / "include")},
        check=False,
    )
    assert is_free(port)
    assert other.returncode == 0, "the other process could reserve it too"
