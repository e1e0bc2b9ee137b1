"""Permission for one device to send what it stored: below its own prefixes, up to a size, until a time.

    python -m ml_training.edge.delivery.grants --device pi5 --hours 168 --push
    python -m ml_training.edge.delivery.grants --device pi5 --output uploads.json

A grant is a presigned POST policy of S3: a device sends a form with these fields and a file, and the bucket refuses any
key outside of the prefix and any file above the size. The device holds no other credentials.
"""

import argparse
import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ml_training.cloud import storage
from ml_training.cloud.presigned import presign_post
from ml_training.config.settings import read_settings
from ml_training.edge.devices import check_device_name, read_device
from ml_training.edge.ssh import Deadline, connect
from ml_training.utils.command_line import command_parser, run_command
from ml_training.utils.errors import UsageError

LONGEST_HOURS = 168  # what S3 accepts of a signature
LARGEST_BYTES = {"telemetry": 4 << 20, "hard_examples": 64 << 20}
FILE_NAME = "uploads.json"
PUSH_SECONDS = 60
HOME = re.compile(r"[\w./-]+")


def upload_grants(root: str, device: str, hours: float) -> dict[str, Any]:
    """Return the document that a device's agent reads: ``expires_at``, and one grant each kind.

    Raises UsageError for a data root that is no bucket, and for more hours than S3 accepts.
    """
    check_device_name(device)
    if not storage.is_s3(root):
        raise UsageError(f"expected a bucket as the data root, received {root}: a folder takes no uploads")
    if not 0 < hours <= LONGEST_HOURS:
        raise UsageError(f"expected 0 to {LONGEST_HOURS} hours, received {hours:g}")
    bucket, _, start = root.removeprefix("s3://").partition("/")
    expires_at = datetime.now(UTC) + timedelta(hours=hours)
    grants = {}
    for kind, largest in LARGEST_BYTES.items():
        prefix = "/".join(filter(None, (start.strip("/"), kind, device))) + "/"
        policy = presign_post(bucket, prefix, seconds=int(hours * 3600), largest_bytes=largest)
        grants[kind] = {**policy, "prefix": prefix, "largest_bytes": largest}
    return {"expires_at": expires_at.isoformat(timespec="seconds"), "device": device, **grants}


def push(device: str, document: dict[str, Any], home: str) -> str:
    """Put the document into the agent's folder on the device, over SSH. Returns its place there. Raises DeviceError."""
    if not HOME.fullmatch(home):
        raise UsageError(f"expected a folder without blanks or signs, received {home!r}")
    place, deadline = f"{home.rstrip('/')}/{FILE_NAME}", Deadline(PUSH_SECONDS)
    with connect(read_device(device), deadline) as connection:
        connection.upload(json.dumps(document).encode(), place, deadline, mode=0o600)
    return place


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; see the module's docstring."""
    parser = command_parser("ml_training.edge.delivery.grants", __doc__)
    parser.add_argument("--device", required=True, help="its name; also the last part of its prefixes")
    parser.add_argument("--hours", type=float, default=LONGEST_HOURS, help=f"how long it holds; most: {LONGEST_HOURS}")
    parser.add_argument("--data-dir", default=read_settings().data_dir, help="bucket; default: the setting")
    parser.add_argument("--output", type=Path, help="write the document to this file")
    parser.add_argument("--push", action="store_true", help="write it to the agent's folder on the device")
    parser.add_argument("--home", default="adbreak", help="that folder, from the login folder or absolute")
    parser.set_defaults(run=_grant)
    return run_command(parser, list(argv) if argv is not None else None)


def _grant(args: argparse.Namespace) -> dict[str, Any]:
    if not (args.push or args.output):
        raise UsageError("expected --output FILE or --push: a grant is a secret, it is not printed")
    document = upload_grants(args.data_dir, args.device, args.hours)
    result = {"device": args.device, "expires_at": document["expires_at"]}
    result["prefixes"] = [document[kind]["prefix"] for kind in LARGEST_BYTES]
    if args.output:
        args.output.touch()
        args.output.chmod(0o600)  # also of a file that was there, before the secret is in it
        args.output.write_text(json.dumps(document))
        result["output"] = str(args.output)
    if args.push:
        result["pushed_to"] = push(args.device, document, args.home)
    return result


if __name__ == "__main__":
    raise SystemExit(main())
