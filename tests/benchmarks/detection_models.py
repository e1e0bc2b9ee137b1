"""The models of the benchmark of detection, trained and converted by the package's own commands.

    base = train_frames(world, "base_model")                      # Trained: float file, int8 file
    temporal = train_frames(world, "temporal", trunk=base)
    detector = train_detector(world, train_multimodal(world, base))
    found = detect(world, detector, recordings, archive=True)     # Detected: breaks and seconds

What a run depends on is in its name (dataset version, config, code), so a second start finds what is done.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from detection_steps import require_config, require_module
from detection_world import Recorded, World
from ml_training.data.label_formats.reading import read_label_file
from ml_training.utils.hashing import sha256_file, short_hash


class Trained(NamedTuple):
    """A model's file in float, and the folder of its int8 files; None where it was not converted."""

    float_uri: Path
    int8_uri: Path | None

    @property
    def shipped(self) -> Path:
        """The int8 files, else the float one."""
        return self.int8_uri or self.float_uri


class Detected(NamedTuple):
    """Breaks by recording, and the seconds that all of them took, once the models are loaded."""

    breaks: dict[str, list[tuple[float, float]]]
    wall_seconds: float


def train_frames(
    world: World,
    config: str,
    *,
    trunk: Trained | None = None,
    dataset_id: str | None = None,
    convert: bool = True,
    **overrides: Any,
) -> Trained:
    """Train a model by its config on a dataset version and convert it; ``trunk`` is the model whose trunk it takes."""
    require_config(config)
    if trunk is not None:
        overrides["model.trunk_model"] = str(trunk.float_uri.parent)
    data = ["--data-dir", world.root]
    version = ["--dataset", dataset_id or world.dataset_id, "--overrides", world.overrides(**overrides)]
    trained = world.steps.command("training.train", "--config", config, *data, *version)
    model = Path(trained["model_uri"])
    if not convert:
        return Trained(model, None)
    int8 = Path(trained["run_uri"]) / "int8"
    options = ["--model", model, "--output", int8, "--quantize", "int8", *data]
    if not (int8 / "manifest.json").exists():
        world.steps.command("conversion.to_tflite", *options)
    return Trained(model, int8)


def train_multimodal(world: World, base: Trained, *, dataset_id: str | None = None, **overrides: Any) -> Trained:
    """Train pictures and sound of ten seconds on the trunk of a base model: what detection judges with."""
    overrides["model.trunk"] = "efficientnet_lite0"
    return train_frames(world, "multimodal", trunk=base, dataset_id=dataset_id, **overrides)


def score_frames(world: World, model: Path, recordings: Sequence[Recorded], *, sound: bool = True) -> dict[str, Any]:
    """Score every second of whole recordings; returns the model's threshold, and times and scores by recording."""
    require_module("inference.models")
    require_module("detection.gather")

    def measure() -> dict[str, Any]:
        from ml_training.detection.gather import StoredRecording
        from ml_training.inference.models import open_model

        opened = open_model(model, threads=2)
        scores = {}
        for recording in recordings:
            stretch = StoredRecording.open(str(world.root), recording.recording_id).stretch()
            heard = stretch if sound else replace(stretch, sound=None)
            scores[recording.recording_id] = [stretch.pts_seconds.tolist(), opened.score(heard).tolist()]
        return {"threshold": float(opened.threshold), "scores": scores}

    names = [recording.recording_id for recording in recordings]
    return dict(world.steps.kept("frames", [_content(model), world.dataset_id, names, sound], measure))


def train_detector(world: World, frames: Trained, *, dataset_id: str | None = None) -> Path:
    """Train sequence model and durations on a frame model; returns the detector's folder."""
    dataset_id = dataset_id or world.dataset_id
    key = short_hash([dataset_id, _content(frames.shipped), world.steps.code])
    output = world.folder / "detectors" / key
    options = ["--data-dir", world.root, "--dataset", dataset_id, "--model", frames.shipped, "--output", output]

    world.steps.kept("detector", key, lambda: world.steps.command("detection.train", *options))
    return output


def detect(world: World, detector: Path, recordings: Sequence[Recorded], *, archive: bool) -> Detected:
    """Find the breaks of each recording by itself, as ``detection.detect`` does; the files it writes are read again.

    Alone means one file alone: recordings that one command is given together would repeat each other.
    """
    require_module("detection.detect")
    files = [str(recording.path) for recording in recordings]

    def measure() -> dict[str, Any]:
        from ml_training.detection.detect import Outputs
        from ml_training.detection.detect import detect as find
        from ml_training.detection.judging import Judge

        folder = world.folder / "breaks" / short_hash([str(detector), archive, files])
        opened = Judge.open(str(detector), archive=str(world.root) if archive else None)
        breaks, seconds = {}, 0.0
        for recording in recordings:
            judge = opened if archive else Judge.open(str(detector))
            written = folder / f"{recording.recording_id}.edl"
            (done,) = find([str(recording.path)], judge, outputs=Outputs(str(written)))["recordings"]
            breaks[recording.recording_id], seconds = read_breaks(written), seconds + done["seconds"]
        return {"breaks": breaks, "wall_seconds": seconds}

    kept = world.steps.kept("detect", [_content(detector), files, archive], measure)
    spans = {name: [(start, end) for start, end in found] for name, found in kept["breaks"].items()}
    return Detected(spans, kept["wall_seconds"])


def read_breaks(path: Path) -> list[tuple[float, float]]:
    """Read the file that detection wrote for a recording."""
    batches = read_label_file(path.read_bytes(), path.name)
    return [(s.start_seconds, s.end_seconds) for batch in batches for s in batch.segments if s.label == "ad"]


def dataset_without(world: World, *, genres: Sequence[str] = (), channels: Sequence[str] = ()) -> tuple[str, str]:
    """Build a dataset version without some genres and channels; return its id and the changes to the config."""
    kept_genres = sorted({r.genre for r in world.recordings} - set(genres))
    kept_channels = sorted({r.channel for r in world.recordings} - set(channels))
    overrides = world.overrides(**{"data.genres": kept_genres, "data.channels": kept_channels})
    options = ["--config", "base_model", "--data-dir", world.root, "--overrides", overrides]
    return str(world.steps.command("data.dataset", "build", *options)["dataset_id"]), overrides


def train_without(world: World, *, genres: Sequence[str] = (), channels: Sequence[str] = ()) -> Path:
    """Train models of frames and detector without some genres and channels; return the detector's folder."""
    dataset_id, overrides = dataset_without(world, genres=genres, channels=channels)
    changed = {name: value for name, value in json.loads(overrides).items() if name != "data.split_shares"}
    base = train_frames(world, "base_model", dataset_id=dataset_id, convert=False, **changed)
    frames = train_multimodal(world, base, dataset_id=dataset_id, **changed)
    return train_detector(world, frames, dataset_id=dataset_id)


def _content(path: Path) -> str:
    """Return the hash of a file, or of all files of a folder."""
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    return short_hash([[file.name, sha256_file(file)] for file in files])
