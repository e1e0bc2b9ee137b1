"""Measures an int8 file on a device over SSH: what a gate believes about latency, memory and parity.

    python -m ml_training.edge.benchmark --model s3://adbreak/training/RUN/int8/model.tflite --device pi5 \\
        --output s3://adbreak/training/RUN/int8/benchmarks

The model, its golden inputs and `device_runner.py` are copied to a folder of their own in the device's work folder, run
there, and removed. A result that is there already for the same file, device, runner and settings is returned without
connecting. It says ``simulated`` unless the device itself reports the board that the latency gate names.
"""

import argparse
import json
import logging
import secrets
import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field, ValidationError

from ml_training.cloud import storage
from ml_training.config.schema import GatesSection
from ml_training.config.settings import read_settings
from ml_training.edge.devices import DeviceDescription, check_device_name, read_device
from ml_training.edge.ssh import Deadline, DeviceConnection, RemoteResult, connect
from ml_training.utils.command_line import command_parser, run_command
from ml_training.utils.errors import DeviceError, ModelError, ObjectNotFound
from ml_training.utils.hashing import sha256_bytes, short_hash
from ml_training.utils.records import Record

RUNNER = Path(__file__).with_name("device_runner.py")
CONNECT_SECONDS = 20.0
UPLOAD_SECONDS = 120.0
CLEANUP_SECONDS = 10.0
FORGOTTEN_MINUTES = 120  # what an interrupted run left behind is removed after this

logger = logging.getLogger(__name__)


class RunnerSettings(Record):
    """How long and with how many threads to measure; ``seconds`` holds for all thread counts together."""

    threads: tuple[int, ...] = (1,)
    runs: int = 200
    warmup: int = 20
    seconds: float = 10.0


class ModelFiles(Record):
    """What travels to the device, read once."""

    uri: str
    sha256: str
    model: bytes
    golden: bytes
    runtime: str


class ThreadLatency(Record):
    """Latency at one thread count, in milliseconds from a frame in memory to a score in memory."""

    p50: float
    p90: float
    p95: float
    p99: float
    runs: int
    throughput_per_second: float


class DeviceReport(Record):
    """What `device_runner.py` says; fields that only some devices know may be absent."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    board: str
    machine: str
    cpu_count: int
    python_version: str
    runtime_version: str
    load_ms: float
    first_inference_ms: float
    threads: dict[str, ThreadLatency]
    peak_memory_bytes: int
    golden_exact: bool
    golden_max_difference: float
    golden_inputs: int
    governor: str | None = None
    throttled: str | None = None
    temperature_celsius: dict[str, float | None] = Field(default_factory=dict)


class BenchmarkResult(DeviceReport):
    """The stored result; ``latency_ms`` is that of the first asked thread count."""

    version: Literal[1] = 1
    device: str
    model_uri: str
    model_sha256: str
    runner_version: str
    settings: RunnerSettings
    gate_board: str
    described_board: str | None
    simulated: bool
    latency_ms: dict[str, float]
    throughput_per_second: float
    measured_at: datetime


def runner_version() -> str:
    """Return the short hash of the file that measures: another runner, another measurement."""
    return short_hash(RUNNER.read_text())


def read_model_files(uri: str) -> ModelFiles:
    """Read the model at ``uri``, and the manifest and golden inputs beside it.

    Raises ObjectNotFound, and ModelError when the manifest is of another file or names no golden inputs.
    """
    folder = uri.rsplit("/", 1)[0] if "/" in uri else "."
    manifest = storage.read_json(storage.join(folder, "manifest.json"))
    model = storage.read_bytes(uri)
    if manifest.get("sha256") != sha256_bytes(model):
        raise ModelError(f"the manifest beside {uri} is of another file: convert the model again", uri=uri)
    golden = manifest.get("golden", {}).get("inputs")
    if not golden:
        raise ModelError(f"the manifest beside {uri} names no golden inputs: convert the model again", uri=uri)
    return ModelFiles(
        uri=uri,
        sha256=manifest["sha256"],
        model=model,
        golden=storage.read_bytes(storage.join(folder, golden)),
        runtime=manifest.get("runtime", "ai-edge-litert"),
    )


def run_on_device(device: DeviceDescription, files: ModelFiles, settings: RunnerSettings) -> DeviceReport:
    """Copy the files to ``device``, measure there, remove them. Raises DeviceError and ModelError."""
    folder = f"{device.work_dir.rstrip('/')}/benchmark-{secrets.token_hex(6)}"
    with connect(device, Deadline(CONNECT_SECONDS)) as connection:
        try:
            _prepare(connection, device, folder)
            deadline = Deadline(UPLOAD_SECONDS)
            connection.upload(files.model, f"{folder}/model.tflite", deadline)
            connection.upload(files.golden, f"{folder}/golden.npz", deadline)
            connection.upload(RUNNER.read_bytes(), f"{folder}/device_runner.py", deadline)
            seconds = settings.seconds + 60  # imports, loading and the golden inputs take up to half a minute on a Pi
            answer = connection.run(_runner_command(device, folder, settings, int(seconds)), Deadline(seconds))
        finally:
            _remove(connection, folder)
    return parse_answer(answer, device, files.runtime)


def _prepare(connection: DeviceConnection, device: DeviceDescription, folder: str) -> None:
    work_dir = shlex.quote(device.work_dir)
    forgotten = f"-maxdepth 1 -name 'benchmark-*' -mmin +{FORGOTTEN_MINUTES}"
    command = f"mkdir -p {shlex.quote(folder)} && find {work_dir} {forgotten} -exec rm -rf {{}} +"
    answer = connection.run(command, Deadline(CONNECT_SECONDS))
    if answer.exit_status != 0:
        raise DeviceError(f"{device.address}: cannot use work_dir {device.work_dir}: {answer.stderr.strip()}")


def _runner_command(device: DeviceDescription, folder: str, settings: RunnerSettings, deadline_seconds: int) -> str:
    options = [
        f"{folder}/device_runner.py", "--model", f"{folder}/model.tflite", "--golden", f"{folder}/golden.npz",
        "--runs", str(settings.runs), "--warmup", str(settings.warmup), "--seconds", str(settings.seconds),
        "--deadline", str(deadline_seconds), "--threads", *(str(count) for count in settings.threads),
    ]  # fmt: skip
    return "exec " + shlex.join([device.python, *options])


def _remove(connection: DeviceConnection, folder: str) -> None:
    try:
        connection.run(f"rm -rf {shlex.quote(folder)}", Deadline(CLEANUP_SECONDS))
    except DeviceError as error:
        logger.warning("%s stays on the device until the next run: %s", folder, error)


def parse_answer(answer: RemoteResult, device: DeviceDescription, runtime: str) -> DeviceReport:
    """Turn what the runner left into a report.

    Raises DeviceError that says what to install when Python or a package is missing, and what came otherwise;
    ModelError when the device's runtime refuses the model or its golden inputs.
    """
    where = device.address
    if answer.exit_status in (126, 127):
        raise DeviceError(f"{where} has no {device.python}: on the device, run: sudo apt install python3 python3-venv")
    try:
        content = json.loads(answer.stdout.strip().splitlines()[-1])
        if answer.exit_status == 0:
            return DeviceReport.model_validate(content)
        kind, message = content["error"], content["message"]
    except (ValueError, IndexError, KeyError, TypeError, ValidationError) as error:
        tail = " | ".join((answer.stderr.strip() or answer.stdout.strip()).splitlines()[-5:])
        raise DeviceError(
            f"{where}: expected the runner's one line of JSON, received exit code {answer.exit_status} and: {tail}"
        ) from error
    if kind == "runtime_missing":
        package = shlex.quote(runtime.replace(" ", "=="))
        install = f"{device.python} -m pip install numpy {package}"
        raise DeviceError(f"{where}: {message}: on the device, run: {install}")
    raise ModelError(f"{where}: {message}")


def benchmark(
    *,
    model_uri: str,
    device_name: str,
    output_uri: str | None = None,
    data_dir: str,
    device_spec: str | None = None,
    settings: RunnerSettings | None = None,
    gate_board: str = GatesSection().latency_board,
    again: bool = False,
) -> dict[str, Any]:
    """Measure one model file on one device, once; return the stored result, its address and whether it was reused.

    ``output_uri`` is a folder (the result is ``<device>.json`` in it) or the address of a ``.json``; without it, the
    folder is ``benchmarks/<start of the model's SHA-256>`` below ``data_dir``.
    """
    settings = settings or RunnerSettings()
    check_device_name(device_name)
    files = read_model_files(model_uri)
    folder = output_uri or storage.join(data_dir, "benchmarks", files.sha256[:16])
    address = folder if folder.endswith(".json") else storage.join(folder, f"{device_name}.json")
    known = None if again else _known_result(address, device_name, files, settings, gate_board)
    if known is not None:
        logger.info("%s was measured on %s already: %s", model_uri, device_name, address)
        return {**known.model_dump(mode="json"), "benchmark_uri": address, "reused": True}
    device = read_device(device_name, device_spec)
    report = run_on_device(device, files, settings)
    first = next(iter(report.threads.values()))
    result = BenchmarkResult(
        **report.model_dump(),
        device=device_name,
        model_uri=model_uri,
        model_sha256=files.sha256,
        runner_version=runner_version(),
        settings=settings,
        gate_board=gate_board,
        described_board=device.board,
        simulated=gate_board.lower() not in report.board.lower(),
        latency_ms={name: getattr(first, name) for name in ("p50", "p90", "p95", "p99")},
        throughput_per_second=first.throughput_per_second,
        measured_at=datetime.now(UTC),
    )
    _warn(result, files)
    storage.write_json(address, result.model_dump(mode="json"))
    return {**result.model_dump(mode="json"), "benchmark_uri": address, "reused": False}


def _known_result(
    address: str, device_name: str, files: ModelFiles, settings: RunnerSettings, gate_board: str
) -> BenchmarkResult | None:
    try:
        known = BenchmarkResult.model_validate(storage.read_json(address))
    except (ObjectNotFound, ValidationError):
        return None
    asked = (device_name, files.sha256, runner_version(), settings, gate_board)
    found = (known.device, known.model_sha256, known.runner_version, known.settings, known.gate_board)
    return known if found == asked else None


def _warn(result: BenchmarkResult, files: ModelFiles) -> None:
    if result.described_board and result.described_board.lower() not in result.board.lower():
        logger.info("%s is described as %s and reports %s", result.device, result.described_board, result.board)
    if result.runtime_version != files.runtime:
        logger.warning("%s has %s, the model was made for %s", result.device, result.runtime_version, files.runtime)
    if result.throttled not in (None, "0x0"):
        logger.warning("%s is or was throttled (%s): its latency is not its best", result.device, result.throttled)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; see the module's docstring."""
    parser = command_parser("ml_training.edge.benchmark", __doc__)
    parser.add_argument("--model", required=True, help="address of a .tflite with its manifest.json and golden inputs")
    parser.add_argument("--device", required=True, help="name of a device")
    parser.add_argument("--device-spec", help="JSON that describes it; default: ADBREAK_DEVICE_<NAME>")
    parser.add_argument("--data-dir", default=read_settings().data_dir)
    parser.add_argument("--output", help="folder or .json for the result; default: benchmarks/ in the data folder")
    parser.add_argument("--gate-board", default=GatesSection().latency_board, help="a device without it is simulated")
    parser.add_argument("--threads", type=int, nargs="+", default=[1], choices=(1, 2, 3, 4))
    parser.add_argument("--runs", type=int, default=200, help="most timed inferences for each thread count")
    parser.add_argument("--warmup", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=10.0, help="for all timed inferences together")
    parser.add_argument("--again", action="store_true", help="measure even when the result is there")
    parser.set_defaults(run=_run)
    return run_command(parser, argv)


def _run(args: argparse.Namespace) -> dict[str, Any]:
    settings = RunnerSettings(threads=tuple(args.threads), runs=args.runs, warmup=args.warmup, seconds=args.seconds)
    return benchmark(
        model_uri=args.model,
        device_name=args.device,
        output_uri=args.output,
        data_dir=args.data_dir,
        device_spec=args.device_spec,
        settings=settings,
        gate_board=args.gate_board,
        again=args.again,
    )


if __name__ == "__main__":
    raise SystemExit(main())
