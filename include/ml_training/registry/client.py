"""The registry by hand: register a model file, fetch one, promote it, take it back, look.

    python -m ml_training.registry.client upload --model RUN/int8/model.tflite --verdicts RUN/int8/verdicts.json
    python -m ml_training.registry.client promote --name base-general --version challenger --approved-by ana
    python -m ml_training.registry.client rollback --name base-general --approved-by ana --reason "misses a jingle"
    python -m ml_training.registry.client download --name base-general --alias champion --output models/
    python -m ml_training.registry.client list

MLflow is addressed by MLFLOW_TRACKING_URI. ``--version`` takes a semantic version, MLflow's number or an alias.
"""

import argparse
import getpass
import json
from collections.abc import Sequence
from typing import Any

from ml_training.cloud import storage
from ml_training.config.settings import read_settings
from ml_training.registry import aliases, upload
from ml_training.registry.ledger import read_ledger
from ml_training.registry.server import ALIASES, RegisteredVersion, RegistryServer
from ml_training.registry.upload import other_parts
from ml_training.registry.versioning import full_name, parse_model_name
from ml_training.utils.command_line import command_parser, run_command
from ml_training.utils.errors import ModelError, ObjectNotFound, RegistryError
from ml_training.utils.hashing import sha256_bytes

COLUMNS = ("name", "semver", "version", "aliases", "accepted", "precision", "recall", "f1", "size_bytes", "created_at")


def describe(item: RegisteredVersion) -> dict[str, Any]:
    """Return one version as JSON: its names, where it stands, its figures and every other tag."""
    tags = {key: value for key, value in item.tags.items() if key not in ("semver", "sha256", "accepted", "model_uri")}
    return {
        "name": item.name,
        "version": item.version,
        "semver": item.semver,
        "full_name": full_name(item.name, item.semver) if item.semver else "",
        "aliases": list(item.aliases),
        "accepted": item.accepted,
        "sha256": item.sha256,
        "model_uri": item.model_uri,
        "created_at": item.created_at.isoformat(timespec="seconds"),
        "tags": tags,
    }


def download(server: RegistryServer, name: str, wanted: str, output: str) -> dict[str, Any]:
    """Copy a version's model, manifest and golden inputs to the folder ``output``.

    Raises RegistryError for a version that is not there or has no file, and ModelError when the stored model is not the
    one that was registered; then nothing is written.
    """
    item = server.resolve(name, wanted)
    if not item.model_uri:
        raise RegistryError(f"{name} {item.version} was not registered by this project: it names no file")
    folder = item.model_uri.rsplit("/", 1)[0]
    model_file = item.model_uri.rsplit("/", 1)[-1]
    files = {model_file: storage.read_bytes(item.model_uri)}
    received = sha256_bytes(files[model_file])
    if received != item.sha256:
        raise ModelError(f"{item.model_uri} is not what was registered: expected {item.sha256}, received {received}")
    for file_name in ("manifest.json", "golden.npz"):
        try:
            files[file_name] = storage.read_bytes(storage.join(folder, file_name))
        except ObjectNotFound:
            if file_name == "manifest.json":
                raise
    files |= other_parts(json.loads(files["manifest.json"]), folder)
    for file_name, content in files.items():
        storage.write_bytes(storage.join(output, file_name), content)
    return {**describe(item), "files": [storage.join(output, file_name) for file_name in files]}


def format_table(rows: Sequence[dict[str, Any]]) -> str:
    """Return versions as aligned columns for people."""
    table = [[column.replace("_", " ") for column in COLUMNS]]
    table += [[_cell(row, column) for column in COLUMNS] for row in rows]
    widths = [max(len(line[i]) for line in table) for i in range(len(COLUMNS))]
    return "\n".join("  ".join(f"{cell:<{w}}" for cell, w in zip(line, widths, strict=True)).rstrip() for line in table)


def _cell(row: dict[str, Any], column: str) -> str:
    value = row.get(column, row["tags"].get(column, ""))
    if column == "accepted":
        return ("yes" if value else "refused") + (" (simulated)" if row["tags"].get("simulated") else "")
    return ", ".join(value) if isinstance(value, list) else str(value)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; see the module's docstring."""
    parser = command_parser("ml_training.registry.client", __doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    _add_upload(commands)
    _add_download(commands)
    _add_moves(commands)
    listing = commands.add_parser("list", help="print the versions of one model or of all")
    listing.add_argument("--name")
    listing.set_defaults(run=_list)
    show = commands.add_parser("show", help="print one version with all that is known of it")
    show.add_argument("--name", required=True)
    show.add_argument("--version", default="candidate", help="semantic version, MLflow's number or an alias")
    show.set_defaults(run=lambda args: describe(RegistryServer.from_settings().resolve(args.name, args.version)))
    history = commands.add_parser("history", help="print the promotion ledger, oldest first")
    history.add_argument("--name")
    _add_data_dir(history)
    history.set_defaults(run=_history)
    return run_command(parser, argv)


def _add_data_dir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data-dir", default=read_settings().data_dir, help="bucket or folder; default: the setting")


def _add_upload(commands: Any) -> None:
    parser = commands.add_parser("upload", help="register a model file with its verdicts")
    parser.add_argument("--model", required=True, help="address of model.tflite with manifest.json beside it")
    parser.add_argument("--verdicts", required=True, help="address of what registry.gates wrote about it")
    parser.add_argument("--name", help="default: the manifest's model name")
    parser.add_argument("--change", choices=("major", "minor", "patch"), help="default: major or minor by the manifest")
    parser.add_argument("--mlflow-run-id", help="the run to link to; default: the manifest's")
    _add_data_dir(parser)
    parser.set_defaults(run=_upload)


def _add_download(commands: Any) -> None:
    parser = commands.add_parser("download", help="fetch a model file, checked")
    parser.add_argument("--name", required=True)
    wanted = parser.add_mutually_exclusive_group(required=True)
    wanted.add_argument("--alias", choices=ALIASES)
    wanted.add_argument("--version", help="semantic version or MLflow's number")
    parser.add_argument("--output", required=True, help="folder")
    parser.set_defaults(run=_download)


def _add_moves(commands: Any) -> None:
    promote = commands.add_parser("promote", help="make a version the champion")
    promote.add_argument("--name", required=True)
    promote.add_argument("--version", required=True, help="semantic version, MLflow's number or an alias")
    promote.add_argument("--force", metavar="REASON", help="promote although it was refused or rolled back")
    promote.set_defaults(run=_promote)
    rollback = commands.add_parser("rollback", help="make the previous version the champion again")
    rollback.add_argument("--name", required=True)
    rollback.add_argument("--reason", required=True)
    rollback.set_defaults(run=_rollback)
    for parser in (promote, rollback):
        parser.add_argument("--approved-by", default=getpass.getuser(), help="who decided; default: this user")
        _add_data_dir(parser)


def _upload(args: argparse.Namespace) -> dict[str, Any]:
    item = upload.upload(
        RegistryServer.from_settings(),
        args.data_dir,
        model_uri=args.model,
        verdicts_uri=args.verdicts,
        name=args.name,
        change=args.change,
        mlflow_run_id=args.mlflow_run_id,
    )
    return describe(item)


def _download(args: argparse.Namespace) -> dict[str, Any]:
    return download(RegistryServer.from_settings(), args.name, args.alias or args.version, args.output)


def _promote(args: argparse.Namespace) -> dict[str, Any]:
    server = RegistryServer.from_settings()
    move = aliases.promote(
        server, args.data_dir, args.name, args.version, approved_by=args.approved_by, force_reason=args.force
    )
    return _describe_move(server, move)


def _rollback(args: argparse.Namespace) -> dict[str, Any]:
    server = RegistryServer.from_settings()
    move = aliases.rollback(server, args.data_dir, args.name, approved_by=args.approved_by, reason=args.reason)
    return _describe_move(server, move)


def _describe_move(server: RegistryServer, move: aliases.Move) -> dict[str, Any]:
    champion = server.resolve(move.event.name, "champion")
    replaced = move.event.replaced.semver if move.event.replaced else None
    return {**describe(champion), "changed": move.changed, "replaced": replaced, "ledger_uri": move.ledger_uri}


def _list(args: argparse.Namespace) -> Any:
    server = RegistryServer.from_settings()
    names = [str(parse_model_name(args.name))] if args.name else server.names()
    rows = [describe(item) for name in names for item in server.versions(name)]
    if args.json:
        return {"models": rows}
    return format_table(rows) if rows else "no models are registered"


def _history(args: argparse.Namespace) -> Any:
    events = read_ledger(args.data_dir, args.name)
    if args.json:
        return {"events": [event.model_dump(mode="json") for event in events]}
    lines = [
        f"{event.created_at:%Y-%m-%d %H:%M:%S}  {event.name} {event.event} {event.model.semver}"
        f" (was {event.replaced.semver if event.replaced else 'none'}) by {event.approved_by}"
        + (f": {event.reason}" if event.reason else "")
        for event in events
    ]
    return "\n".join(lines) or "nothing was promoted yet"


if __name__ == "__main__":
    raise SystemExit(main())
