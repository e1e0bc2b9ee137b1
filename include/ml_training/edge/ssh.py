"""The one door to devices: SSH with a checked host key, and a deadline on every wait.

    with connect(device, Deadline(20)) as connection:
        connection.upload(model_bytes, "adbreak/run-1/model.tflite", Deadline(60))
        answer = connection.run("python3 adbreak/run-1/device_runner.py ...", Deadline(60))
        answer.exit_status, answer.stdout, answer.stderr

Whatever goes wrong is a DeviceError that says which device, what happened and what to do; a DeviceUnreachable where a
later try may find the device again.
"""

import io
import logging
import re
import shlex
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import paramiko

from ml_training.edge.devices import DeviceDescription
from ml_training.utils.errors import DeviceError, DeviceUnreachable
from ml_training.utils.hashing import sha256_bytes

POLL_SECONDS = 0.5
LONGEST_OUTPUT_BYTES = 4_000_000
PROCESS_GROUP = re.compile(rb"^process_group=(\d+)$", re.MULTILINE)

logger = logging.getLogger(__name__)
logging.getLogger("paramiko").setLevel(logging.CRITICAL)  # its failures arrive here as exceptions


class Deadline:
    """A moment after which waiting ends; made with the seconds from now."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def remaining(self) -> float:
        """Return the seconds left, never less than zero."""
        return max(0.0, self._end - time.monotonic())

    def passed(self) -> bool:
        """Tell whether the moment is over."""
        return self.remaining() == 0.0


class RemoteResult(NamedTuple):
    """What a command on a device left."""

    exit_status: int
    stdout: str
    stderr: str


class DeviceConnection:
    """An authenticated connection; made by ``connect``."""

    def __init__(self, client: paramiko.SSHClient, device: DeviceDescription) -> None:
        self._client = client
        self._device = device

    def run(self, command: str, deadline: Deadline) -> RemoteResult:
        """Run ``command`` in the login folder to its end.

        A command that writes ``process_group=N`` to its standard error has that group killed when the deadline passes
        or the caller is interrupted. Raises DeviceError at the deadline and when the connection breaks.
        """
        with self._errors(f"running {command.split()[0]}"):
            channel = self._open_channel(deadline)
            channel.exec_command(command)
            output, errors = bytearray(), bytearray()
            try:
                while not (channel.closed or (channel.exit_status_ready() and channel.eof_received)):
                    self._read(channel, output, errors, deadline)
                _drain(channel, output, errors)
            except BaseException:
                _drain(channel, output, errors)
                self._kill(errors)
                raise
            finally:
                channel.close()
        return RemoteResult(channel.recv_exit_status(), _text(output), _text(errors))

    def upload(self, data: bytes, path: str, deadline: Deadline, *, mode: int | None = None) -> None:
        """Put ``data`` at ``path``, also in place of a file: written beside, checked by its SHA-256, renamed.

        ``mode`` (such as 0o600 for a secret) is set before any content arrives. Raises DeviceError.
        """
        part = f"{path}.part"
        with self._errors(f"uploading {path}"), self._sftp(deadline) as sftp:

            def watch(done: int, total: int) -> None:
                if deadline.passed():
                    raise TimeoutError(f"{done} of {total} bytes were there after {deadline.seconds:g} s")

            if mode is not None:
                sftp.open(part, "w").close()
                sftp.chmod(part, mode)
            sftp.putfo(io.BytesIO(data), part, file_size=len(data), callback=watch)
            arrived = self.run(f"sha256sum {shlex.quote(part)}", deadline)
            if arrived.stdout.split()[:1] != [sha256_bytes(data)]:
                raise DeviceError(
                    f"{self._device.address}: {path} did not arrive as it was sent; is its disk full? "
                    f"{arrived.stderr.strip()}"
                )
            sftp.posix_rename(part, path)  # rename refuses a file that is there

    def _open_channel(self, deadline: Deadline) -> paramiko.Channel:
        transport = self._client.get_transport()
        if transport is None or not transport.is_active():
            raise DeviceUnreachable(f"the connection to {self._device.address} is gone: try again")
        return transport.open_session(timeout=max(1.0, deadline.remaining()))

    @contextmanager
    def _sftp(self, deadline: Deadline) -> Iterator[paramiko.SFTPClient]:
        channel = self._open_channel(deadline)
        channel.settimeout(max(1.0, deadline.remaining()))
        channel.invoke_subsystem("sftp")
        client = paramiko.SFTPClient(channel)
        try:
            yield client
        finally:
            client.close()

    def _read(self, channel: paramiko.Channel, output: bytearray, errors: bytearray, deadline: Deadline) -> None:
        if deadline.passed():
            raise DeviceError(f"{self._device.address} gave no result within {deadline.seconds:g} s: the run was ended")
        channel.settimeout(min(POLL_SECONDS, max(0.01, deadline.remaining())))
        try:
            received = channel.recv(65536)
            output += received
            if not received:  # the end of the output, a moment before the exit status
                time.sleep(0.02)
        except TimeoutError:
            if not self._client.get_transport().is_active():  # type: ignore[union-attr]  # it was there to open this
                where = self._device.address
                raise DeviceUnreachable(f"{where} closed the connection during the run: try again") from None
        while channel.recv_stderr_ready():
            errors += channel.recv_stderr(65536)
        if len(output) + len(errors) > LONGEST_OUTPUT_BYTES:
            raise DeviceError(f"{self._device.address} sent more than {LONGEST_OUTPUT_BYTES} bytes of output")

    def _kill(self, errors: bytearray) -> None:
        found = PROCESS_GROUP.search(bytes(errors))
        if found is None:
            return
        group = int(found.group(1))
        command = f"kill -TERM -{group}; sleep 0.5; kill -KILL -{group} 2>/dev/null; true"
        try:
            with self._open_channel(Deadline(5)) as channel:
                channel.settimeout(5)
                channel.exec_command(command)
                channel.recv(1)
        except (DeviceError, paramiko.SSHException, OSError) as error:
            logger.warning(
                "%s: process group %d was not ended (%s); its own deadline will", self._device.host, group, error
            )

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except TimeoutError as error:
            raise DeviceUnreachable(f"{self._device.address}: {what} took too long: {error}".rstrip(": ")) from error
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise DeviceUnreachable(f"{self._device.address}: {what} failed: {error}") from error


@contextmanager
def connect(device: DeviceDescription, deadline: Deadline) -> Iterator[DeviceConnection]:
    """Log in to ``device`` and leave it again.

    Raises DeviceError when the host key is another one, the login is refused, nothing answers, or the key is unusable.
    """
    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(paramiko.RejectPolicy())
    _trust_only(client, device)
    private_key = _private_key(device)
    seconds = max(1.0, deadline.remaining())
    try:
        with _connect_errors(device):
            client.connect(
                device.host, device.port, device.user, pkey=private_key, allow_agent=False, look_for_keys=False,
                timeout=seconds, banner_timeout=seconds, auth_timeout=seconds, channel_timeout=seconds,
            )  # fmt: skip
        yield DeviceConnection(client, device)
    finally:
        client.close()


def _trust_only(client: paramiko.SSHClient, device: DeviceDescription) -> None:
    name = device.host if device.port == 22 else f"[{device.host}]:{device.port}"
    try:
        entry = paramiko.hostkeys.HostKeyEntry.from_line(f"{name} {device.host_key}")
    except (paramiko.SSHException, ValueError) as error:
        raise DeviceError(f"the host_key of {device.address} cannot be read: {error}") from error
    if entry is None or entry.key is None:
        raise DeviceError(f"the host_key of {device.address} is of a kind that is not known")
    client.get_host_keys().add(name, entry.key.get_name(), entry.key)


def _private_key(device: DeviceDescription) -> paramiko.PKey:
    try:
        text = device.private_key or device.key_file.expanduser().read_text()  # type: ignore[union-attr]
    except OSError as error:
        raise DeviceError(f"the key_file of {device.address} cannot be read: {error}") from error
    text = text.strip() + "\n"
    for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
        try:
            return kind.from_private_key(io.StringIO(text))
        except paramiko.PasswordRequiredException as error:
            raise DeviceError(f"the key of {device.address} has a passphrase: expected one without") from error
        except (paramiko.SSHException, ValueError):
            continue
    raise DeviceError(f"the key of {device.address} is no private key of kind Ed25519, ECDSA or RSA")


@contextmanager
def _connect_errors(device: DeviceDescription) -> Iterator[None]:
    where = device.address
    try:
        yield
    except paramiko.BadHostKeyException as error:
        received = f"{error.key.get_name()} {error.key.get_base64()}"
        raise DeviceError(
            f"{where} has another host key than its description: expected {device.host_key}, received {received}; "
            "if the device was set up anew, put the new key into the description",
        ) from error
    except paramiko.AuthenticationException as error:
        raise DeviceError(
            f"{where} refuses the login: is the public key in ~{device.user}/.ssh/authorized_keys?"
        ) from error
    except TimeoutError as error:
        raise DeviceUnreachable(f"{where} does not answer: is it on, and in this network?") from error
    except socket.gaierror as error:
        raise DeviceError(f"{where}: the host name cannot be resolved: {error}") from error
    except paramiko.SSHException as error:
        hint = (
            " (its host key is of another kind than the description's)"
            if "not found in known_hosts" in str(error)
            else ""
        )
        raise DeviceError(f"{where}: no SSH connection: {error}{hint}") from error
    except (OSError, EOFError) as error:
        raise DeviceUnreachable(f"{where} refuses the connection: does an SSH server listen there? {error}") from error


def _drain(channel: paramiko.Channel, output: bytearray, errors: bytearray) -> None:
    while channel.recv_ready():
        output += channel.recv(65536)
    while channel.recv_stderr_ready():
        errors += channel.recv_stderr(65536)


def _text(data: bytearray) -> str:
    return data.decode(errors="replace")
