"""Judges recordings of which frames and sound are stored: gathers features, compares with the archive, decides.

    judge = Judge.open("detectors/general", archive="s3://adbreak")
    judge.meet(StoredRecording.open(root, "news-0105"))          # all recordings at hand first: they repeat each other
    verdict = judge.verdict("news-0105")                         # breaks, and the chance of an ad in each second

Of a recording that was met a few hundred bytes a second stay in memory, whatever its pictures take.
"""

import logging
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Self

from ml_training.cloud import storage
from ml_training.data.creatives.fingerprints import Fingerprints, fingerprints_uri, load_fingerprints, make_fingerprints
from ml_training.data.workers import available_cores
from ml_training.detection.calibration import UNCHANGED, Calibration
from ml_training.detection.detector import Detector, LookCloser, Verdict, load_detector, plain_detector
from ml_training.detection.evidence import OpenArchive
from ml_training.detection.features import RecordingFeatures
from ml_training.detection.frame_models import find_model
from ml_training.detection.gather import Score, StoredRecording, gather, with_repetition

logger = logging.getLogger(__name__)


@dataclass
class Judge:
    """A detector, a model of frames or None, and an archive; ``met`` are the recordings that were looked at."""

    detector: Detector
    archive: OpenArchive
    score: Score | None = None
    calibration: Calibration = UNCHANGED
    met: dict[str, tuple[RecordingFeatures, Fingerprints]] = field(default_factory=dict)

    @classmethod
    def open(cls, model: str, *, detector: str | None = None, archive: str | None = None) -> Self:
        """Open a model by name, file or folder, with the detector it holds or the one named.

        A model of frames alone is taken with a plain detector, that has learned nothing. Raises ModelError when there
        is no such model.
        """
        from ml_training.inference.models import open_model

        place = find_model(model)
        folder = detector or place.detector
        score = open_model(place.frame_model, threads=available_cores()).score if place.frame_model else None
        if folder is None:
            logger.warning("%s judges frames: without a detector (see detection.train) less is found", model)
            return cls(plain_detector(), OpenArchive(archive), score)
        loaded, card = load_detector(folder)
        return cls(loaded, OpenArchive(archive), score, card.calibration)

    def meet(self, source: StoredRecording) -> None:
        """Look at a recording: its features, and its fingerprints for the others."""
        with ThreadPoolExecutor(1) as beside:
            made = beside.submit(prints_of, source)
            features, prints = self.calibrated(gather(source, score=self.score)), made.result()
        self.archive.add(prints)
        self.met[source.recording_id] = features, prints

    def calibrated(self, features: RecordingFeatures) -> RecordingFeatures:
        """Return features whose scores of frames are comparable with those that the detector learned from."""
        if "picture" not in features.groups:
            return features
        groups = {**features.groups, "picture": self.calibration.apply(features.groups["picture"])}
        return replace(features, groups=groups)

    def features(self, recording_id: str) -> RecordingFeatures:
        """Return all that is known of a recording that was met."""
        features, prints = self.met[recording_id]
        repeats = self.archive.repeats(prints)
        known = self.archive.known(recording_id, repeats, features.seconds)
        return with_repetition(features, repeats, has_archive=not self.archive.is_empty, known=known)

    def verdict(self, recording_id: str, *, look: LookCloser | None = None, without: Collection[str] = ()) -> Verdict:
        """Judge a recording that was met; ``without`` leaves groups of features out."""
        return self.detector.judge(self.features(recording_id), look=look, without=without)


def prints_of(source: StoredRecording) -> Fingerprints:
    """Return the fingerprints of an extraction: the stored ones, else made for the moment."""
    extraction_id = str(source.extraction["extraction_id"])
    if storage.exists(fingerprints_uri(source.root, source.recording_id, extraction_id)):
        return load_fingerprints(source.root, source.recording_id, extraction_id)
    return make_fingerprints(source.root, source.recording_id)
