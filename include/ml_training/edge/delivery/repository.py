"""The repository that devices trust, by hand and from Airflow.

    python -m ml_training.edge.delivery.repository init --keys KEYS
    python -m ml_training.edge.delivery.repository follow-ledger                  # what promote_model runs
    python -m ml_training.edge.delivery.repository publish-model --name base-general --semver 1.2.0
    python -m ml_training.edge.delivery.repository publish-rollout --name base-general --challenger 1.2.0 --stage 5
    python -m ml_training.edge.delivery.repository refresh                        # from a schedule
    python -m ml_training.edge.delivery.repository rotate --role timestamp
    python -m ml_training.edge.delivery.repository verify

The data root is ADBREAK_DATA_DIR (--data-dir), the keys' folder ADBREAK_DELIVERY_KEYS (--keys). See docs/delivery.md.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ml_training.config.settings import read_settings
from ml_training.edge.delivery import roles
from ml_training.edge.delivery.keys import ROLES, KeyRing
from ml_training.edge.delivery.model_files import read_model_files
from ml_training.edge.delivery.publishing import follow_ledger, publish_model, withdraw_model
from ml_training.edge.delivery.rollout_changes import publish_rollout, remove_rollout
from ml_training.edge.delivery.state import DeliveryStore, Publisher
from ml_training.edge.delivery.verification import status, verify
from ml_training.edge.fleet.rollout import ALIASES
from ml_training.utils.command_line import command_parser, run_command
from ml_training.utils.errors import DeliveryError, UsageError

NONE = "none"
Run = Callable[[argparse.Namespace], Any]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; see the module's docstring."""
    parser = command_parser("ml_training.edge.delivery.repository", __doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    _add(commands, "init", "publish the first, empty state", lambda args: roles.initialize(_publisher(args)))
    _add_models(commands)
    _add_rollout(commands)
    _add(commands, "refresh", "sign what is to expire", lambda args: roles.refresh(_publisher(args)))
    _add_key_changes(commands)
    look = _add(commands, "verify", "check everything as a device would", _verify)
    look.add_argument("--root", type=Path, help="the root.json that devices were given; default: the first one")
    _add(commands, "status", "tell what is published, and until when it holds", _status)
    return run_command(parser, list(argv) if argv is not None else None)


def _add(commands: Any, name: str, text: str, run: Run) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text)
    parser.add_argument("--data-dir", default=read_settings().data_dir, help="bucket or folder; default: the setting")
    parser.add_argument("--keys", help="folder of the signing keys; default: ADBREAK_DELIVERY_KEYS")
    parser.add_argument("--offline", help="folder of the offline keys; default: offline below --keys")
    parser.set_defaults(run=run)
    return parser


def _add_models(commands: Any) -> None:
    follow = _add(commands, "follow-ledger", "publish the champions of the promotion ledger", _follow)
    follow.add_argument("--name", nargs="+", help="of these models; default: all")
    publish = _add(commands, "publish-model", "sign the files of one version", _publish_model)
    publish.add_argument("--force", metavar="REASON", help="sign it although its gates did not accept it")
    withdraw = _add(
        commands,
        "withdraw-model",
        "sign a version's files no longer",
        lambda args: withdraw_model(_publisher(args), args.name, args.semver),
    )
    for parser in (publish, withdraw):
        parser.add_argument("--name", required=True)
        parser.add_argument("--semver", required=True, help="semantic version, such as 1.2.0")


def _add_rollout(commands: Any) -> None:
    parser = _add(commands, "publish-rollout", "change who gets which version; what is not named stays", _rollout)
    parser.add_argument("--name", required=True)
    for option in ("--champion", "--challenger", "--previous"):
        parser.add_argument(option, metavar="SEMVER", help="a signed version, or none")
    parser.add_argument("--stage", type=float, metavar="PERCENT", help="share of devices that get the challenger")
    parser.add_argument("--holdback", type=float, metavar="PERCENT", help="share that never gets a challenger")
    parser.add_argument("--salt", help="chooses other devices for a stage; default: one for each challenger")
    parser.add_argument(
        "--pin", nargs="+", metavar="DEVICE=ALIAS", help="what a device gets anyway; DEVICE=none: unpin"
    )
    parser.add_argument(
        "--exclude", nargs="*", metavar="DEVICE", help="devices to leave as they are; replaces the list"
    )
    parser.add_argument("--boards", nargs="*", help="only boards with one of these in their name; replaces the list")
    parser.add_argument("--minimum-runtime", metavar="VERSION", help="default: what the manifests ask for; or none")
    parser.add_argument("--shadow", metavar="ALIAS=SHARE", help="judges a share of the frames besides; or none")
    parser.add_argument("--minimum-agent", type=int, help="the oldest agent that understands this")
    parser.add_argument("--remove", action="store_true", help="take this model out of the rollout")


def _add_key_changes(commands: Any) -> None:
    _add(commands, "renew-root", "sign root for another year", lambda args: roles.renew_root(_publisher(args)))
    rotate = _add(
        commands,
        "rotate",
        "put a new key in the place of another",
        lambda args: roles.rotate(_publisher(args), args.role, args.key, args.uri),
    )
    rotate.add_argument("--uri", metavar="awskms:KEY", help="the new key, where a key service holds it")
    revoke = _add(
        commands,
        "revoke",
        "take a key away without another in its place",
        lambda args: roles.revoke(_publisher(args), args.role, args.key),
    )
    for parser in (rotate, revoke):
        parser.add_argument("--role", required=True, choices=ROLES)
        parser.add_argument("--key", required=parser is revoke, help="key id or its beginning; rotate: the oldest")


def _publisher(args: argparse.Namespace) -> Publisher:
    return Publisher(DeliveryStore(args.data_dir), KeyRing.from_arguments(args.keys, args.offline))


def _follow(args: argparse.Namespace) -> dict[str, Any]:
    return follow_ledger(_publisher(args), args.data_dir, args.name)


def _publish_model(args: argparse.Namespace) -> dict[str, Any]:
    model = read_model_files(args.data_dir, args.name, args.semver, force_reason=args.force)
    return publish_model(_publisher(args), model)


def _rollout(args: argparse.Namespace) -> dict[str, Any]:
    if args.remove:
        return remove_rollout(_publisher(args), args.name)
    wishes: dict[str, Any] = {
        "stage_percent": args.stage,
        "holdback_percent": args.holdback,
        "salt": args.salt,
        "exclusions": None if args.exclude is None else tuple(args.exclude),
        "boards": None if args.boards is None else tuple(args.boards),
    }
    wishes = {key: value for key, value in wishes.items() if value is not None}
    for key in (*ALIASES, "minimum_runtime"):
        value = getattr(args, key)
        if value is not None:
            wishes[key] = None if value == NONE else value
    if args.pin:
        wishes["pins"] = dict(_pair(item, "--pin") for item in args.pin)
    if args.shadow:
        wishes["shadow"] = None if args.shadow == NONE else _shadow(args.shadow)
    return publish_rollout(_publisher(args), args.name, wishes, args.minimum_agent)


def _pair(text: str, option: str) -> tuple[str, str | None]:
    key, _, value = text.partition("=")
    if not key or value not in (*ALIASES, NONE):
        raise UsageError(f"{option}: expected NAME={'|'.join((*ALIASES, NONE))}, received {text!r}")
    return key, None if value == NONE else value


def _shadow(text: str) -> tuple[str, float]:
    alias, _, share = text.partition("=")
    try:
        return alias, float(share)
    except ValueError as error:
        raise UsageError(f"--shadow: expected ALIAS=SHARE such as challenger=0.05, received {text!r}") from error


def _verify(args: argparse.Namespace) -> dict[str, Any]:
    found = verify(DeliveryStore(args.data_dir), args.root)
    if found["problems"]:
        raise DeliveryError("devices would refuse this repository:\n" + "\n".join(found["problems"]), **found)
    return found


def _status(args: argparse.Namespace) -> Any:
    has_keys = args.keys or read_settings().delivery_keys
    ring = KeyRing.from_arguments(args.keys, args.offline) if has_keys else None
    found = status(DeliveryStore(args.data_dir), ring)
    return found if args.json else _status_text(found)


def _status_text(found: dict[str, Any]) -> str:
    lines = [f"{found['uri']}, rollout revision {found['revision']}"]
    for name, role in found["roles"].items():
        here = f", {role['keys_at_hand']} here" if "keys_at_hand" in role else ""
        holds = f"holds {role['days_left']:.1f} days" if role["days_left"] > 0 else f"EXPIRED {role['expires_at']}"
        keys = f"{role['threshold']} of {len(role['keys'])} keys must sign{here}"
        lines.append(f"{name:<10} version {role['version']:<5} {holds:<18} {keys}: {' '.join(role['keys'])}")
    for name, entry in found["models"].items():
        lines.append(f"{name:<28} " + ", ".join(f"{key} {value}" for key, value in entry.items() if value))
    return "\n".join([*lines, f"signed: {' '.join(found['signed_models']) or 'nothing yet'}"])


if __name__ == "__main__":
    raise SystemExit(main())
