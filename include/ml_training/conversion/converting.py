"""The networks of one model become its files: which way each is quantized, and from which frames.

    job = Job(card, how, training, validation, data_dir)
    converted = convert_networks(load_parts(model_uri), job, checkpoint=...)
    converted.files[0].content, converted.heard, converted.calibration

A single-frame network of two classes learns to be int8 (``quantize_aware``); all else is quantized after training.
"""

import logging
from pathlib import Path
from typing import Any, Literal, NamedTuple

from ml_training.conversion.calibration import CalibrationSet, choose_frames
from ml_training.conversion.manifest import PartName
from ml_training.inference.description import view_of
from ml_training.inference.parts import TflitePart
from ml_training.inference.scorer import load_interpreter
from ml_training.training.model_card import ModelCard
from ml_training.training.samples import Samples
from ml_training.utils.errors import UsageError

logger = logging.getLogger(__name__)

Method = Literal["int8", "int8-ptq", "int16", "float16", "float32"]
METHODS: tuple[Method, ...] = ("int8", "int8-ptq", "int16", "float16", "float32")
Example = dict[str, Any]


class How(NamedTuple):
    """How a model is quantized."""

    quantization: str  # int8-qat, int8-ptq, int16-ptq, float16 or float32
    keep_float: tuple[str, ...] = ()  # layers

    @property
    def precision(self) -> Any:
        """What the files hold."""
        return self.quantization.split("-")[0]

    @property
    def name(self) -> str:
        """Tells it from other ways."""
        return f"{self.quantization}-mixed" if self.keep_float else self.quantization


class Job(NamedTuple):
    """What a conversion looks at besides the networks."""

    card: ModelCard
    how: How
    training: Samples
    validation: Samples
    data_dir: str


class ConvertedFile(NamedTuple):
    """One file of a converted model."""

    name: PartName
    content: bytes
    part: TflitePart
    input_names: tuple[str, ...]  # the network's, in its order

    @property
    def file(self) -> str:
        """The file's name."""
        return f"{self.name}.tflite"


class Conversion(NamedTuple):
    """The files of a model, without their metadata yet."""

    files: list[ConvertedFile]
    heard: list[Example]  # what a head sees behind the converted trunk
    calibration: CalibrationSet | None  # None: nothing was calibrated


def how_of(card: ModelCard, method: Method, keep_float: tuple[str, ...] = ()) -> How:
    """Return how a model is quantized by ``method``. Raises UsageError for layers kept in float in a float file."""
    if keep_float and method not in ("int8", "int8-ptq"):
        raise UsageError(f"--keep-float is for int8 and int8-ptq: a file of {method} has no int8 layers")
    if method in ("float16", "float32"):
        return How(method)
    if method == "int16":
        return How("int16-ptq")
    section = card.config.model
    alone = view_of(section.architecture).name == "frames" and len(section.classes) == 2
    return How("int8-qat" if alone and method == "int8" and not keep_float else "int8-ptq", keep_float)


def is_shipped(card: ModelCard, how: How) -> bool:
    """Tell whether files made this way are those that devices run, and not ones to compare with."""
    return how == how_of(card, "int8")


def convert_networks(networks: dict[str, Any], job: Job, *, checkpoint: str) -> Conversion:
    """Convert the whole network, or trunk and head. Raises UsageError for a layer that none of them has."""
    from ml_training.conversion.mixed import require_layers

    require_layers(networks.values(), job.how.keep_float)
    frames = _calibration_frames(job)
    if set(networks) == {"model"}:
        content = _picture_network(networks["model"], job, frames, checkpoint)
        return Conversion([converted("model", content, networks["model"])], [], _calibration(job, frames, []))
    trunk = converted("trunk", _picture_network(networks["trunk"], job, frames, checkpoint), networks["trunk"])
    return _with_head(networks["head"], trunk, job, frames)


def converted(name: PartName, content: bytes, network: Any) -> ConvertedFile:
    """Return the file of a network, loaded. Raises ModelError when the runtime refuses it."""
    return loaded(name, content, tuple(network.input_names))


def loaded(name: PartName, content: bytes, input_names: tuple[str, ...]) -> ConvertedFile:
    """Return a file, loaded. Raises ModelError when the runtime refuses it."""
    interpreter = load_interpreter(Path(f"{name}.tflite"), content=content)
    return ConvertedFile(name, content, TflitePart(interpreter), input_names)


def _calibration_frames(job: Job) -> Samples:
    from ml_training.conversion.post_training import TRUNK_EXAMPLES

    section, seed = job.card.config.training, job.card.config.training.seed
    aware = section.quantization.calibration_batches * section.quantization.batch_size
    count = {"int8-qat": aware, "int8-ptq": TRUNK_EXAMPLES, "int16-ptq": TRUNK_EXAMPLES}.get(job.how.quantization, 0)
    return choose_frames(job.training, count, seed=seed)


def _calibration(job: Job, frames: Samples, head: list[Any]) -> CalibrationSet | None:
    if job.how.precision.startswith("float"):
        return None
    return CalibrationSet.of(frames, dataset_id=job.card.dataset_id, seed=job.card.config.training.seed, head=head)


def _picture_network(model: Any, job: Job, frames: Samples, checkpoint: str) -> bytes:
    if job.how.quantization == "int8-qat":
        from ml_training.conversion.files import to_int8
        from ml_training.conversion.quantize_aware import quantize_aware
        from ml_training.conversion.relearning import Frames

        seen = Frames(frames, job.training, job.validation, job.data_dir)
        return to_int8(quantize_aware(model, job.card, seen, checkpoint=checkpoint))
    from ml_training.conversion.post_training import picture_examples

    examples = picture_examples(model, frames, job.data_dir) if len(frames.labels) else None
    return _network(model, job.how, examples)


def _with_head(head: Any, trunk: ConvertedFile, job: Job, frames: Samples) -> Conversion:
    from ml_training.conversion.post_training import head_examples

    heard = head_examples(job.card, trunk.part, job.training, job.data_dir)
    logger.info("the trunk has %d bytes; the head sees %d examples", len(trunk.content), len(heard.inputs))
    calibrated = not job.how.precision.startswith("float")
    content = _network(head, job.how, heard.inputs if calibrated else None)
    return Conversion([trunk, converted("head", content, head)], heard.inputs, _calibration(job, frames, heard.frames))


def _network(model: Any, how: How, examples: list[Example] | None) -> bytes:
    from ml_training.conversion.files import to_file
    from ml_training.conversion.mixed import keep_in_float

    own = [name for name in how.keep_float if name in {layer.name for layer in model.layers}]
    if own and examples is not None:
        return keep_in_float(model, examples, own)
    return to_file(model, how.precision, examples)
