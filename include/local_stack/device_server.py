"""A stand-in for a Raspberry Pi: a real SSH server on loopback whose sandbox really runs the device's programs.

    python -m local_stack.device_server --folder .state/device --port 2222

It has a host key, lets in one user with one key, runs commands with bash in the sandbox folder and serves that folder
over SFTP. ``python3`` there is the stack's, with numpy and the LiteRT runtime. It is no jail: a command may leave the
folder. A command whose channel closes is ended with its whole process group, as a device does not keep working for a
caller that is gone; what the command detached (``setsid``) stays.
"""

import argparse
import asyncio
import os
import signal
import sys
from functools import partial
from pathlib import Path

import asyncssh

from local_stack.ports import HOST
from local_stack.processes import TAG_VARIABLE

USER = "pi"
BOARD = "simulated Raspberry Pi (this machine)"
PIECE_BYTES = 65536
END_SECONDS = 2.0


def make_keys(folder: Path) -> str:
    """Make the host key and the login key where they are missing; returns the host's public key in OpenSSH form."""
    for name in ("host_key", "login_key"):
        path = folder / name
        if not path.is_file():
            key = asyncssh.generate_private_key("ssh-ed25519", comment=f"adbreak local {name}")
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
                file.write(key.export_private_key())
    public = asyncssh.read_private_key(str(folder / "host_key")).export_public_key().decode()
    return " ".join(public.split()[:2])


class OneUser(asyncssh.SSHServer):
    """Lets in one user with one key, and nobody else."""

    def __init__(self, login_key: asyncssh.SSHKey) -> None:
        self._public = login_key.public_data

    def begin_auth(self, username: str) -> bool:
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return username == USER and key.public_data == self._public


async def serve(folder: Path, port: int) -> None:
    """Serve until cancelled."""
    make_keys(folder)
    home = folder / "home"
    home.mkdir(exist_ok=True)
    login_key = asyncssh.read_private_key(str(folder / "login_key"))
    server = await asyncssh.listen(
        HOST,
        port,
        server_factory=partial(OneUser, login_key),
        server_host_keys=[str(folder / "host_key")],
        process_factory=partial(run_command, home),
        sftp_factory=partial(asyncssh.SFTPServer, chroot=str(home).encode()),
        encoding=None,
    )
    print(f"{BOARD}: listening on {HOST}:{port}", flush=True)
    await server.wait_closed()


async def run_command(home: Path, process: "asyncssh.SSHServerProcess[bytes]") -> None:
    """Run one command of a client in the sandbox, and end its group when the client goes away first."""
    command = ["/bin/bash", "-c", process.command] if process.command else ["/bin/bash"]
    child = await asyncio.create_subprocess_exec(
        *command,
        cwd=home,
        env=environment(home),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    print(f"command {child.pid}: {process.command!r}", flush=True)
    assert child.stdout is not None
    assert child.stderr is not None
    feeding = asyncio.create_task(_feed(process, child))
    finished = asyncio.create_task(_finish(process, child))
    gone = asyncio.create_task(process.wait_closed())
    await asyncio.wait({finished, gone}, return_when=asyncio.FIRST_COMPLETED)
    if child.returncode is None:
        await _end_group(child)
    for task in (feeding, finished, gone):
        task.cancel()
    await asyncio.gather(feeding, finished, gone, return_exceptions=True)


async def _finish(process: "asyncssh.SSHServerProcess[bytes]", child: asyncio.subprocess.Process) -> None:
    assert child.stdout is not None
    assert child.stderr is not None
    waiting = child.wait()
    pumps = asyncio.gather(_pump(child.stdout, process.stdout), _pump(child.stderr, process.stderr))
    code = await waiting
    await pumps
    if code < 0:
        process.exit_with_signal(signal.Signals(-code).name.removeprefix("SIG"))
    else:
        process.exit(code)


async def _pump(source: asyncio.StreamReader, target: "asyncssh.SSHWriter[bytes]") -> None:
    """Copy by hand, with back pressure: redirecting cut long downloads."""
    while piece := await source.read(PIECE_BYTES):
        target.write(piece)
        await target.drain()


async def _feed(process: "asyncssh.SSHServerProcess[bytes]", child: asyncio.subprocess.Process) -> None:
    assert child.stdin is not None
    try:
        while piece := await process.stdin.read(PIECE_BYTES):
            child.stdin.write(piece)
            await child.stdin.drain()
        child.stdin.close()
    except (asyncssh.SignalReceived, asyncssh.BreakReceived):
        await _end_group(child)
    except (BrokenPipeError, ConnectionResetError):
        return


async def _end_group(child: asyncio.subprocess.Process) -> None:
    for number, seconds in ((signal.SIGTERM, END_SECONDS), (signal.SIGKILL, END_SECONDS)):
        try:
            os.killpg(child.pid, number)
            await asyncio.wait_for(child.wait(), seconds)
        except ProcessLookupError:
            return
        except TimeoutError:
            continue


def environment(home: Path) -> dict[str, str]:
    """Return the environment of a command on the device: a short one, with the stack's ``python3`` first."""
    path = os.pathsep.join([str(Path(sys.prefix) / "bin"), "/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"])
    kept = {name: os.environ[name] for name in (TAG_VARIABLE, "TMPDIR") if name in os.environ}
    return {"HOME": str(home), "USER": USER, "LOGNAME": USER, "SHELL": "/bin/bash", "PATH": path, "LANG": "C", **kept}


def main(argv: list[str] | None = None) -> int:
    """Run the server until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="keys and the sandbox")
    parser.add_argument("--port", type=int, required=True)
    args = parser.parse_args(argv)
    asyncio.run(serve(args.folder, args.port))
    return 0


if __name__ == "__main__":
    sys.exit(main())
