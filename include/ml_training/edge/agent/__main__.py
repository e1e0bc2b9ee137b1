"""What runs on a device: keeps its model up to date and uses it.

    python3 -m ml_training.edge.agent setup --device-id pi5-kitchen --delivery-url https://... --root root.json
    python3 -m ml_training.edge.agent check
    python3 -m ml_training.edge.agent run udp://239.0.0.1:1234

Standard library, numpy, the LiteRT runtime and the update client only; Python 3.11 or newer. Each command ends with one
line of JSON. Exit codes: 0, 1 (refused or failed; the model runs on), 2 (called wrongly), 130 and 143 (stopped).
"""

import argparse
import json
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any

from ml_training.edge.agent.clock import Clock
from ml_training.edge.agent.home import Home
from ml_training.utils.errors import AdbreakError, DeviceError

LABELS = ("ad", "content")
INTERRUPTED, CLOSED = 130, 143  # by SIGINT and SIGTERM: 128 and the signal's number, as shells have it


class _Stopped(BaseException):
    """SIGTERM arrived."""


def setup(args: argparse.Namespace, home: Home, clock: Clock) -> dict[str, Any]:
    """Write the configuration and the trusted root; what is not given stays as it was."""
    from ml_training.edge.agent.setup import set_up

    names = ("device_id", "delivery_url", "assigned", "board", "input")
    given = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    for setting in args.set or []:
        name, _, value = setting.partition("=")
        try:
            given[name] = json.loads(value)
        except ValueError:
            given[name] = value
    return set_up(home, given, args.root)


def check(args: argparse.Namespace, home: Home, clock: Clock) -> dict[str, Any]:
    """Look for updates once."""
    from ml_training.edge.agent.check import GOOD_OUTCOMES
    from ml_training.edge.agent.check import check as look

    result = look(home, clock, again=args.again, upload=not args.no_upload)
    args.exit_code = 0 if result["outcome"] in GOOD_OUTCOMES else 1
    return result


def run(args: argparse.Namespace, home: Home, clock: Clock) -> dict[str, Any]:
    """Classify."""
    from ml_training.edge.agent.run import Options, Runner

    with home.lock("run"):
        return Runner(home, clock, Options(args.output, not args.no_check)).run(args.inputs)


def status(args: argparse.Namespace, home: Home, clock: Clock) -> dict[str, Any]:
    """Say what runs and what is stored."""
    from ml_training.edge.agent.setup import describe

    return describe(home)


def rollback(args: argparse.Namespace, home: Home, clock: Clock) -> dict[str, Any]:
    """Go back to the version before."""
    from ml_training.edge.agent.safety import roll_back
    from ml_training.edge.agent.state import read_state
    from ml_training.edge.agent.store import Store

    config = home.read_config()
    store = Store(home.store, limit_bytes=config.store_bytes)
    left = read_state(home).current
    if not roll_back(home, store, config, clock, args.reason):
        raise DeviceError("there is no version before this one that is whole: nothing was changed")
    current = read_state(home).current
    return {"model": current and current.key, "refused": left and left.key, "reason": args.reason}


def correct(args: argparse.Namespace, home: Home, clock: Clock) -> dict[str, Any]:
    """Store what a viewer says."""
    from ml_training.edge.agent.setup import store_correction

    return store_correction(home, clock, (args.start, args.end), args.label, args.recording)


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(
        prog="python3 -m ml_training.edge.agent", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--home", type=Path, default=Path("~/adbreak"), help="the agent's folder (~/adbreak)")
    shared.add_argument(
        "--clock-offset", type=float, default=0.0, help="seconds beside the system's clock, to rehearse a wrong one"
    )
    commands = parser.add_subparsers(dest="command", required=True)

    def add(name: str, function: Any) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=function.__doc__, parents=[shared])
        command.set_defaults(work=function)
        return command

    _setup_options(add("setup", setup))
    checking = add("check", check)
    checking.add_argument("--again", action="store_true", help="try versions that were refused before")
    checking.add_argument("--no-upload", action="store_true", help="send nothing")
    running = add("run", run)
    running.add_argument("inputs", nargs="*", help="files, folders, or what ffmpeg can open; else config.json's input")
    running.add_argument("--output", type=Path, help="folder for the breaks (HOME/breaks)")
    running.add_argument("--no-check", action="store_true", help="do not look for updates")
    add("status", status)
    add("rollback", rollback).add_argument("--reason", default="by hand", help="what telemetry and status say of it")
    correcting = add("correct", correct)
    correcting.add_argument("--start", type=float, required=True, help="seconds from the first frame")
    correcting.add_argument("--end", type=float, required=True)
    correcting.add_argument("--label", choices=LABELS, required=True, help="what it really is")
    correcting.add_argument("--recording", help="name of the recording or of the stream's files")
    return parser.parse_args(argv)


def _setup_options(setting: argparse.ArgumentParser) -> None:
    setting.add_argument("--device-id", help="the name of this device")
    setting.add_argument("--delivery-url", help="where metadata/ and targets/ are")
    setting.add_argument("--root", type=Path, help="the delivery's root, to be trusted from now on")
    setting.add_argument("--assigned", nargs="+", help="model names, the preferred one first")
    setting.add_argument("--board", help="in place of what the kernel says")
    setting.add_argument("--input", help="what run opens")
    setting.add_argument("--set", nargs="+", metavar="NAME=VALUE", help="any other field of config.json")


def main(argv: list[str] | None = None) -> int:
    """Run a command, print its result as one line of JSON."""
    args = parse_arguments(argv)
    args.exit_code = 0
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # more threads only cost memory here

    def stop(number: int, frame: Any) -> None:
        raise _Stopped

    signal.signal(signal.SIGTERM, stop)
    try:
        result = args.work(args, Home(args.home.expanduser().absolute()), Clock(args.clock_offset))
    except (AdbreakError, OSError) as error:  # a disk that is full or not to be written is the user's to mend
        print(json.dumps({"error": type(error).__name__, "message": str(error)}), flush=True)
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code if isinstance(error, AdbreakError) else 1
    except KeyboardInterrupt:
        return INTERRUPTED
    except _Stopped:
        return CLOSED
    print(json.dumps(result), flush=True)
    return int(args.exit_code)


if __name__ == "__main__":
    sys.exit(main())
