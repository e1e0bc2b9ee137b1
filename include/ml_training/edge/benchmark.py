"""Measures a converted model on a device over SSH: what a gate believes about latency, memory and parity.

    python -m ml_training.edge.benchmark --model s3://adbreak/training/RUN/int8/model.tflite --device pi5 \\
        --output s3://adbreak/training/RUN/int8/benchmarks

The model's files, its golden inputs, a small test set and the device runner are copied to a folder of their own in the
device's work folder, run there detached, and removed. A result that is there already for the same files, device, runner
and settings is returned without connecting. It says ``simulated`` unless the device itself reports the board that the
latency gate names.
"""

import argparse
import json
import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from pydantic import ValidationError

from ml_training.cloud import storage
from ml_training.config.schema import GatesSection
from ml_training.config.settings import read_settings
from ml_training.edge.benchmark_job import Job, Outcome, job_name, pack_runner, run_job
from ml_training.edge.benchmark_records import HISTORY, BenchmarkResult, DeviceReport, ModelFiles, RunnerSettings
from ml_training.edge.devices import DeviceDescription, check_device_name, read_device
from ml_training.utils.command_line import command_parser, run_command
from ml_training.utils.errors import DeviceError, ModelError, ObjectNotFound
from ml_training.utils.hashing import sha256_bytes, short_hash

QUEUE_SECONDS = 7200.0
INSTALL_SECONDS = 900.0
COOLING_SECONDS = 180.0
OVERHEAD_SECONDS = 180.0  # imports, loading, golden inputs, test set and profile, on a slow board

logger = logging.getLogger(__name__)


class Asked(NamedTuple):
    """What a measurement was asked to be."""

    device: str  # its name
    described_board: str | None
    settings: RunnerSettings
    gate_board: str


def runner_version() -> str:
    """Return the short hash of what measures: another runner, another measurement."""
    return sha256_bytes(pack_runner())[:16]


def read_model_files(uri: str) -> ModelFiles:
    """Read the files of the model at ``uri``, their manifest and their golden inputs.

    Raises ObjectNotFound, and ModelError when the manifest is of other files or names no golden inputs.
    """
    folder = uri.rsplit("/", 1)[0] if "/" in uri else "."
    manifest = storage.read_json(storage.join(folder, "manifest.json"))
    manifest.setdefault("parts", [{"name": "model", "file": uri.rsplit("/", 1)[-1], "sha256": manifest.get("sha256")}])
    contents = {"manifest.json": json.dumps(manifest).encode()}
    for part in manifest["parts"]:
        contents[part["file"]] = storage.read_bytes(storage.join(folder, part["file"]))
        if sha256_bytes(contents[part["file"]]) != part["sha256"]:
            raise ModelError(f"the manifest beside {uri} is of another file: convert the model again", uri=uri)
    golden = manifest.get("golden", {}).get("inputs")
    if not golden:
        raise ModelError(f"the manifest beside {uri} names no golden inputs: convert the model again", uri=uri)
    contents["golden.npz"] = storage.read_bytes(storage.join(folder, golden))
    return ModelFiles(
        uri=uri,
        sha256=manifest["sha256"],
        model_name=manifest.get("model_name", "unnamed"),
        contents=contents,
        hashes={name: sha256_bytes(content) for name, content in contents.items()},
        runtime=manifest.get("runtime", "ai-edge-litert"),
        dataset_id=manifest.get("dataset_id"),
    )


def run_on_device(
    device: DeviceDescription,
    files: ModelFiles,
    settings: RunnerSettings,
    *,
    install: str = "when-missing",
    queue_seconds: float = QUEUE_SECONDS,
    wait_seconds: float | None = None,
) -> Outcome:
    """Measure on ``device``; an outcome without an answer when it is not done after ``wait_seconds``.

    Raises DeviceError, and ModelError when the device's runtime refuses the model or its golden inputs.
    """
    limit = 2 * settings.expected_seconds() + COOLING_SECONDS + OVERHEAD_SECONDS + INSTALL_SECONDS
    lasting = -1.0 if settings.sustained_seconds is None else settings.sustained_seconds
    package, _, version = files.runtime.partition(" ")
    options = [
        *("--threads", *(str(count) for count in settings.threads)),
        *("--runs", str(settings.runs), "--warmup", str(settings.warmup), "--seconds", f"{settings.seconds:g}"),
        *("--sustained-seconds", f"{lasting:g}", "--cooling-seconds", f"{COOLING_SECONDS:g}"),
        *("--deadline", str(int(limit)), "--install", install),
        *("--environment", f"{device.work_dir.rstrip('/')}/environment-{version or 'newest'}"),
        *("--packages", "numpy", f"{package}=={version}" if version else package),
    ]
    job = Job(
        name=job_name(f"{content_of(files, settings)} {install}"),
        contents=dict(files.contents),
        options=options,
        limit_seconds=limit,
        expected_seconds=settings.expected_seconds(),
    )
    return run_job(device, job, queue_seconds=queue_seconds, wait_seconds=wait_seconds)


def content_of(files: ModelFiles, settings: RunnerSettings) -> str:
    """Return what names a measurement: the files, the runner, how much is measured.

    The test set is named by its source, for it is made only when something is measured.
    """
    return short_hash([files.hashes, files.dataset_id, runner_version(), settings.model_dump(mode="json")])


def read_answer(answer: Mapping[str, Any], device: DeviceDescription, runtime: str) -> DeviceReport:
    """Turn the runner's answer into a report.

    Raises DeviceError that says what to do about the device; ModelError when its runtime refuses the model.
    """
    kind, where = answer.get("error"), device.address
    if kind is None:
        try:
            return DeviceReport.model_validate(answer)
        except ValidationError as error:
            raise DeviceError(f"{where}: the runner's answer is not what it should be: {error}") from error
    message = f"{where}: {answer.get('message')}"
    if kind in ("model_unusable", "golden_unusable"):
        raise ModelError(message)
    if kind in ("runtime_missing", "install_failed"):
        package = runtime.replace(" ", "==")
        message += f"; by hand, on the device: {device.python} -m pip install numpy {package}"
    raise DeviceError(message)


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
    install: str = "when-missing",
    queue_seconds: float = QUEUE_SECONDS,
    wait_seconds: float | None = None,
) -> dict[str, Any]:
    """Measure one model on one device, once; return the stored result, its address and whether it was reused.

    ``output_uri`` is a folder (the result is ``<device>.json`` in it) or the address of a ``.json``; without it, the
    folder is ``benchmarks/<start of the model's SHA-256>`` below ``data_dir``. When it is not done after
    ``wait_seconds``, the answer is ``{"state": "running", "look_again_in_seconds": ...}``.
    """
    settings = settings or RunnerSettings()
    check_device_name(device_name)
    files = read_model_files(model_uri)
    address = _address(output_uri or storage.join(data_dir, "benchmarks", files.sha256[:16]), device_name)
    known = None if again else _known_result(address, device_name, content_of(files, settings), gate_board)
    if known is not None:
        logger.info("%s was measured on %s already: %s", model_uri, device_name, address)
        return {**_summary(known), "benchmark_uri": address, "reused": True}
    device = read_device(device_name, device_spec)
    travelling = with_test_set(files, data_dir, settings.test_frames)
    outcome = run_on_device(
        device, travelling, settings, install=install, queue_seconds=queue_seconds, wait_seconds=wait_seconds
    )
    if outcome.answer is None:
        logger.info("%s is at work; about %.0f s are left", device_name, outcome.seconds_left)
        return {"state": "running", "device": device_name, "look_again_in_seconds": outcome.seconds_left}
    report = read_answer(outcome.answer, device, files.runtime)
    result = _result(report, files, Asked(device_name, device.board, settings, gate_board), outcome.age_seconds)
    _warn(result, files)
    return _stored(result, address, data_dir)


def with_test_set(files: ModelFiles, data_dir: str, frames: int) -> ModelFiles:
    """Return the files with a test set beside them, where the model's dataset version can be read."""
    if not frames or not files.dataset_id:
        return files
    from ml_training.edge.benchmark_test_set import make_test_set

    manifest = json.loads(files.contents["manifest.json"])
    content = make_test_set(files.contents, manifest, data_dir=data_dir, frames=frames)
    return files if content is None else files.model_copy(update={"contents": {**files.contents, "test.npz": content}})


def _result(report: DeviceReport, files: ModelFiles, asked: Asked, age_seconds: float) -> BenchmarkResult:
    first = next(iter(report.threads.values()))
    return BenchmarkResult(
        **report.model_dump(),
        **asked._asdict(),
        model_name=files.model_name,
        model_uri=files.uri,
        model_sha256=files.sha256,
        content=content_of(files, asked.settings),
        simulated=asked.gate_board.lower() not in report.board.lower(),
        latency_ms={name: getattr(first, name) for name in ("p50", "p90", "p95", "p99")},
        parts={name: part.model_dump() for name, part in first.parts.items()},
        throughput_per_second=first.throughput_per_second,
        measured_at=datetime.now(UTC) - timedelta(seconds=age_seconds),
    )


def _stored(result: BenchmarkResult, address: str, data_dir: str) -> dict[str, Any]:
    """Store the result, and a copy for the trend over versions; return its summary."""
    content = result.model_dump(mode="json")
    storage.write_json(address, content)
    name = f"{result.measured_at:%Y%m%dT%H%M%SZ}-{result.model_sha256[:16]}.json"
    storage.write_json(storage.join(data_dir, HISTORY, result.device, name), content)
    return {**_summary(result), "benchmark_uri": address, "reused": False}


def _address(output_uri: str, device_name: str) -> str:
    return output_uri if output_uri.endswith(".json") else storage.join(output_uri, f"{device_name}.json")


def _known_result(address: str, device_name: str, content: str, gate_board: str) -> BenchmarkResult | None:
    try:
        known = BenchmarkResult.model_validate(storage.read_json(address))
    except (ObjectNotFound, ValidationError):
        return None
    return known if (known.device, known.content, known.gate_board) == (device_name, content, gate_board) else None


def _summary(result: BenchmarkResult) -> dict[str, Any]:
    """Return the result without the long lists, which the stored one has."""
    content = result.model_dump(mode="json", exclude={"profile": True, "sustained": {"trace"}})
    return {**content, "state": "done"}


def _warn(result: BenchmarkResult, files: ModelFiles) -> None:
    name = result.device
    if result.described_board and result.described_board.lower() not in result.board.lower():
        logger.info("%s is described as %s and reports %s", name, result.described_board, result.board)
    if result.runtime_version != files.runtime:
        logger.warning("%s has %s, the model was made for %s", name, result.runtime_version, files.runtime)
    if result.throttled:
        reasons = ", ".join(result.throttled_reasons)
        logger.warning(
            "%s was throttled %d times (%s): its latency is not its best", name, result.measurements, reasons
        )
    for accelerator in result.accelerators:
        logger.info("%s has a %s; the model ran on the CPU", name, accelerator["name"])


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; see the module's docstring."""
    parser = command_parser("ml_training.edge.benchmark", __doc__)
    parser.add_argument("--model", required=True, help="address of a .tflite with its manifest.json and golden inputs")
    parser.add_argument("--device", required=True, help="name of a device")
    parser.add_argument("--device-spec", help="JSON that describes it; default: ADBREAK_DEVICE_<NAME>")
    parser.add_argument("--data-dir", default=read_settings().data_dir)
    parser.add_argument("--output", help="folder or .json for the result; default: benchmarks/ in the data folder")
    parser.add_argument("--gate-board", default=GatesSection().latency_board, help="a device without it is simulated")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2, 3, 4], choices=(1, 2, 3, 4))
    parser.add_argument("--runs", type=int, default=200, help="most timed inferences for each thread count")
    parser.add_argument("--warmup", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=10.0, help="for all timed inferences together")
    parser.add_argument("--sustained-seconds", type=float, help="default: 600 on a board, 10 elsewhere")
    parser.add_argument("--test-frames", type=int, default=96, help="that travel along, to be judged there; 0: none")
    parser.add_argument("--install", choices=("when-missing", "never"), default="when-missing")
    parser.add_argument("--queue-seconds", type=float, default=QUEUE_SECONDS, help="to wait for other benchmarks there")
    parser.add_argument("--wait", type=float, help="seconds after which the command ends and the runner goes on")
    parser.add_argument("--again", action="store_true", help="measure even when the result is there")
    parser.set_defaults(run=_run)
    return run_command(parser, argv)


def _run(args: argparse.Namespace) -> dict[str, Any]:
    settings = RunnerSettings(
        threads=tuple(args.threads),
        runs=args.runs,
        warmup=args.warmup,
        seconds=args.seconds,
        sustained_seconds=args.sustained_seconds,
        test_frames=args.test_frames,
    )
    return benchmark(
        model_uri=args.model,
        device_name=args.device,
        output_uri=args.output,
        data_dir=args.data_dir,
        device_spec=args.device_spec,
        settings=settings,
        gate_board=args.gate_board,
        again=args.again,
        install=args.install,
        queue_seconds=args.queue_seconds,
        wait_seconds=args.wait,
    )


if __name__ == "__main__":
    raise SystemExit(main())
