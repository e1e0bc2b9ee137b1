"""Validates recordings, frames, sound, labels, dataset versions and telemetry before anything is learned from them.

    python -m ml_training.data.validation run --suite frames    --data-dir s3://adbreak
    python -m ml_training.data.validation run --suite dataset   --data-dir s3://adbreak --reference 99ab…
    python -m ml_training.data.validation run --suite telemetry --data-dir s3://adbreak --from-date 2026-01-05

What breaks a rule of its own is set aside, warnings are told, and the command fails only when training must wait. The
data docs of Great Expectations are published below validation/data_docs.
"""

import argparse
import sys
from datetime import date
from typing import Any

from ml_training.config.settings import read_settings
from ml_training.utils.command_line import command_parser, run_command
from ml_training.utils.errors import UsageError

SUITES = ("recordings", "frames", "audio", "labels", "dataset", "telemetry")
ONLY_FOR = {
    "recordings": ("recordings", "frames", "audio", "labels"),
    "dataset": ("dataset",),
    "reference": ("dataset",),
    "accept_drift": ("dataset",),
    "devices": ("telemetry",),
    "from_date": ("telemetry",),
    "to_date": ("telemetry",),
}


def _parser() -> argparse.ArgumentParser:
    data_dir = read_settings().data_dir
    parser = command_parser("ml_training.data.validation", __doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    check = commands.add_parser("run", help="run a suite")
    check.add_argument("--suite", required=True, choices=SUITES, help="what is checked")
    check.add_argument("--data-dir", default=data_dir, help=f"bucket or folder of the data (default: {data_dir})")
    check.add_argument("--recordings", nargs="+", help="only these recordings (recordings, frames, audio, labels)")
    check.add_argument("--dataset", help="the dataset version (dataset; default: the newest)")
    check.add_argument("--reference", help="the version to measure drift against: the champion's (dataset)")
    check.add_argument("--accept-drift", action="store_true", help="drift is meant: tell it, stop nothing (dataset)")
    check.add_argument("--devices", nargs="+", help="only these devices (telemetry)")
    check.add_argument("--from-date", type=_day, help="first day, YYYY-MM-DD (telemetry)")
    check.add_argument("--to-date", type=_day, help="last day, included (telemetry)")
    check.set_defaults(run=_run)
    return parser


def _day(text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError as error:
        raise UsageError(f"expected a day as 2026-01-05, received {text!r}") from error


def _run(args: argparse.Namespace) -> dict[str, Any]:
    for name, suites in ONLY_FOR.items():
        if getattr(args, name) and args.suite not in suites:
            raise UsageError(f"--{name.replace('_', '-')} is for the suite {' or '.join(suites)}, not for {args.suite}")
    from ml_training.data.validation.run import validate  # Great Expectations takes seconds to import: not for --help
    from ml_training.data.validation.scope import Scope

    scope = Scope(
        args.data_dir,
        recordings=args.recordings,
        dataset_id=args.dataset,
        reference=args.reference or None,
        accept_drift=args.accept_drift,
        devices=args.devices,
        from_date=args.from_date,
        to_date=args.to_date,
    )
    return validate(args.suite, scope)


def main(argv: list[str] | None = None) -> int:
    """Run the command."""
    return run_command(_parser(), argv)


if __name__ == "__main__":
    sys.exit(main())
