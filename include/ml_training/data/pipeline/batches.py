"""Batches of examples for a training: NumPy arrays, in an order that seed, epoch and step alone decide.

    pipeline = Pipeline(read_examples("s3://adbreak", dataset_id, "train"), Options(batch_size=32, ad_share=0.5))
    for batch in pipeline.iterate(start=State(epoch=3, step=120), epochs=10):
        learn(batch.images, batch.labels, batch.weights)       # uint8 [32, 224, 224, 3], float32 [32], float32 [32]
        save(batch.next_state)                                 # start here, and the same batches follow

Several machines share an epoch by ``num_shards`` and ``index``: at each step they read the parts of one batch, so that
together they see what a single machine with the whole batch sees. ``data.pipeline.tensors`` gives the same to tf.data.
"""

import functools
import os
import sys
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from ml_training.data.audio.mfcc import mfcc
from ml_training.data.audio.sound import Sound
from ml_training.data.augmentation.pictures import apply_change, draw_change
from ml_training.data.augmentation.sound import augment_sound
from ml_training.data.frames import FRAME_SIZE
from ml_training.data.pipeline.examples import PICTURE_FILE, Examples
from ml_training.data.pipeline.order import ANYWHERE, Shuffling, epoch_order, example_weights
from ml_training.data.pipeline.reading import ShardStore
from ml_training.utils.errors import DatasetUnusable, UsageError

Array = npt.NDArray[Any]

SHARDS_AT_ONCE = 64  # some 250 MB of JPEG: 16,000 frames of up to 64 recordings are mixed
SHARDS_AT_ONCE_WITH_SOUND = 12  # 8 MB of sound each besides
LOOK_AHEAD = 2  # batches a thread that are made before they are asked for
NICENESS = 10  # of the threads that make batches, more than that of the step that learns


@dataclass(frozen=True)
class Options:
    """How examples become batches.

    ``ad_share`` and ``hardness_factor`` weigh the examples (see ``order.example_weights``): by ``sampling`` they are
    drawn more often, by ``loss`` each is shown once an epoch, with its weight in the batch.
    """

    batch_size: int = 32  # of this shard
    seed: int = 1
    shuffle: bool = True
    augment: bool = True
    ad_share: float | None = None
    hardness_factor: float = 0.0
    weighting: Literal["sampling", "loss"] = "sampling"
    num_shards: int = 1
    index: int = 0
    drop_remainder: bool = True  # False: the last batch of an epoch is smaller
    mfcc_bands: Literal[32, 40] | None = None  # also give the MFCC of the sound
    picture_size: int = FRAME_SIZE  # pixels: what the network takes; smaller pictures are made and changed faster
    shards_at_once: int | None = None  # None: 64, or 12 with sound
    workers: int = 2  # threads


class State(NamedTuple):
    """Where a pipeline stands: the batch that comes next."""

    epoch: int = 0
    step: int = 0


BEGINNING = State()


class Batch(NamedTuple):
    """Examples in the order of the epoch; the first dimension of each array is theirs."""

    images: npt.NDArray[np.uint8]  # [B, S, S, 3], or [B, n, S, S, 3] for windows and clips; S is the picture_size
    labels: npt.NDArray[np.float32]  # [B], 1 ad, 0 content
    weights: npt.NDArray[np.float32]  # [B], mean 1 over an epoch
    numbers: npt.NDArray[np.int64]  # [B], which of the examples
    next_state: State
    sound: npt.NDArray[np.int16] | None = None  # [B, samples], 16 kHz
    mfcc: npt.NDArray[np.float32] | None = None  # [B, windows, coefficients]

    def inputs(self) -> dict[str, Array]:
        """Return what a model takes: ``images``, and ``sound`` and ``mfcc`` where there are any."""
        named = {"images": self.images, "sound": self.sound, "mfcc": self.mfcc}
        return {name: array for name, array in named.items() if array is not None}


class Pipeline:
    """The batches of every epoch. Raises UsageError for options that contradict each other."""

    def __init__(self, examples: Examples, options: Options) -> None:
        _check(examples, options)
        self.examples, self.options = examples, options
        weights = example_weights(
            examples.labels, examples.hardness, ad_share=options.ad_share, hardness_factor=options.hardness_factor
        )
        sampling = options.weighting == "sampling"
        self._draw_weights = weights if sampling else None
        self._loss_weights = np.ones(len(examples)) if weights is None or sampling else weights
        judged, has_sound = examples.view.judged, examples.view.sound_seconds is not None
        alone = examples.rows[:, judged] == PICTURE_FILE
        self._groups = np.where(alone, ANYWHERE, examples.file_numbers[:, judged])
        at_once = options.shards_at_once or (SHARDS_AT_ONCE_WITH_SOUND if has_sound else SHARDS_AT_ONCE)
        self._shuffling = Shuffling(options.seed, at_once)
        spare = options.workers * options.batch_size * (len(examples.view.offsets_seconds) > 1)
        kept = at_once + -(-at_once // 4)  # where two groups of shards meet, both are in use
        self._store = ShardStore(pictures=kept + spare, sounds=kept)
        self._order = functools.lru_cache(maxsize=2)(self._epoch_order)

    @property
    def steps_per_epoch(self) -> int:
        """The number of batches of an epoch, the same for every epoch and every shard."""
        whole = self.options.batch_size * self.options.num_shards
        return len(self.examples) // whole if self.options.drop_remainder else -(-len(self.examples) // whole)

    def advance(self, state: State, steps: int) -> State:
        """Return the state ``steps`` batches after ``state``."""
        total = state.epoch * self.steps_per_epoch + state.step + steps
        return State(*divmod(total, self.steps_per_epoch))

    def iterate(self, start: State = BEGINNING, *, epochs: int | None = None) -> Iterator[Batch]:
        """Yield batches from ``start`` on, until ``epochs`` epochs are over in all (None: without an end).

        Batches are made ahead by threads, which end with the iterator. Raises DataError when a picture is broken.
        """
        pool = ThreadPoolExecutor(self.options.workers, thread_name_prefix="pipeline", initializer=_give_way)
        waiting: deque[Future[Batch]] = deque()
        state = start
        try:
            while True:
                while len(waiting) < LOOK_AHEAD * self.options.workers and (epochs is None or state.epoch < epochs):
                    waiting.append(pool.submit(self.batch, state))
                    state = self.advance(state, 1)
                if not waiting:
                    return
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def batch(self, state: State) -> Batch:
        """Make the one batch of a state; the same state gives the same bytes."""
        options, examples = self.options, self.examples
        if not 0 <= state.step < self.steps_per_epoch:
            raise UsageError(f"an epoch has steps 0 to {self.steps_per_epoch - 1}, received {state.step}")
        whole = options.batch_size * options.num_shards
        positions = np.arange(state.step * whole, min((state.step + 1) * whole, len(examples)))
        positions = positions[options.index :: options.num_shards]
        numbers = self._order(state.epoch)[positions]
        size = options.picture_size
        images = np.empty((len(numbers), len(examples.view.offsets_seconds), size, size, 3), np.uint8)
        sounds: list[Sound] = []
        for place, (position, number) in enumerate(zip(positions, numbers, strict=True)):
            generator = np.random.default_rng([options.seed, state.epoch, int(position)]) if options.augment else None
            self._fill(images[place], int(number), generator)
            if examples.view.sound_seconds is not None:
                sounds.append(self._sound(int(number), generator))
        return Batch(
            images=images if images.shape[1] > 1 else images[:, 0],
            labels=examples.labels[numbers].astype(np.float32),
            weights=self._loss_weights[numbers].astype(np.float32),
            numbers=numbers,
            next_state=self.advance(state, 1),
            sound=np.stack(sounds) if sounds else None,
            mfcc=np.stack([mfcc(s, options.mfcc_bands) for s in sounds]) if sounds and options.mfcc_bands else None,
        )

    def _epoch_order(self, epoch: int) -> npt.NDArray[np.int64]:
        if not self.options.shuffle:
            return np.arange(len(self.examples))
        return epoch_order(self._groups, self._draw_weights, self._shuffling, epoch=epoch)

    def _fill(self, images: npt.NDArray[np.uint8], number: int, generator: np.random.Generator | None) -> None:
        """Write the pictures of an example, all of them changed alike, into ``images`` [n, S, S, 3]."""
        examples, size = self.examples, self.options.picture_size
        change = draw_change(generator) if generator is not None else []
        for place, (file, row) in enumerate(zip(examples.file_numbers[number], examples.rows[number], strict=True)):
            picture = self._store.picture(examples.files[file], int(row), size=size, rough=generator is not None)
            images[place] = apply_change(picture, change)

    def _sound(self, number: int, generator: np.random.Generator | None) -> Sound:
        examples = self.examples
        start, end = examples.view.sound_seconds or (0.0, 0.0)
        extraction = examples.extractions[examples.recording_numbers[number]]
        begin = float(examples.pts_seconds[number]) + start
        sound = self._store.sound(examples.data_dir, extraction, begin, end - start)
        return sound if generator is None else augment_sound(sound, generator)


def _give_way() -> None:
    """Let the step that learns go first: on the same cores, batches are made in its gaps.

    A thread has a priority of its own on Linux only.
    """
    if sys.platform == "linux":
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + NICENESS)


def _check(examples: Examples, options: Options) -> None:
    if min(options.batch_size, options.num_shards, options.workers) < 1 or not 0 <= options.index < options.num_shards:
        raise UsageError(
            "batch_size, num_shards and workers must be at least 1 and index below num_shards, received "
            f"{options.batch_size}, {options.num_shards}, {options.workers} and {options.index}"
        )
    if options.mfcc_bands and examples.view.sound_seconds is None:
        raise UsageError(f"mfcc_bands needs a view with sound, received {examples.view.name}")
    if not options.shuffle and options.weighting == "sampling" and (options.ad_share or options.hardness_factor):
        raise UsageError("without shuffle nothing is drawn: give weighting='loss', or no ad_share and hardness_factor")
    if options.seed < 0 or not 32 <= options.picture_size <= FRAME_SIZE:
        raise UsageError(
            f"seed must be at least 0 and picture_size 32 to {FRAME_SIZE}, received {options.seed} and "
            f"{options.picture_size}"
        )
    needed = options.batch_size * options.num_shards if options.drop_remainder else 1
    if len(examples) < needed:
        raise DatasetUnusable(f"one step takes {needed} examples, there are {len(examples)}: take a smaller batch_size")
