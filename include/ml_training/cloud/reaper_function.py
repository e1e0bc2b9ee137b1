"""The reaper as a scheduled AWS Lambda function, for the time when Airflow is down, and the package to upload.

    python -m ml_training.cloud.reaper_function --cloud-config my/account.yaml --output reaper.zip
    # runtime python3.11, architecture x86_64, handler ml_training.cloud.reaper_function.handler

The package holds what the reaper imports: three packages of ours, the cloud's config, pydantic and PyYAML of this
environment. boto3 is in Lambda's runtime. docs/reaper.md has the commands that create function and schedule.
"""

import argparse
import platform
import sys
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from ml_training.cloud import costs
from ml_training.cloud.airflow_runs import airflow_runs
from ml_training.cloud.reaper import Alert, reap
from ml_training.config.cloud import CloudConfig, load_cloud_config
from ml_training.config.loading import config_path
from ml_training.config.settings import read_settings
from ml_training.utils.command_line import command_parser, run_command
from ml_training.utils.errors import AdbreakError, CloudError, UsageError

PACKAGE = Path(__file__).resolve().parents[1]
OURS = ("cloud", "config", "utils")
NEEDED = ("pydantic", "pydantic-core", "annotated-types", "typing-extensions", "typing-inspection", "PyYAML")
DATE = (2000, 1, 1, 0, 0, 0)  # of every file in the package: the same content makes the same package


def handler(event: Any, context: Any) -> dict[str, Any]:
    """Reap once, and judge the month. Raises CloudError when EC2 refused something, so that Lambda counts an error."""
    config = load_cloud_config()
    report = reap(config, runs=airflow_runs())
    alerts = [*report.alerts, *_month(config)]
    for alert in alerts:
        print(f"ALERT {alert.model_dump_json()}", flush=True)
    print(f"REPORT {report.model_dump_json()}", flush=True)
    if report.errors:
        raise CloudError(f"the reaper could not do everything: {'; '.join(report.errors)}")
    return {**report.model_dump(mode="json"), "alerts": [alert.model_dump(mode="json") for alert in alerts]}


def _month(config: CloudConfig) -> list[Alert]:
    root, now = read_settings().data_dir, datetime.now(UTC)
    try:
        verdict = costs.judge_month(root, costs.month_of(now), config.month_budget_usd)
        if not costs.first_to_say(root, verdict, now):
            return []
    except AdbreakError as error:  # a bucket that does not answer holds up no reaping
        print(f"the month's costs cannot be read: {error.message}", file=sys.stderr)
        return []
    return [Alert(kind="month_budget_passed", summary=verdict.summary, facts=verdict.model_dump(mode="json"))]


def package(output: Path, cloud_config: str | None = None) -> dict[str, Any]:
    """Write the zip file to upload; returns what to say when the function is created."""
    if sys.platform != "linux":
        raise UsageError("the package holds compiled code for Lambda: make it on Linux, such as in the Airflow image")
    config = config_path(cloud_config or read_settings().cloud_config, folder="cloud")
    load_cloud_config(str(config)).require_account()
    files = {**dict(_ours()), **dict(_others()), "configs/cloud/ec2_spot.yaml": config}
    output.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, DATE)
            entry.external_attr, entry.compress_type = 0o644 << 16, zipfile.ZIP_DEFLATED
            archive.writestr(entry, files[name].read_bytes())
    return {
        "package": str(output),
        "size_bytes": output.stat().st_size,
        "runtime": f"python{sys.version_info.major}.{sys.version_info.minor}",
        "architecture": {"aarch64": "arm64"}.get(platform.machine(), platform.machine()),
        "handler": "ml_training.cloud.reaper_function.handler",
    }


def _ours() -> Iterator[tuple[str, Path]]:
    yield "ml_training/__init__.py", PACKAGE / "__init__.py"
    for name in OURS:
        for path in (PACKAGE / name).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                yield f"ml_training/{path.relative_to(PACKAGE).as_posix()}", path


def _others() -> Iterator[tuple[str, Path]]:
    for name in NEEDED:
        try:
            found = distribution(name)
        except PackageNotFoundError as error:
            raise UsageError(f"{name} is missing in this environment: use that of Airflow or of the ML code") from error
        for file in found.files or []:
            if ".." not in file.parts and "__pycache__" not in file.parts:
                yield file.as_posix(), Path(str(file.locate()))


def main(argv: list[str] | None = None) -> int:
    """Run the command; see the module's docstring."""
    parser = command_parser("ml_training.cloud.reaper_function", __doc__)
    parser.add_argument("--output", type=Path, required=True, help="the zip file to write")
    parser.add_argument("--cloud-config", help="a name in configs/cloud, or a path; default: ADBREAK_CLOUD_CONFIG")
    parser.set_defaults(run=_run)
    return run_command(parser, argv)


def _run(args: argparse.Namespace) -> dict[str, Any]:
    return package(args.output, args.cloud_config)


if __name__ == "__main__":
    raise SystemExit(main())
