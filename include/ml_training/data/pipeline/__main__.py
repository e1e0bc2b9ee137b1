"""What a training would be fed: examples, what is passed over and why, steps; with --seconds also how fast.

python -m ml_training.data.pipeline show --dataset 4be1… --data-dir s3://adbreak --view windows
python -m ml_training.data.pipeline show --dataset 4be1… --additional-data s3://adbreak/hard_examples --seconds 10
"""

import argparse
import sys
import time
from typing import Any

from ml_training.config.settings import read_settings
from ml_training.utils.command_line import command_parser, run_command
from ml_training.utils.errors import UsageError


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = command_parser("ml_training.data.pipeline", __doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    show = commands.add_parser("show", help="count the examples of a split, and measure how fast they are read")
    data_dir = read_settings().data_dir
    show.add_argument("--dataset", required=True, help="the dataset version's id")
    show.add_argument("--data-dir", default=data_dir, help=f"bucket or folder of the data (default: {data_dir})")
    show.add_argument("--split", default="train", choices=["train", "validation", "test"])
    show.add_argument("--view", default="frames", choices=["frames", "windows", "clips"])
    show.add_argument("--additional-data", help="hard examples: a folder of <device>/<date>/examples.jsonl")
    show.add_argument("--predictions", help="stored scores of a model: says how hard each example is")
    show.add_argument("--ad-share", type=float, help="share of the ads among what is drawn (default: as it is)")
    show.add_argument("--hardness-factor", type=float, default=0.0, help="weight of the hardest example, less 1")
    show.add_argument("--batch-size", type=int, default=32)
    show.add_argument("--workers", type=int, default=2, help="threads that read (default 2)")
    show.add_argument("--seconds", type=float, default=0.0, help="read batches for so long and say how fast it went")
    show.set_defaults(run=_show)
    return run_command(parser, argv)


def _show(args: argparse.Namespace) -> dict[str, Any]:
    from ml_training.data.pipeline.additional import read_additional
    from ml_training.data.pipeline.batches import Options, Pipeline
    from ml_training.data.pipeline.examples import VIEWS, join_examples
    from ml_training.data.pipeline.hardness import with_hardness
    from ml_training.data.pipeline.held_out import without_held_out
    from ml_training.data.pipeline.selection import read_examples

    if args.additional_data and args.split != "train":
        raise UsageError(f"--additional-data is for training only, received --split {args.split}")
    examples = read_examples(args.data_dir, args.dataset, args.split, view=VIEWS[args.view])
    if args.predictions:
        examples = with_hardness(examples, args.predictions)
    of_dataset = len(examples)
    if args.additional_data:
        more = without_held_out(read_additional(args.additional_data), args.data_dir, args.dataset)
        examples = join_examples(examples, more)
    options = Options(
        batch_size=args.batch_size,
        ad_share=args.ad_share,
        hardness_factor=args.hardness_factor,
        workers=args.workers,
    )
    pipeline = Pipeline(examples, options)
    return {
        "view": examples.view.name,
        "examples": len(examples),
        "ads": int((examples.labels == 1).sum()),
        "additional": len(examples) - of_dataset,
        "recordings": len(examples.recordings),
        "passed_over": dict(examples.passed_over),
        "steps_per_epoch": pipeline.steps_per_epoch,
        **(_measured(pipeline, args.seconds) if args.seconds > 0 else {}),
    }


def _measured(pipeline: Any, seconds: float) -> dict[str, Any]:
    count, drawn_ads, started = 0, 0.0, time.monotonic()
    for batch in pipeline.iterate():
        count, drawn_ads = count + len(batch.labels), drawn_ads + float(batch.labels.sum())
        if time.monotonic() - started >= seconds:
            break
    rate = count / (time.monotonic() - started)
    pictures = rate * len(pipeline.examples.view.offsets_seconds)
    return {
        "examples_per_second": round(rate, 1),
        "pictures_per_second": round(pictures, 1),
        "ads_drawn": round(drawn_ads / count, 3),
    }


if __name__ == "__main__":
    sys.exit(main())
