"""A converted model as a device runs it: one frame after the other, the trunk once a frame, the head on a window.

    model = open_device_model(Path("models/base-general/1.2.0"))
    watch = model.watch(sound)                        # sound: None, or a SoundRing
    for frame in frames:
        for judged in watch.see(frame.pts_seconds, frame.image):
            judged.pts_seconds, judged.score
    watch.finish()                                    # the frames whose window reaches over the end

The arithmetic is that of ``inference``, which the conversion judges files with; only what it needs is imported. A frame
is judged as soon as its window is complete: five seconds later where a model looks ahead.
"""

import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from ml_training.edge.agent.resize import area_resize
from ml_training.inference.sound import clip_windows, hear
from ml_training.inference.stretch import Stretch
from ml_training.inference.tflite import TflitePart, load_interpreter, match_inputs
from ml_training.inference.windows import places_near
from ml_training.utils.errors import ModelError

Floats = npt.NDArray[np.float32]
Image = npt.NDArray[np.uint8]

KEPT_SECONDS = 12.0  # of embeddings: a window's nearest frame is never farther from the judged one
SOUND_PATIENCE_SECONDS = 15.0  # after which a frame is judged with the sound that is there
FLOAT_STEP = 1 / 256  # what counts as a step where outputs are floats: that of an int8 probability


class Judged(NamedTuple):
    """A frame and the probability that it is an ad's."""

    pts_seconds: float
    score: float


class Sound(Protocol):
    """Sound by media time: what ``media.SoundRing`` is."""

    def cut(self, start: float, end: float) -> npt.NDArray[np.int16]:
        """Return 16 kHz mono, zeros where there is none."""
        ...

    def reaches(self, seconds: float) -> bool:
        """Tell whether the sound up to a time is there, or no more will come."""
        ...


@dataclass(frozen=True)
class ModelFacts:
    """What a manifest says that a device needs."""

    parts: dict[str, str]  # name -> file
    labels: tuple[str, ...]
    threshold: float
    runtime: str
    offsets_seconds: tuple[float, ...] = (0.0,)
    sound_seconds: tuple[float, float] | None = None
    mfcc_bands: int | None = None


def read_facts(folder: Path) -> ModelFacts:
    """Read a manifest of version 1 or 2. Raises ModelError when it is not one."""
    try:
        content = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        parts = content.get("parts", [{"name": "model", "file": "model.tflite"}])
        view = content.get("view", {})
        sound = view.get("sound_seconds")
        return ModelFacts(
            parts={str(part["name"]): str(part["file"]) for part in parts},
            labels=tuple(content["labels"]),
            threshold=float(content["threshold"]),
            runtime=str(content["runtime"]),
            offsets_seconds=tuple(float(offset) for offset in view.get("offsets_seconds", (0.0,))),
            sound_seconds=(float(sound[0]), float(sound[1])) if sound else None,
            mfcc_bands=content.get("mfcc_bands"),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise ModelError(f"{folder / 'manifest.json'} does not describe a model: {error!r}") from error


def open_device_model(folder: Path, *, threads: int = 1) -> "DeviceModel":
    """Load the files of a folder. Raises ModelError when they are not a model that the runtime can run."""
    facts = read_facts(folder)
    if set(facts.parts) not in ({"model"}, {"trunk", "head"}) or "ad" not in facts.labels:
        raise ModelError(
            f"expected a model, or trunk and head, and the label ad; received {facts.parts}, {facts.labels}"
        )
    loaded = {}
    for name, file in facts.parts.items():
        if Path(file).name != file or not (folder / file).is_file():
            raise ModelError(f"{folder} has no file {file}, though its manifest names it")
        loaded[name] = TflitePart(load_interpreter(folder / file, threads=threads))
    return DeviceModel(facts, loaded)


class DeviceModel:
    """The network or networks of one model in memory."""

    def __init__(self, facts: ModelFacts, parts: Mapping[str, TflitePart]) -> None:
        self.facts = facts
        self.first = parts.get("model") or parts["trunk"]
        self.head = parts.get("head")
        self._parts = [("", self.first), *([("head", self.head)] if self.head is not None else [])]
        (self.picture_shape,) = self.first.input_shapes.values()

    @property
    def is_quantized(self) -> bool:
        """Whether every output is in integers, which do not depend on the processor."""
        return all(part.output["dtype"] != np.float32 for _, part in self._parts)

    def look(self, image: Image) -> Floats:
        """Run the picture's part on uint8 [H, W, 3]; returns its output, float32 [D]."""
        fitting = area_resize(image, *self.picture_shape[:2])
        return self.first.run({"image": fitting[None]})[0]

    def ad_score(self, output: Floats) -> float:
        """Return the probability of an ad of a final output [C]; one sigmoid is that of an ad."""
        return float(output[self.facts.labels.index("ad")] if len(output) > 1 else output[0])

    def watch(self, sound: Sound | None = None) -> "Watch":
        """Begin with a stream."""
        return Watch(self, sound) if self.head is not None else SingleFrames(self, sound)

    def golden_steps(self, golden: Mapping[str, npt.NDArray[Any]]) -> float:
        """Run the golden inputs; return the largest difference in steps of the output, NaN where one is NaN."""
        return float(np.max([_difference(part, *_golden_of(golden, name)) for name, part in self._parts]))

    def run_golden(self, golden: Mapping[str, npt.NDArray[Any]], number: int) -> None:
        """Run every part once, as for one frame, on one of its golden inputs."""
        for name, part in self._parts:
            inputs, outputs = _golden_of(golden, name)
            place = number % len(outputs)
            part.run_raw(_by_part(part, {key: values[place : place + 1] for key, values in inputs.items()}))


class Watch:
    """A model of trunk and head on one stream."""

    def __init__(self, model: DeviceModel, sound: Sound | None) -> None:
        self._model, self._sound = model, sound
        self._seen: deque[tuple[float, Floats]] = deque()
        self._waiting: deque[float] = deque()

    def see(self, pts_seconds: float, image: Image) -> list[Judged]:
        """Take the next frame; return the frames whose window is complete now."""
        self._seen.append((pts_seconds, self._model.look(image)))
        self._waiting.append(pts_seconds)
        judged = []
        while self._waiting and self._is_complete(self._waiting[0], pts_seconds):
            judged.append(self._judge(self._waiting.popleft()))
        oldest = (self._waiting[0] if self._waiting else pts_seconds) - KEPT_SECONDS
        while self._seen[0][0] < oldest:
            self._seen.popleft()
        return judged

    def finish(self) -> list[Judged]:
        """Judge the frames that still wait: nothing follows."""
        judged = [self._judge(pts_seconds) for pts_seconds in self._waiting]
        self._waiting.clear()
        return judged

    def _is_complete(self, pts_seconds: float, newest: float) -> bool:
        facts = self._model.facts
        if newest < pts_seconds + max(facts.offsets_seconds):
            return False
        if facts.sound_seconds is None or self._sound is None:
            return True
        late = newest > pts_seconds + facts.sound_seconds[1] + SOUND_PATIENCE_SECONDS
        return late or self._sound.reaches(pts_seconds + facts.sound_seconds[1])

    def _judge(self, pts_seconds: float) -> Judged:
        times = np.array([pts for pts, _ in self._seen])
        place = int(np.searchsorted(times, pts_seconds))
        places = places_near(times, self._model.facts.offsets_seconds)[place]
        window = np.stack([self._seen[at][1] for at in places])[None]
        assert self._model.head is not None
        output = self._model.head.run({"embeddings": window, **self._heard(pts_seconds)})[0]
        return Judged(pts_seconds, self._model.ad_score(output))

    def _heard(self, pts_seconds: float) -> dict[str, Floats]:
        facts = self._model.facts
        if facts.sound_seconds is None or facts.mfcc_bands is None:
            return {}
        times = np.array([pts_seconds])
        cut = self._sound.cut if self._sound is not None else None
        stretch = Stretch(times, lambda start, end: np.zeros((0, 0, 0, 3), np.uint8), cut)
        sound = hear(stretch, times, seconds=facts.sound_seconds, bands=facts.mfcc_bands)
        flag = np.full((1, 1), 0.0 if sound is None else 1.0, np.float32)
        if sound is None:
            windows = clip_windows(facts.sound_seconds[1] - facts.sound_seconds[0])
            sound = np.zeros((1, windows, facts.mfcc_bands), np.float32)
        return {"sound": sound, "has_sound": flag}


class SingleFrames(Watch):
    """A model that judges each frame alone: at once."""

    def see(self, pts_seconds: float, image: Image) -> list[Judged]:
        """Judge the frame."""
        return [Judged(pts_seconds, self._model.ad_score(self._model.look(image)))]


def _difference(part: TflitePart, inputs: dict[str, npt.NDArray[Any]], outputs: npt.NDArray[Any]) -> float:
    differences = []
    for place in range(len(outputs)):
        raw = part.run_raw(_by_part(part, {key: values[place : place + 1] for key, values in inputs.items()}))
        if raw.shape != outputs[place].shape:
            raise ModelError(f"its golden outputs are {outputs[place].shape}, the file gives {raw.shape}")
        differences.append(np.max(np.abs(raw.astype(np.float64) - outputs[place].astype(np.float64))))
    largest = float(np.max(differences))  # unlike Python's max, it keeps a NaN
    return largest / FLOAT_STEP if part.output["dtype"] == np.float32 else largest


def _golden_of(
    golden: Mapping[str, npt.NDArray[Any]], name: str
) -> tuple[dict[str, npt.NDArray[Any]], npt.NDArray[Any]]:
    prefix = f"{name}_" if name else ""
    names = [key for key in golden if key.startswith(prefix) and key != f"{prefix}outputs"] if name else ["inputs"]
    try:
        inputs, outputs = {key.removeprefix(prefix): golden[key] for key in names}, golden[f"{prefix}outputs"]
    except KeyError as error:
        raise ModelError(f"its golden.npz has no {error}: expected inputs and outputs of every part") from error
    if not len(outputs):
        raise ModelError("its golden.npz is empty: expected inputs and outputs of every part")
    return inputs, outputs


def _by_part(part: TflitePart, inputs: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    """Put golden inputs, already in the file's numbers, under its own names, without their batch."""
    return {name: values[0] for name, values in match_inputs(inputs, part.input_shapes).items()}
