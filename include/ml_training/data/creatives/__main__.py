"""The catalogue of creatives: what airs again and again, found by sound and picture, without labels.

python -m ml_training.data.creatives update --data-dir s3://adbreak
python -m ml_training.data.creatives find   --recording news-0105
python -m ml_training.data.creatives show   --creative c1f0a2b4c6d8e0f1 --sheet sheet.png
python -m ml_training.data.creatives label  --creative c1f0a2b4c6d8e0f1 --label ad --author ann
python -m ml_training.data.creatives export --output creatives.csv
"""

import argparse
import getpass
import sys
from typing import Any

from ml_training.config.settings import read_settings
from ml_training.data.creatives.labels import CREATIVE_CLASSES
from ml_training.utils.command_line import command_parser, run_command


def _parser() -> argparse.ArgumentParser:
    data_dir = read_settings().data_dir
    parser = command_parser("ml_training.data.creatives", __doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    bring = commands.add_parser("update", help="fingerprint and match what is new, write the catalogue")
    bring.add_argument("--recordings", nargs="+", help="only these (default: all whose frames are new)")
    bring.add_argument("--rebuild", action="store_true", help="make fingerprints, matches and index again")
    bring.set_defaults(run=_update)
    find = commands.add_parser("find", help="which creatives air in a recording, and where else")
    find.add_argument("--recording", required=True, help="the recording's id")
    find.add_argument("--start", type=float, default=0.0, help="only what airs after this second")
    find.add_argument("--end", type=float, help="only what airs before this second")
    find.set_defaults(run=_find)
    show = commands.add_parser("show", help="one creative with all its airings; without --creative, a summary")
    show.add_argument("--creative", help="the creative's id")
    show.add_argument("--sheet", help="write a contact sheet here (PNG or JPEG)")
    show.set_defaults(run=_show)
    say = commands.add_parser("label", help="say what a creative is: it holds for all its airings")
    say.add_argument("--creative", required=True, help="the creative's id")
    say.add_argument("--label", required=True, choices=CREATIVE_CLASSES)
    say.add_argument("--source", choices=("person", "model"), default="person")
    say.add_argument("--author", help="who says so (default: the user who runs the command)")
    say.set_defaults(run=_label)
    export = commands.add_parser("export", help="write every airing to a CSV, JSON or Parquet file")
    export.add_argument("--output", required=True, help="a path or an S3 address that ends in .csv, .json or .parquet")
    export.set_defaults(run=_export)
    for command in (bring, find, show, say, export):
        command.add_argument("--data-dir", default=data_dir, help=f"bucket or folder of the data (default: {data_dir})")
    return parser


def _update(args: argparse.Namespace) -> dict[str, Any]:
    from ml_training.data.creatives.update import update  # faiss takes a while to import: not for --help

    return update(args.data_dir, recordings=args.recordings, rebuild=args.rebuild)


def _find(args: argparse.Namespace) -> dict[str, Any]:
    from ml_training.data.creatives.queries import find

    return find(args.data_dir, args.recording, start_seconds=args.start, end_seconds=args.end)


def _show(args: argparse.Namespace) -> dict[str, Any]:
    from ml_training.data.creatives.queries import show, summary

    return show(args.data_dir, args.creative, sheet=args.sheet) if args.creative else summary(args.data_dir)


def _label(args: argparse.Namespace) -> dict[str, Any]:
    from ml_training.data.creatives.queries import label

    author = args.author or getpass.getuser()
    return label(args.data_dir, args.creative, args.label, source=args.source, author=author)


def _export(args: argparse.Namespace) -> dict[str, Any]:
    from ml_training.data.creatives.queries import export

    return export(args.data_dir, args.output)


def main(argv: list[str] | None = None) -> int:
    """Run the command."""
    return run_command(_parser(), argv)


if __name__ == "__main__":
    sys.exit(main())
