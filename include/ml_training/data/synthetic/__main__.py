"""Synthetic broadcasts with exact labels, their audit, and a sheet to look at.

python -m ml_training.data.synthetic generate --output-dir data
python -m ml_training.data.synthetic audit --recordings-dir data
python -m ml_training.data.synthetic contact-sheet --recording data/recordings/.../x.ts --output sheet.png
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from ml_training.data.synthetic.ablation import ABLATIONS
from ml_training.utils.command_line import command_parser, run_command


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = command_parser("ml_training.data.synthetic", __doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    _add_generate(commands)
    audit = commands.add_parser("audit", help="how far each single cue alone separates ads from programme")
    audit.add_argument("--recordings-dir", required=True, type=Path, help="a folder that `generate` has filled")
    audit.add_argument("--bound", type=float, default=0.85, help="the largest AUC that a single cue may have")
    audit.add_argument("--deep", action="store_true", help="also all cues together, and traces of the encoder")
    audit.add_argument(
        "--model-f1", type=float, help="F1 of a model on held-out channels, which shortcuts must not near"
    )
    audit.add_argument("--workers", type=int, default=2, help="processes (default 2)")
    audit.set_defaults(run=_audit)
    sheet = commands.add_parser("contact-sheet", help="a picture every few seconds, with its time and label")
    sheet.add_argument("--recording", required=True, type=Path)
    sheet.add_argument("--output", required=True, type=Path, help="a PNG or JPEG file")
    sheet.add_argument("--every", type=float, default=5.0, help="seconds between pictures")
    sheet.set_defaults(run=_contact_sheet)
    return run_command(parser, argv)


def _add_generate(commands: Any) -> None:
    add = commands.add_parser("generate", help="make recordings, sidecars and labels.json")
    add.add_argument("--output-dir", required=True, type=Path)
    add.add_argument("--recordings", type=int, default=16, help="recordings of the night (default 16)")
    add.add_argument("--minutes", type=float, default=3.5, help="length of each (default 3.5)")
    add.add_argument("--channels", type=int, default=10, help="channels they are spread over (default 10)")
    add.add_argument("--seed", type=int, default=7, help="the world: channels, shows, brands (default 7)")
    add.add_argument(
        "--night", type=int, default=1, help="1 is 2026-01-05; later nights bring new recordings (default 1)"
    )
    add.add_argument("--media", type=Path, help="a folder of clips, pictures and sound of your own, for both classes")
    add.add_argument("--ablate", nargs="+", default=[], metavar="CUE", help=f"take a cue away: {', '.join(ABLATIONS)}")
    add.add_argument("--only", nargs="+", default=[], metavar="CHANNEL", help="make only these channels' recordings")
    add.add_argument("--workers", type=int, default=2, help="processes (default 2)")
    add.set_defaults(run=_generate)


def _generate(args: argparse.Namespace) -> dict[str, Any]:
    from ml_training.data.synthetic.generate import Request, generate

    return generate(
        Request(
            args.output_dir,
            args.recordings,
            args.minutes,
            args.channels,
            args.seed,
            args.night,
            args.workers,
            args.media,
            tuple(args.ablate),
            tuple(args.only),
        )
    )


def _audit(args: argparse.Namespace) -> dict[str, Any]:
    from ml_training.data.synthetic.audit import audit

    return audit(args.recordings_dir, bound=args.bound, deep=args.deep, model_f1=args.model_f1, workers=args.workers)


def _contact_sheet(args: argparse.Namespace) -> dict[str, Any]:
    from ml_training.data.synthetic.contact_sheet import contact_sheet

    return contact_sheet(args.recording, args.output, every_seconds=args.every)


if __name__ == "__main__":
    sys.exit(main())
