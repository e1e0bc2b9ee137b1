"""What every command of the package has in common.

A command module builds an argparse parser, hangs a function on every subcommand and hands both over:

    def main(argv: list[str] | None = None) -> int:
        parser = command_parser("ml_training.data.labels", __doc__)
        commands = parser.add_subparsers(dest="command", required=True)
        add = commands.add_parser("import", help="append labels from a file")
        add.add_argument("--labels", required=True)
        add.set_defaults(run=lambda args: import_labels(args.labels))
        return run_command(parser, argv)

The function returns a result that JSON can hold. With ``--json`` the result is the one line on standard output and
everything else goes to standard error: the form in which Airflow calls commands. With ``--spec-from-env`` the options
come from the environment variable ``ADBREAK_SPEC`` (``{"command": "import", "labels": "s3://..."}``), so that no
parameter is ever spliced into a shell line.

Exit codes: 0 done, 1 failed, 2 called wrongly, 130 interrupted, 143 terminated.
"""

import argparse
import errno
import json
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from ml_training.utils.errors import AdbreakError, UsageError
from ml_training.utils.termination import Terminated, listen_for_termination

SPEC_VARIABLE = "ADBREAK_SPEC"
TALKATIVE = ("botocore", "boto3", "urllib3")  # say with each call where credentials and addresses come from
LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"

logger = logging.getLogger(__name__)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        raise UsageError(f"{message}\n{self.format_usage().rstrip()}")


def command_parser(module: str, description: str | None) -> argparse.ArgumentParser:
    """Return the parser of ``python -m module`` with the options that every command has."""
    parser = _Parser(
        prog=f"python -m {module}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="print the result as one line of JSON, all else to stderr")
    parser.add_argument(
        "--spec-from-env", action="store_true", help=f"read the options from the environment variable {SPEC_VARIABLE}"
    )
    return parser


def spec_to_arguments(spec: Mapping[str, Any]) -> list[str]:
    """Turn ``{"command": "build", "data_dir": "x", "dry_run": true}`` into an argument list.

    ``None`` and ``False`` are left out, ``True`` is a flag, a list gives its option several values and a mapping is
    passed on as JSON.
    """
    options = dict(spec)
    command = options.pop("command", None)
    arguments = [str(command)] if command else []
    for name, value in options.items():
        option = "--" + name.replace("_", "-")
        if value is None or value is False:
            continue
        if value is True:
            arguments.append(option)
        elif isinstance(value, (list, tuple)):
            if value:
                arguments += [option, *(_spec_value(item) for item in value)]
        else:
            arguments.append(f"{option}={_spec_value(value)}")
    return arguments


def _spec_value(value: Any) -> str:
    return json.dumps(value) if isinstance(value, (dict, list)) else str(value)


def run_command(parser: argparse.ArgumentParser, argv: Sequence[str] | None = None) -> int:
    """Parse ``argv``, run what the subcommand's ``run`` default names, print its result, return the exit code."""
    listen_for_termination()
    arguments = list(sys.argv[1:] if argv is None else argv)
    as_json = "--json" in arguments
    logging.basicConfig(level=os.environ.get("ADBREAK_LOG_LEVEL", "INFO"), format=LOG_FORMAT, stream=sys.stderr)
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        args = parser.parse_args(_json_first(_with_spec(arguments)))
        result = args.run(args)
    except AdbreakError as error:
        return _say(error.message, error.exit_code)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            return _say(f"no space left on the disk that holds {error.filename or 'the working files'}: free some", 1)
        if isinstance(error, BrokenPipeError):
            return 1
        raise
    except KeyboardInterrupt:
        return _say("interrupted", 130)
    except Terminated:
        return _say("terminated", 143)
    print_result(result, as_json=as_json)
    return 0


def _json_first(arguments: list[str]) -> list[str]:
    """Let ``--json`` stand anywhere: argparse takes an option of the command only before a subcommand."""
    others = [argument for argument in arguments if argument != "--json"]
    return ["--json", *others] if len(others) < len(arguments) else arguments


def _with_spec(arguments: list[str]) -> list[str]:
    if "--spec-from-env" not in arguments:
        return arguments
    text = os.environ.get(SPEC_VARIABLE)
    if text is None:
        raise UsageError(f"--spec-from-env was given, but the environment has no {SPEC_VARIABLE}")
    try:
        spec = json.loads(text)
    except ValueError as error:
        raise UsageError(f"{SPEC_VARIABLE} is not JSON: {error}") from error
    if not isinstance(spec, dict):
        raise UsageError(f"{SPEC_VARIABLE} must be a JSON object, received {type(spec).__name__}")
    return [a for a in arguments if a != "--spec-from-env"] + spec_to_arguments(spec)


def print_result(result: Any, *, as_json: bool) -> None:
    """Print a command's result: one line of JSON, or aligned ``name: value`` lines for people."""
    if as_json:
        print(json.dumps(result), flush=True)
    elif isinstance(result, dict):
        width = max((len(str(key)) for key in result), default=0)
        for key, value in result.items():
            text = json.dumps(value) if isinstance(value, (dict, list)) else value
            print(f"{key!s:<{width}}  {text}")
    elif result is not None:
        print(result)


def _say(message: str, exit_code: int) -> int:
    print(f"error: {message}" if exit_code in (1, 2) else message, file=sys.stderr, flush=True)
    return exit_code
