"""A sheet that shows what augmentation does to pictures, to look at before training with it.

python -m ml_training.data.augmentation contact-sheet --data-dir s3://adbreak --output sheet.png
python -m ml_training.data.augmentation contact-sheet --picture one.jpg two.png --output sheet.png
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from ml_training.config.settings import read_settings
from ml_training.utils.command_line import command_parser, run_command


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = command_parser("ml_training.data.augmentation", __doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    sheet = commands.add_parser("contact-sheet", help="pictures as they are, each change alone, and whole changes")
    data_dir = read_settings().data_dir
    sheet.add_argument("--data-dir", default=data_dir, help=f"bucket or folder of the frames (default: {data_dir})")
    sheet.add_argument("--recording", nargs="+", default=[], help="draw frames of these recordings only")
    sheet.add_argument("--picture", nargs="+", type=Path, default=[], help="picture files, instead of stored frames")
    sheet.add_argument("--pictures", type=int, default=8, help="how many stored frames to draw (default 8)")
    sheet.add_argument("--seed", type=int, default=1, help="other seed, other frames and changes (default 1)")
    sheet.add_argument("--output", required=True, type=Path, help="a PNG or JPEG file")
    sheet.set_defaults(run=_contact_sheet)
    return run_command(parser, argv)


def _contact_sheet(args: argparse.Namespace) -> dict[str, Any]:
    from ml_training.data.augmentation.contact_sheet import read_picture, stored_pictures, write_contact_sheet

    pictures = (
        [read_picture(path) for path in args.picture]
        if args.picture
        else stored_pictures(args.data_dir, args.recording, max(0, args.pictures), args.seed)
    )
    return write_contact_sheet(pictures, args.output, seed=args.seed)


if __name__ == "__main__":
    sys.exit(main())
