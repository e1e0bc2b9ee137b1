"""The typed form of a training config: what a YAML file in ``include/configs`` may say.

Every field has a unit in its name or its comment. Unknown keys are refused by ``config.loading`` with the nearest
known name.
"""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ml_training.utils.records import Label


class Section(BaseModel):
    """A part of a config: frozen, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelSection(Section):
    """Which network, and what stands on it.

    ``temporal`` and ``multimodal`` are heads on the embeddings of a trunk; the others judge a single frame.
    """

    architecture: Literal["efficientnet_lite0", "mobilenet_v2", "resnet50", "temporal", "multimodal"] = (
        "efficientnet_lite0"
    )
    width: float = Field(1.0, gt=0, le=2)  # multiplies the channels of the trunk
    pretrained: Literal["imagenet"] | None = "imagenet"
    input_size: int = Field(224, ge=32, le=512)  # pixels, square
    dense_units: int = Field(256, ge=1)
    dropout: float = Field(0.3, ge=0, lt=1)
    classes: list[Label] = ["content", "ad"]  # two: one probability, of an ad; more: one for each
    trunk: Literal["efficientnet_lite0", "mobilenet_v2"] = "efficientnet_lite0"  # of temporal and multimodal
    trunk_model: str | None = None  # folder of a trained float model whose trunk it is; None: that of ``pretrained``
    sequence_units: int = Field(128, ge=1)  # of the LSTM over five frames
    mfcc_bands: Literal[32, 40] = 40  # of the sound that multimodal hears

    @property
    def is_head(self) -> bool:
        """Whether it is a head on the embeddings of a trunk, which it learns from."""
        return self.architecture in ("temporal", "multimodal")

    @model_validator(mode="after")
    def _classes_hold_an_ad(self) -> Self:
        if len(self.classes) < 2 or len(set(self.classes)) != len(self.classes) or "ad" not in self.classes:
            raise ValueError(f"classes must be two or more different labels, ad among them, received {self.classes}")
        return self


class DataSection(Section):
    """Which frames make the dataset version, and how it is split."""

    frames_per_second: float = Field(1.0, gt=0, le=60)
    label_classes: dict[Label, Literal["ad", "content", "ignore"]] = {
        "ad": "ad",
        "content": "content",
        "promo": "ignore",
        "ident": "ignore",
        "sponsor": "ignore",
        "teleshopping": "ignore",
    }
    genres: list[str] | None = None  # None: all
    channels: list[str] | None = None  # None: all
    shows: list[str] | None = None  # None: all
    split_shares: dict[Literal["train", "validation", "test"], float] = {"train": 0.7, "validation": 0.15, "test": 0.15}
    split_salt: str = "adbreak-1"
    hold_out_channels: bool = True  # whole channels go to one split, where there are enough of them

    @model_validator(mode="after")
    def _shares_sum_to_one(self) -> Self:
        total = sum(self.split_shares.values())
        if len(self.split_shares) != 3 or abs(total - 1) > 1e-6:
            raise ValueError(f"split_shares must give train, validation and test and sum to 1, received {total:g}")
        return self


class HeadStage(Section):
    """Training of the head on features computed once; of temporal and multimodal, the head on embeddings."""

    epochs: int = Field(30, ge=0)
    batch_size: int = Field(128, ge=1)
    learning_rate: float = Field(1e-3, gt=0)


class UpperStage(Section):
    """Training of the upper blocks on the activations below them, computed once."""

    from_block: int = Field(6, ge=1, le=7)  # the first stage of the trunk that learns
    epochs: int = Field(4, ge=0)
    batch_size: int = Field(32, ge=1)
    learning_rate: float = Field(3e-4, gt=0)


class EndToEndStage(Section):
    """Training of the whole network on pictures that are changed anew each time."""

    epochs: int = Field(10, ge=0)
    batch_size: int = Field(32, ge=1)  # of all GPUs and machines together
    learning_rate: float = Field(1e-3, gt=0)
    batch_norms_learn: bool | None = None  # None: where no weights are given that they could keep


class QuantizationSection(Section):
    """Quantization-aware training."""

    calibration_batches: int = Field(16, ge=1)
    range_decay: float = Field(0.8, gt=0, lt=1)
    epochs: int = Field(1, ge=0)
    batch_size: int = Field(16, ge=1)
    learning_rate: float = Field(2e-5, gt=0)
    maximum_samples: int | None = Field(None, ge=1)  # per epoch; None: all


class TeacherSection(Section):
    """Another model whose scores are learned, also on changed pictures."""

    model: str  # a float model's address, or a config, whose run on the same dataset version it is
    share: float = Field(0.7, ge=0, le=1)  # of the targets: the rest is the labels'
    embedding_weight: float = Field(1.0, ge=0)  # of the distance between embeddings, beside the loss of the scores


class TrainingSection(Section):
    """How the weights are found.

    ``staged`` computes what lies below the first learning block once: for CPUs, and where little is to be learned.
    ``end_to_end`` runs the whole network on every picture: for GPUs and small networks.
    """

    mode: Literal["staged", "end_to_end"] = "staged"
    seed: int = Field(1, ge=0)
    initial_model: str | None = None  # whose weights to begin with: a float model's address, or a config
    freeze_layers: int | None = Field(None, ge=0)  # so many first layers keep their weights; None: the stage says
    augmented_copies: int = Field(1, ge=0)  # augmented variants of each training frame, beside the frame itself
    class_weighting: bool = True  # all classes count the same, whatever their share
    label_smoothing: float = Field(0.02, ge=0, lt=0.5)
    weight_decay: float = Field(1e-4, ge=0)
    warm_up_share: float = Field(0.1, ge=0, lt=1)  # of all steps; a cosine follows
    ema_decay: float | None = Field(None, gt=0, lt=1)  # of the moving average of weights; None: the weights themselves
    early_stopping_epochs: int | None = Field(None, ge=1)  # so many without a better score end a stage
    mixed_precision: bool = True  # where there is a GPU
    checkpoint_seconds: float = Field(60.0, ge=0)  # a kill loses no more than this, or than checkpoint_steps
    checkpoint_steps: int | None = Field(None, ge=1)
    head: HeadStage = HeadStage()
    upper: UpperStage = UpperStage()
    end_to_end: EndToEndStage = EndToEndStage()
    quantization: QuantizationSection = QuantizationSection()
    teacher: TeacherSection | None = None

    @model_validator(mode="after")
    def _teachers_see_the_same_pictures(self) -> Self:
        if self.teacher and self.mode != "end_to_end":
            raise ValueError("a teacher needs mode: end_to_end, where it sees each changed picture too")
        return self


class Range(Section):
    """What ``tune`` may choose a value from: ``low`` to ``high``, or ``choices``."""

    low: float | None = None
    high: float | None = None
    log: bool = False  # small values as likely as large ones
    whole: bool = False  # whole numbers only
    choices: list[str | float | int | bool | None] | None = None

    @model_validator(mode="after")
    def _either_or(self) -> Self:
        ends = self.low is not None and self.high is not None and self.low < self.high
        if ends == (self.choices is not None) or (self.choices is not None and not self.choices):
            raise ValueError("a range has low and high, low below high, or choices")
        return self


SIZE_LIMIT_BYTES = 10_000_000  # of a model's files: no config lifts it


class GatesSection(Section):
    """Bounds that the int8 file has to keep; the figures of the design are the defaults."""

    precision: float = 0.95
    recall: float = 0.90
    f1: float = 0.92
    int8_f1_loss: float = 0.007
    slice_f1_loss: float = 0.02
    slice_recordings: int = 10  # a slice of fewer recordings never blocks
    size_bytes: int = Field(5_000_000, le=SIZE_LIMIT_BYTES)
    latency_p95_ms: float = 50.0
    latency_board: str = "Raspberry Pi 5"


class TrainingConfig(Section):
    """One family of models, from its data to its gates."""

    model_type: Literal["base", "sports", "show-specific", "network"]
    variant: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")
    model: ModelSection = ModelSection()
    data: DataSection = DataSection()
    training: TrainingSection = TrainingSection()
    gates: GatesSection = GatesSection()
    tune: dict[str, Range] = {}  # by the dotted names of values

    @property
    def model_name(self) -> str:
        """The registered model's name, such as ``base-general``."""
        return f"{self.model_type}-{self.variant}"

    @property
    def can_be_shared(self) -> bool:
        """Whether several machines can learn it together: end to end, that is, and no head on embeddings."""
        return self.training.mode == "end_to_end" and not self.model.is_head
