"""A real client against the real server of the simulated device."""

import asyncio
import contextlib
import json
import os
import sys
import time
from pathlib import Path

import asyncssh
import psutil
import pytest
from local_stack.device_server import USER, make_keys, serve
from local_stack.ports import HOST, any_port


@contextlib.asynccontextmanager
async def device(folder: Path):
    """Serve ``folder``; gives what a client needs."""
    port = any_port()
    server = asyncio.create_task(serve(folder, port))
    known_hosts = folder / "known_hosts"
    known_hosts.write_text(f"[{HOST}]:{port} {make_keys(folder)}\n")
    options = {
        "host": HOST,
        "port": port,
        "username": USER,
        "client_keys": [str(folder / "login_key")],
        "known_hosts": str(known_hosts),
        "config": [],
        "agent_path": None,
    }
    for _ in range(100):
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(HOST, port)
            writer.close()
            break
        await asyncio.sleep(0.05)
    try:
        yield options
    finally:
        server.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await server


def on_device(folder, use):
    """Run ``use(options)`` against a served folder."""

    async def main():
        async with device(folder) as options:
            return await asyncio.wait_for(use(options), 30)

    return asyncio.run(main())


async def run(options, command, **more):
    async with asyncssh.connect(**options) as connection:
        return await connection.run(command, **more)


def test_a_command_runs_in_the_sandbox_with_the_devices_python(tmp_path):
    program = "import json, os, sys, numpy, ai_edge_litert; print(json.dumps([os.getcwd(), sys.prefix]))"
    result = on_device(tmp_path, lambda options: run(options, f'python3 -c "{program}"'))
    assert result.exit_status == 0, result.stderr
    assert json.loads(result.stdout) == [str(tmp_path / "home"), sys.prefix]


def test_input_output_errors_and_exit_code_come_back(tmp_path):
    result = on_device(tmp_path, lambda options: run(options, "cat; echo bad >&2; exit 3", input="hello"))
    assert (result.stdout, result.stderr, result.exit_status) == ("hello", "bad\n", 3)


def test_a_long_output_is_not_cut(tmp_path):
    async def use(options):
        return await run(options, "head -c 20000000 /dev/zero", encoding=None)

    assert len(on_device(tmp_path, use).stdout) == 20_000_000


def test_the_callers_secrets_do_not_reach_commands(tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    assert "hunter2" not in on_device(tmp_path, lambda options: run(options, "env")).stdout


def test_files_lie_below_the_same_folder_for_sftp_and_commands(tmp_path):
    content = os.urandom(3_000_000)

    async def use(options):
        async with asyncssh.connect(**options) as connection, connection.start_sftp_client() as sftp:
            await sftp.mkdir("work")
            async with sftp.open("work/model.bin", "wb") as file:
                await file.write(content)
            result = await connection.run("wc -c < work/model.bin")
            return result.stdout.strip(), await sftp.listdir("/")

    size, listing = on_device(tmp_path, use)
    assert int(size) == len(content)
    assert "work" in listing
    assert "host_key" not in listing


def test_another_host_key_is_refused_by_the_client(tmp_path):
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()

    async def use(options):
        known_hosts = tmp_path / "other_hosts"
        known_hosts.write_text(f"[{HOST}]:{options['port']} {other}\n")
        with pytest.raises(asyncssh.HostKeyNotVerifiable):
            await run({**options, "known_hosts": str(known_hosts)}, "true")

    on_device(tmp_path, use)


def test_another_login_key_and_another_user_are_refused(tmp_path):
    async def use(options):
        with pytest.raises(asyncssh.PermissionDenied):
            await run({**options, "client_keys": [asyncssh.generate_private_key("ssh-ed25519")]}, "true")
        with pytest.raises(asyncssh.PermissionDenied):
            await run({**options, "username": "root"}, "true")
        with pytest.raises(asyncssh.PermissionDenied):
            await run({**options, "client_keys": [], "password": "raspberry"}, "true")

    on_device(tmp_path, use)


def test_a_commands_whole_group_ends_when_its_client_goes_away(tmp_path):
    async def use(options):
        connection = await asyncssh.connect(**options)
        process = await connection.create_process("sleep 300 & echo $! $$; wait")
        pids = [int(pid) for pid in (await process.stdout.readline()).split()]
        assert all(psutil.pid_exists(pid) for pid in pids)
        connection.abort()
        deadline = time.monotonic() + 10
        while any(alive(pid) for pid in pids):
            assert time.monotonic() < deadline, f"still there: {pids}"
            await asyncio.sleep(0.1)

    on_device(tmp_path, use)


def alive(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_keys_are_made_once_and_readable_by_their_owner_only(tmp_path):
    assert make_keys(tmp_path) == make_keys(tmp_path)
    assert make_keys(tmp_path).startswith("ssh-ed25519 ")
    assert {path.stat().st_mode & 0o777 for path in tmp_path.glob("*_key")} == {0o600}
