"""The simulated EC2 as a process of its own; one line of JSON says where it is, as soon as it answers.

python -m local_stack.ec2 --folder /tmp/ec2                    # its S3 is in memory
python -m local_stack.ec2 --folder /tmp/ec2 --s3-url http://127.0.0.1:4566 --port 4570
python -m local_stack.ec2 --folder /tmp/ec2 --timing '{"notice_seconds": 3}' --settings '{"heartbeat_seconds": 1}'
"""

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from local_stack.ec2.machines import Timing
from local_stack.ec2.simulation import SimulatedEc2


def main(argv: Sequence[str] | None = None) -> int:
    """Run until SIGTERM, SIGINT, or the end of standard input when ``--until-input-ends`` says so."""
    parser = argparse.ArgumentParser(
        prog="python -m local_stack.ec2", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, required=True, help="for the machines' files and the cloud's config")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (default: any)")
    parser.add_argument("--s3-url", help="the S3 server that machines use (default: this one, in memory)")
    parser.add_argument("--timing", type=json.loads, default={}, help="JSON: fields of Timing")
    parser.add_argument("--settings", type=json.loads, default={}, help="JSON: keys of the cloud's config")
    parser.add_argument("--machine-environment", type=json.loads, default={}, help="JSON: more variables on machines")
    parser.add_argument("--remove-disks", action="store_true", help="remove a machine's files with it, but its output")
    parser.add_argument("--until-input-ends", action="store_true", help="stop when standard input ends")
    args = parser.parse_args(argv)
    simulation = SimulatedEc2(
        args.folder,
        port=args.port,
        s3_url=args.s3_url,
        timing=Timing(**args.timing),
        settings=args.settings,
        machine_environment=args.machine_environment,
        keep_disks=not args.remove_disks,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    with simulation:
        print(json.dumps(simulation.facts()), flush=True)
        if args.until_input_ends:
            sys.stdin.read()
        else:
            signal.pause()
    return 0


if __name__ == "__main__":
    sys.exit(main())
