"""The sequence model: from a minute of features on either side to the odds that a second is an ad.

    model = SequenceModel.from_bytes(data)
    ads = model.ads(matrix(features))                     # float32 [T]: log odds of an ad
    ads, edges = model.log_odds(matrix(features))         # and of an item that begins or ends (``edges``)

A residual network of dilated convolutions over seconds (Bai et al., An empirical evaluation of generic convolutional
networks for sequence modeling, 2018), learned with tf_keras (``sequence_training``). What it computes is a few matrix
products, so it runs here in NumPy alone: opening a recording does not wait for TensorFlow. Several members, each
learned without some of the channels, are averaged.
"""

import io
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ml_training.detection.edges import EdgeModel
from ml_training.detection.features import WIDTH, Floats
from ml_training.utils.errors import ModelError

DILATIONS = (1, 2, 4, 8, 16, 32)  # with three taps each: 63 seconds on either side
TAPS = 3
UNITS = 32
CLIP = 5.0  # standardised values are kept within
FORMAT = 1


@dataclass(frozen=True)
class Member:
    """The weights of one network.

    ``enter`` [WIDTH, U] and its bias, for each dilation ``taps`` [3, U, U] and ``mix`` [U, U] with biases [U],
    ``leave`` [U, 1] and its bias.
    """

    enter: tuple[Floats, Floats]
    taps: list[tuple[Floats, Floats]]
    mixes: list[tuple[Floats, Floats]]
    leave: tuple[Floats, Floats]

    def run(self, inputs: Floats) -> Floats:
        """Return log odds [T] of standardised features [T, WIDTH]."""
        state = np.maximum(inputs @ self.enter[0] + self.enter[1], 0)
        for dilation, taps, mix in zip(DILATIONS, self.taps, self.mixes, strict=True):
            hidden = np.maximum(dilated(state, taps[0], dilation) + taps[1], 0)
            state = state + hidden @ mix[0] + mix[1]
        return np.asarray(np.maximum(state, 0) @ self.leave[0] + self.leave[1], np.float32)[:, 0]

    def arrays(self, prefix: str) -> dict[str, Floats]:
        """Return the weights under names of their own."""
        pairs = {"enter": self.enter, "leave": self.leave}
        pairs |= {f"taps{number}": pair for number, pair in enumerate(self.taps)}
        pairs |= {f"mix{number}": pair for number, pair in enumerate(self.mixes)}
        return {f"{prefix}.{name}.{part}": pair[i] for name, pair in pairs.items() for i, part in enumerate("wb")}

    @classmethod
    def from_arrays(cls, stored: Any, prefix: str) -> Self:
        """Read what ``arrays`` gave."""

        def pair(name: str) -> tuple[Floats, Floats]:
            return stored[f"{prefix}.{name}.w"], stored[f"{prefix}.{name}.b"]

        numbers = range(len(DILATIONS))
        return cls(
            pair("enter"), [pair(f"taps{n}") for n in numbers], [pair(f"mix{n}") for n in numbers], pair("leave")
        )


@dataclass(frozen=True)
class SequenceModel:
    """Members that are averaged, how the columns are standardised, and what tells where items begin and end."""

    mean: Floats  # [WIDTH], 0 for flags
    scale: Floats  # [WIDTH], 1 for flags
    members: list[Member]
    edges: EdgeModel

    def ads(self, rows: Floats) -> Floats:
        """Return, for rows [T, WIDTH], the log odds of an ad, float32 [T]."""
        inputs = standardise(rows, self.mean, self.scale)
        return np.mean([member.run(inputs) for member in self.members], axis=0).astype(np.float32)

    def log_odds(self, rows: Floats) -> tuple[Floats, Floats]:
        """Return, for rows [T, WIDTH], the log odds of an ad and those of an edge against the usual, float32 [T]."""
        return self.ads(rows), self.edges.log_odds(rows)

    def to_bytes(self) -> bytes:
        """Return the model as an .npz file; the same model gives the same bytes."""
        arrays: dict[str, Any] = {"mean": self.mean, "scale": self.scale}
        arrays |= {"format": np.array(FORMAT), "width": np.array(WIDTH), **self.edges.arrays()}
        for number, member in enumerate(self.members):
            arrays |= member.arrays(f"member{number}")
        sink = io.BytesIO()
        np.savez(sink, members=np.array(len(self.members)), **arrays)
        return sink.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what ``to_bytes`` gave. Raises ModelError when it is something else, or of other features."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as stored:
                found = int(stored["format"]), int(stored["width"])
                if found != (FORMAT, WIDTH):
                    raise ModelError(
                        f"the sequence model has format {found[0]} and {found[1]} features, expected {FORMAT} and "
                        f"{WIDTH}: learn it again with detection.train"
                    )
                members = [Member.from_arrays(stored, f"member{number}") for number in range(int(stored["members"]))]
                return cls(stored["mean"], stored["scale"], members, EdgeModel.from_arrays(stored))
        except (ValueError, KeyError, OSError) as error:
            raise ModelError(f"expected a sequence model, received {len(data)} bytes that are none: {error}") from error


def standardise(rows: Floats, mean: Floats, scale: Floats) -> Floats:
    """Return rows [T, WIDTH] less ``mean``, divided by ``scale``, within -5..5; what is exactly zero stays zero.

    A missing group is zero, and so are the columns of repetition where nothing airs again.
    """
    scaled = np.clip((rows - mean) / scale, -CLIP, CLIP)
    return np.where(rows == 0, 0, scaled).astype(np.float32)


def dilated(state: Floats, taps: Floats, dilation: int) -> npt.NDArray[np.float32]:
    """Convolve [T, U] with [3, U, V] at a distance, zeros beyond the ends; returns [T, V]."""
    padded = np.pad(state, ((dilation, dilation), (0, 0)))
    count = len(state)
    return np.asarray(
        sum(padded[tap * dilation : tap * dilation + count] @ taps[tap] for tap in range(TAPS)), np.float32
    )
