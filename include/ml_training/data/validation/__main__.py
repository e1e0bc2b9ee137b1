"""Validates frames, labels and dataset versions before anything is trained on them.

    python -m ml_training.data.validation run --suite frames  --data-dir s3://adbreak
    python -m ml_training.data.validation run --suite dataset --data-dir s3://adbreak --dataset 4be1…

Recordings that break a rule are set aside, warnings are told, and the command fails only when training must wait. The
data docs of Great Expectations are published below validation/data_docs.
"""

import argparse
import sys
from typing import Any

from ml_training.config.settings import read_settings
from ml_training.utils.command_line import command_parser, run_command

SUITES = ("frames", "labels", "dataset")


def _parser() -> argparse.ArgumentParser:
    data_dir = read_settings().data_dir
    parser = command_parser("ml_training.data.validation", __doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    check = commands.add_parser("run", help="run a suite")
    check.add_argument("--suite", required=True, choices=SUITES, help="what is checked")
    check.add_argument("--data-dir", default=data_dir, help=f"bucket or folder of the data (default: {data_dir})")
    check.add_argument("--recordings", nargs="+", help="only these recordings (suites frames and labels)")
    check.add_argument("--dataset", help="the dataset version (suite dataset; default: the newest)")
    check.set_defaults(run=_run)
    return parser


def _run(args: argparse.Namespace) -> dict[str, Any]:
    from ml_training.data.validation.run import validate  # Great Expectations takes seconds to import: not for --help

    return validate(args.suite, args.data_dir, recordings=args.recordings, dataset_id=args.dataset)


def main(argv: list[str] | None = None) -> int:
    """Run the command."""
    return run_command(_parser(), argv)


if __name__ == "__main__":
    sys.exit(main())
