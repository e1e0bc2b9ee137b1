"""The local stack by hand.

python -m local_stack run                               # one night, then the addresses stay up until Ctrl-C
python -m local_stack run --once                        # one night, then everything stops
python -m local_stack run --compute ec2-spot            # trains on a spot machine of a simulated EC2
python -m local_stack run --recordings DIR --labels FILE
python -m local_stack airflow backfill create --help    # Airflow's own command line, on this stack
python -m local_stack stop
python -m local_stack clean
"""

import argparse
import errno
import os
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from local_stack import launcher
from local_stack.data_docs import serve_data_docs
from local_stack.errors import StackError, Stopped
from local_stack.memory import MemoryMeter
from local_stack.night import Job, Options, check_options, generate, remember, run_night, started_at
from local_stack.progress import clock, open_board
from local_stack.services import COMPUTES, LOCAL, Services
from local_stack.stack import Stack, known_services, prepare_services, start_stack
from local_stack.summary import render
from local_stack.supervisor import Supervisor, raise_on_signals
from local_stack.workplace import Workplace, write_json


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    args = _parser().parse_args(argv)
    try:
        return int(args.run(args, Workplace.from_environment()))
    except StackError as error:
        print(f"\n{'' if isinstance(error, Stopped) else 'error: '}{error}", file=sys.stderr, flush=True)
        return error.exit_code
    except OSError as error:
        if error.errno in (errno.EPIPE, errno.EIO):  # nobody reads any more: the terminal or the pipe was closed
            return 1
        if error.errno != errno.ENOSPC:
            raise
        print(f"\nerror: no space left on the disk that holds {error.filename or 'the state folder'}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m local_stack", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="start everything and do one night")
    run.add_argument("--once", action="store_true", help="stop everything after the night")
    run.add_argument("--recordings", type=Path, help="folder with recordings of yours, instead of generated ones")
    run.add_argument("--labels", type=Path, help="JSON file with the labels of these recordings")
    run.add_argument("--compute", choices=COMPUTES, default=LOCAL, help="where trainings run (default: local)")
    run.set_defaults(run=_run)
    airflow = commands.add_parser("airflow", help="run Airflow's command line on this stack", add_help=False)
    airflow.add_argument("arguments", nargs=argparse.REMAINDER)
    airflow.set_defaults(run=_airflow)
    commands.add_parser("stop", help="stop the stack that runs").set_defaults(run=lambda args, place: _stop(place))
    commands.add_parser("clean", help="remove all state").set_defaults(run=lambda args, place: _clean(place))
    return parser


def _run(args: argparse.Namespace, place: Workplace) -> int:
    setup_seconds = started_at(dict(os.environ))
    raise_on_signals()
    place.prepare()
    with launcher.only_one(place):
        job = check_options(place, Options(args.once, args.recordings, args.labels))
        if job.nothing_new:
            print("Nothing is new: these recordings and labels went through a whole night before.", flush=True)
            if args.once:
                return 0
        _work(prepare_services(place, args.compute), job, once=args.once, setup_seconds=setup_seconds or 0.0)
    return 0


def _work(services: Services, job: Job, *, once: bool, setup_seconds: float) -> None:
    """Start everything, do the night, show the summary, stay until a signal; always stop everything."""
    place = services.place
    started = time.monotonic() - setup_seconds
    with ExitStack() as exits:
        board = open_board(job.history.expected(job.pace))
        supervisor = exits.enter_context(Supervisor(place))
        exits.callback(print, "Stopping everything ...", flush=True)
        meter = exits.enter_context(MemoryMeter(place.tag))
        with board:
            board.took("set-up", setup_seconds)
            board.begin("services")
            stack = start_stack(
                supervisor,
                services,
                say=lambda line: board.detail("services", line),
                ready=lambda: board.end("services"),
                beside=lambda: generate(supervisor, services, board, job),
            )
            exits.enter_context(serve_data_docs(stack.bucket, services.ports["docs"]))
            facts = {} if job.nothing_new else run_night(stack, board, job)
        if facts:
            remember(board, job)
            write_json(place.state / "last_night.json", facts)
            seconds = time.monotonic() - started
            print(render(facts, board.durations(), meter.peak_bytes, stack.addresses(), seconds), flush=True)
        else:
            print("\n".join(f"{name}: {address}" for name, address in stack.addresses().items()), flush=True)
        if not once:
            _stay(stack)
    print(f"Everything has stopped after {clock(time.monotonic() - started)}.", flush=True)


def _stay(stack: Stack) -> None:
    """Keep watch until somebody asks for the end."""
    print("Everything stays up until Ctrl-C (or `make stop` in another terminal).", flush=True)
    try:
        while True:
            stack.supervisor.check()
            stack.supervisor.sleep(1)
    except Stopped:
        return


def _airflow(args: argparse.Namespace, place: Workplace) -> int:
    """Become the command line of Airflow, with the settings of the stack."""
    services = known_services(place)
    command = services.airflow_command(*args.arguments)
    os.execve(command[0], command, services.airflow_environment)


def _stop(place: Workplace) -> int:
    print("stopped" if launcher.stop(place) else "nothing runs")
    return 0


def _clean(place: Workplace) -> int:
    launcher.clean(place)
    return 0


if __name__ == "__main__":
    sys.exit(main())
