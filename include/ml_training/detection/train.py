"""Learns a detector: the sequence model over a minute or two, how long spots last, how much each evidence counts.

    python -m ml_training.detection.train --data-dir data --dataset ID --model RUN/int8 --output data/detectors/general

It learns from the recordings of the splits ``train`` and ``validation``; the test split is never looked at. Scores of
frames come from models that did not learn the recording (``frame_scores``); ``--also`` names further ones, such as
those of a cross-validation. What repeats is looked up in the catalogue of ``--data-dir``: run ``data.creatives update``
first. The same again finds its result.
"""

import argparse
import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ml_training.cloud import storage
from ml_training.config.settings import read_settings
from ml_training.data.dataset_listing import ListedRecording, read_listing
from ml_training.data.workers import available_cores
from ml_training.detection.calibration import Calibration
from ml_training.detection.detector import CARD_NAME, FRAME_MODEL, DetectorCard, store_detector
from ml_training.detection.evidence import OpenArchive, open_archive
from ml_training.detection.features import Floats, RecordingFeatures
from ml_training.detection.first_pass import FARTHEST_SECONDS
from ml_training.detection.frame_models import find_model, local_folder
from ml_training.detection.frame_scores import Labelled, Scored, open_frames_model, score_unseen
from ml_training.detection.gather import StoredRecording, gather, held_columns, with_repetition
from ml_training.detection.judging import prints_of
from ml_training.detection.keyframes import as_keyframes
from ml_training.detection.learning import learn_detector
from ml_training.detection.lessons import Lesson
from ml_training.detection.sequence_training import Schedule
from ml_training.detection.targets import spans_of_labels
from ml_training.utils.command_line import command_parser, run_command
from ml_training.utils.errors import DatasetUnusable, ModelError, ObjectNotFound, UsageError
from ml_training.utils.hashing import code_version, sha256_file, short_hash

logger = logging.getLogger(__name__)

SPLITS = ("train", "validation")
CHANNELS_NEEDED = 2


def train(
    data_dir: str,
    dataset_id: str,
    output: str,
    *,
    model: str | None,
    also: Sequence[str] = (),
    schedule: Schedule = Schedule(),  # noqa: B008 (frozen)
    seed: int = 1,
) -> dict[str, Any]:
    """Learn a detector and store it below ``output``, unless it is there.

    ``model`` is the model of frames that it will work with, None for none. Raises DatasetUnusable when the version has
    too few channels or lacks a class, ModelError when a model does not fit.
    """
    listed = [r for r in read_listing(data_dir, dataset_id).recordings.values() if r.split in SPLITS]
    _require_usable(listed)
    paths = [_frames_path(name) for name in ([model, *also] if model else [])]
    identity = short_hash([dataset_id, [_content(path) for path in paths], vars(schedule), seed, code_version()])
    if (found := _stored(output, identity)) is not None:
        return {"output": output, "reused": True, **_facts(found)}
    labelled = {r.recording_id: Labelled(_source(data_dir, r), r.labels, r.channel) for r in listed}
    scored = score_unseen(labelled, [open_frames_model(path, data_dir) for path in paths])
    lessons = make_lessons(labelled, scored, open_archive(data_dir))
    learned = learn_detector(lessons, schedule=schedule, seed=seed, cores=available_cores())
    if model:
        _copy_model(paths[0], output)
    card = DetectorCard(
        durations=learned.detector.durations,
        weights=learned.detector.weights,
        calibration=scored.calibration if model else Calibration(),
        dataset_id=dataset_id,
        frame_model=model,
        recordings=len(lessons),
        scores=learned.scores,
        identity=identity,
        created_at=datetime.now(UTC),
    )
    store_detector(output, learned.detector, card)
    return {"output": output, "reused": False, **_facts(card)}


def make_lessons(labelled: dict[str, Labelled], scored: Scored, archive: OpenArchive) -> list[Lesson]:
    """Return what is learned from: the features of every recording, its labels and its repeats."""
    prints = {}
    for name, lesson in labelled.items():
        prints[name] = prints_of(lesson.source)
        archive.add(prints[name])
    lessons = []
    for number, (name, lesson) in enumerate(labelled.items(), start=1):
        repeats, odds = archive.repeats(prints[name]), scored.log_odds.get(name)
        fewer = as_keyframes(lesson.source, seconds=FARTHEST_SECONDS, first=number % 2)
        features, sparse = (
            with_repetition(_with_pictures(gather(source), known), repeats, has_archive=not archive.is_empty)
            for source, known in ((lesson.source, odds), (fewer, None if odds is None else odds[fewer.rows]))
        )
        lessons.append(Lesson(features, spans_of_labels(lesson.segments), lesson.channel, repeats, sparse))
        logger.info("features of %s (%d of %d): %d repeats", name, number, len(labelled), len(repeats))
    return lessons


def _with_pictures(features: RecordingFeatures, log_odds: Floats | None) -> RecordingFeatures:
    """Add the log odds [N] of every frame, where there are some."""
    if log_odds is None:
        return features
    column = held_columns(features.cues.frame_seconds, log_odds[:, None], features.seconds)
    return replace(features, groups={**features.groups, "picture": column})


def _require_usable(listed: Sequence[ListedRecording]) -> None:
    channels = {r.channel for r in listed}
    labels = {segment.label for r in listed for segment in r.labels}
    if len(channels) < CHANNELS_NEEDED:
        raise DatasetUnusable(
            f"a detector is learned on {CHANNELS_NEEDED} channels or more, received {len(channels)}: label recordings "
            "of another channel and build the dataset again"
        )
    if missing := {"ad", "content"} - labels:
        raise DatasetUnusable(f"no recording of train and validation has the label {', '.join(sorted(missing))}")


def _source(data_dir: str, listed: ListedRecording) -> StoredRecording:
    try:
        return StoredRecording.open(data_dir, listed.recording_id, listed.extraction_id)
    except ObjectNotFound as error:
        raise DatasetUnusable(
            f"the frames of {listed.recording_id} are gone: extract them again with data.collectors"
        ) from error


def _frames_path(name: str) -> Path:
    place = find_model(name)
    if place.frame_model is None:
        raise UsageError(f"{name} holds no model of frames: name a model's folder or file")
    return place.frame_model


def _content(path: Path) -> list[str]:
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return [sha256_file(file) for file in files if file.suffix in (".keras", ".tflite", ".yaml", ".json")]


def _stored(output: str, identity: str) -> DetectorCard | None:
    try:
        card = DetectorCard.model_validate(storage.read_json(storage.join(output, CARD_NAME)))
    except (ObjectNotFound, ValueError):
        return None
    return card if card.identity == identity else None


def _facts(card: DetectorCard) -> dict[str, Any]:
    keep = ("dataset_id", "frame_model", "recordings", "scores")
    facts = card.model_dump(mode="json", include=set(keep))
    return {**{name: facts[name] for name in keep}, "weights": card.weights.model_dump()}


def _copy_model(path: Path, output: str) -> None:
    """Put the model of frames into the detector's folder, so that it works wherever that is copied."""
    folder = path if path.is_dir() else path.parent
    target = storage.join(output, FRAME_MODEL)
    if path.suffix in (".yaml", ".yml"):
        raise ModelError("an ensemble's models lie elsewhere: learn a detector with one of them, or with none")
    if local_folder(target) is not None:
        for item in list(storage.list_objects(target + "/")):
            storage.delete(item.uri)
    wanted = (
        (".tflite", ".json", ".npz")
        if path.suffix == ".tflite" or any(folder.glob("*.tflite"))
        else (
            ".keras",
            ".json",
        )
    )
    for file in sorted(folder.iterdir()):
        if file.suffix in wanted:
            storage.upload(file, storage.join(target, file.name))


def _run(args: argparse.Namespace) -> dict[str, Any]:
    if args.epochs < 1:
        raise UsageError(f"--epochs must be at least 1, received {args.epochs}")
    return train(
        args.data_dir,
        args.dataset,
        args.output,
        model=args.model,
        also=args.also,
        schedule=Schedule(epochs=args.epochs),
        seed=args.seed,
    )


def main(argv: list[str] | None = None) -> int:
    """Run the command."""
    parser = command_parser("ml_training.detection.train", __doc__)
    parser.add_argument("--data-dir", default=read_settings().data_dir, help="bucket or folder that holds the data")
    parser.add_argument("--dataset", required=True, help="dataset version; its test split is not looked at")
    parser.add_argument("--model", help="model of frames: folder, file or registered name (default: none)")
    parser.add_argument("--also", nargs="+", default=[], help="further models, for recordings that --model has learned")
    parser.add_argument("--output", required=True, help="folder for the detector")
    parser.add_argument("--epochs", type=int, default=Schedule().epochs, help="passes over the recordings")
    parser.add_argument("--seed", type=int, default=1, help="of the networks")
    parser.set_defaults(run=_run)
    return run_command(parser, argv)


if __name__ == "__main__":
    raise SystemExit(main())
