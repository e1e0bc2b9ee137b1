"""What a training asks of a machine, counted before it starts: multiply-adds of the network, pictures to be made.

    config = load_config("base_model")
    work = expected_work(config, frames_of_hours(config, 200))
    seconds_on(work, "g6.xlarge", relative_speed=2.0)              # an estimate

Multiply-adds are counted over every convolution and dense layer of the networks at 224x224 and width 1 (a test counts
them again); a step that learns takes three times those of a look (forward, and two products backward). What a GPU makes
of them is published: ``PUBLISHED``. docs/costs.md does the arithmetic for 200 hours of recordings.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from ml_training.config.schema import ModelSection, TrainingConfig
from ml_training.utils.records import Record

# Of one picture of 224x224 at width 1 with a head of 256 units; then those below each stage that may learn first.
MULTIPLY_ADDS = {"efficientnet_lite0": 384_235_488, "mobilenet_v2": 299_822_208, "resnet50": 4_087_660_800}
BELOW_STAGE = {
    "efficientnet_lite0": (0, 20_873_216, 75_815_936, 113_748_992, 157_260_992, 243_268_928, 334_427_744),
    "mobilenet_v2": (0, 20_873_216, 75_815_936, 113_259_776, 151_757_312, 209_861_120, 256_421_312),
    "resnet50": (0, 118_013_952, 785_956_864, 1_813_561_344, 3_277_897_728),
}
REFERENCE = MULTIPLY_ADDS["efficientnet_lite0"]
REFERENCE_SIZE = 224
WIDTH_POWER = 1.7  # between a layer's one width and its two; the counts at half the width lie within a tenth of it
STEP = 3  # multiply-adds of a step that learns, in those of a look: forward, gradient of inputs, gradient of weights


class Published(NamedTuple):
    """Training of EfficientNet-Lite0 at 224x224 in mixed precision, and where that is written."""

    images_per_second: float
    gpu: str
    memory_gb_per_second: float
    source: str


PUBLISHED = Published(
    2079.28,
    "GeForce RTX 3090",
    936,
    "huggingface/pytorch-image-models, results/benchmark-train-amp-nhwc-pt112-cu113-rtx3090.csv, efficientnet_lite0, "
    "batch 512; read in November 2026",
)
T4_GB_PER_SECOND = 320  # depthwise networks wait for memory: a GPU is as fast as its memory
SHARE_REACHED = 0.5  # of what is published: smaller batches, augmentation, evaluation, another framework
T4_IMAGES_PER_SECOND = PUBLISHED.images_per_second * T4_GB_PER_SECOND / PUBLISHED.memory_gb_per_second * SHARE_REACHED
PICTURE_SECONDS = 0.00156  # of one core for a decoded, changed picture: docs/benchmarks.md, ``pipeline``
VCPUS_OF_A_CORE = 2


class Frames(NamedTuple):
    """Frames of a dataset version by split."""

    train: int
    validation: int


class Work(Record):
    """``steps`` are pictures that EfficientNet-Lite0 would learn from in as many multiply-adds."""

    multiply_adds: float
    steps: float
    pictures: float  # decoded, and perhaps changed, by the processor


def frames_of_hours(config: TrainingConfig, hours: float) -> Frames:
    """Return the frames that ``hours`` of recordings give at most: all of them scored."""
    frames, shares = hours * 3600 * config.data.frames_per_second, config.data.split_shares
    return Frames(round(frames * shares["train"]), round(frames * shares["validation"]))


def frames_of_card(card: Mapping[str, Any]) -> Frames:
    """Return the scored frames that the card of a dataset version counts."""
    counts = {split: card["frames"][split]["ad"] + card["frames"][split]["content"] for split in Frames._fields}
    return Frames(**counts)


def multiply_adds(model: ModelSection, *, below_stage: int | None = None) -> float:
    """Return those of one look at a picture; with ``below_stage`` only of what lies before that stage."""
    name = model.architecture if model.architecture in MULTIPLY_ADDS else model.trunk
    stages = BELOW_STAGE[name]
    whole = MULTIPLY_ADDS[name] if below_stage is None else stages[min(below_stage, len(stages)) - 1]
    return whole * (model.input_size / REFERENCE_SIZE) ** 2 * model.width**WIDTH_POWER


def expected_work(config: TrainingConfig, frames: Frames) -> Work:
    """Return what one training of a config asks for; a model that it begins with is another training."""
    is_head = config.model.is_head
    if config.training.mode == "end_to_end":
        total, pictures = _end_to_end(config, frames)
    elif is_head:
        pictures = float(frames.train * (1 + config.training.augmented_copies) + frames.validation)
        total = pictures * multiply_adds(config.model)
    else:
        total, pictures = _staged(config, frames)
    return Work(multiply_adds=total, steps=total / (STEP * REFERENCE), pictures=pictures)


def seconds_on(work: Work, instance_type: str, relative_speed: float) -> float:
    """Estimate how long a machine computes: the slower one of its GPU and its processor, which work side by side.

    ``relative_speed`` 1 is a T4's, the speed of a g4dn.xlarge.
    """
    by_gpu = work.steps / (T4_IMAGES_PER_SECOND * relative_speed)
    by_processor = work.pictures * PICTURE_SECONDS * VCPUS_OF_A_CORE / vcpus_of(instance_type)
    return max(by_gpu, by_processor)


def images_per_second(model: ModelSection, relative_speed: float) -> float:
    """Estimate how many pictures a second the network of a config learns from."""
    return T4_IMAGES_PER_SECOND * relative_speed * REFERENCE / multiply_adds(model)


def vcpus_of(instance_type: str) -> int:
    """Return the virtual processors that the size in a type's name stands for: 4 of ``xlarge``, 4 N of ``Nxlarge``."""
    size = instance_type.rpartition(".")[2]
    times = size.removesuffix("xlarge")
    if size == times or not (times.isdigit() or not times):
        return 2 if size == "large" else 4
    return 4 * int(times or 1)


def _staged(config: TrainingConfig, frames: Frames) -> tuple[float, float]:
    section = config.training.upper
    whole, below = multiply_adds(config.model), multiply_adds(config.model, below_stage=section.from_block)
    learned = frames.train * (1 + config.training.augmented_copies)
    looked_at = learned + frames.validation
    once = looked_at * whole  # the frozen layers, and the upper ones once for the features that the head learns on
    upper = section.epochs * (learned * STEP + frames.validation) * (whole - below)
    return once + upper, float(looked_at)


def _end_to_end(config: TrainingConfig, frames: Frames) -> tuple[float, float]:
    epochs, look = config.training.end_to_end.epochs, multiply_adds(config.model)
    taught = REFERENCE if config.training.teacher else 0
    total = epochs * (frames.train * (STEP * look + taught) + frames.validation * look)
    return total, float(epochs * (frames.train + frames.validation))
