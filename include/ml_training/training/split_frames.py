"""Every frame of the recordings of a split, the unscored ones too: what is judged second by second and as breaks.

    frames = read_split_frames("s3://adbreak", dataset_id, "test")
    for name, part in frames.recordings():
        stretch = open_stretch(frames.take(part), "s3://adbreak")        # what inference.models scores
    frames.scored, frames.seen                                           # masks [N]

A window or a clip around a scored frame may need frames that are not scored, and a break spans promos. So a recording
is scored as a whole, and only then it is decided which of its frames count.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ml_training.cloud import storage
from ml_training.data.audio.sound import has_sound
from ml_training.data.manifest import read_manifest
from ml_training.data.pipeline.reading import ShardStore
from ml_training.inference.stretch import Images, Sound, Stretch
from ml_training.training.samples import Samples, texts
from ml_training.utils.errors import DatasetUnusable, ObjectNotFound
from ml_training.utils.records import Split

Array = npt.NDArray[Any]

SHARDS_KEPT = 2  # of pictures and of sound: a clip may reach into the next one
USUAL_SPACING = 1.0  # seconds, of a recording of one frame


class SplitFrames(NamedTuple):
    """N frames in the order of recording and time; every array has one entry a frame."""

    recording_ids: Array
    channels: Array
    genres: Array
    shows: Array
    pts_seconds: Array  # float64
    labels: Array  # int8: 1 ad, 0 content, -1 not scored
    label_names: Array
    seen_creatives: Array  # bool: shows a creative that another split owns
    shard_uris: Array
    rows: Array  # int32

    @property
    def scored(self) -> npt.NDArray[np.bool_]:
        """The frames that count: labelled ad or content, and no creative of another split."""
        return np.asarray((self.labels >= 0) & ~self.seen_creatives)

    @property
    def seen(self) -> npt.NDArray[np.bool_]:
        """The frames of the slice of seen creatives."""
        return np.asarray((self.labels >= 0) & self.seen_creatives)

    def take(self, chosen: Any) -> "SplitFrames":
        """Return the frames that ``chosen`` (indices, mask or slice) names."""
        return SplitFrames(*(array[chosen] for array in self))

    def samples(self) -> Samples:
        """Return the scored frames as training has them."""
        scored = self.scored
        fields = (self.recording_ids, self.channels, self.genres, self.pts_seconds, self.labels)
        return Samples(*(array[scored] for array in (*fields, self.shard_uris, self.rows)))

    def recordings(self) -> Iterator[tuple[str, slice]]:
        """Yield each recording and where its frames are."""
        ids = self.recording_ids
        starts = np.flatnonzero(np.append(True, ids[1:] != ids[:-1])).tolist() if len(ids) else []
        for start, end in zip(starts, [*starts[1:], len(ids)], strict=True):
            yield str(ids[start]), slice(int(start), int(end))

    def spacing_seconds(self) -> float:
        """Return the usual distance of two frames of one recording."""
        steps = np.diff(self.pts_seconds)[self.recording_ids[1:] == self.recording_ids[:-1]]
        return float(np.median(steps)) if len(steps) else USUAL_SPACING


def read_split_frames(data_dir: str, dataset_id: str, split: Split) -> SplitFrames:
    """Read the frames of one split. Raises DatasetUnusable when there is no such version, or ads or content miss."""
    table = read_manifest(data_dir, dataset_id, compact=True)
    wanted = texts(table.column("split")) == split
    names = ("recording_id", "channel", "genre", "show", "pts_seconds", "label", "label_name", "seen_creative")
    columns = {
        name: texts(table.column(name), wanted)
        if name in ("recording_id", "channel", "genre", "show", "label_name", "shard_uri")
        else table.column(name).to_numpy()[wanted]
        for name in (*names, "shard_uri", "row")
    }
    frames = SplitFrames(*columns.values())
    found = set(frames.labels[frames.scored].tolist())
    missing = " and ".join(name for value, name in ((1, "ads"), (0, "content")) if value not in found)
    if missing:
        raise DatasetUnusable(f"the {split} split of dataset {dataset_id} has no {missing}: label more recordings")
    return frames


def open_stretch(frames: SplitFrames, data_dir: str, store: ShardStore | None = None) -> Stretch:
    """Return the frames of one recording as a stretch; pictures and sound are read when they are asked for."""
    uris = [storage.join(data_dir, str(uri)) for uri in frames.shard_uris]
    pictures = Pictures(np.asarray(frames.pts_seconds, np.float64), uris, frames.rows)
    return stretch_of_pictures(pictures, data_dir, _extraction(uris[0]) if uris else None, store)


class Pictures(NamedTuple):
    """Where the N pictures of one recording lie, in order of time."""

    pts_seconds: npt.NDArray[np.float64]  # [N]
    uris: list[str]  # [N], of the shards
    rows: Array  # int [N], in the shard


def stretch_of_pictures(
    pictures: Pictures, data_dir: str, extraction: Mapping[str, Any] | None, store: ShardStore | None = None
) -> Stretch:
    """Return pictures as a stretch, with the sound of their extraction where it has any."""
    shards = store or ShardStore(pictures=SHARDS_KEPT, sounds=SHARDS_KEPT)
    rows = [int(row) for row in pictures.rows]

    def images(start: int, end: int) -> Images:
        return np.stack(
            [shards.picture(*place) for place in zip(pictures.uris[start:end], rows[start:end], strict=True)]
        )

    if extraction is None or not has_sound(extraction):
        return Stretch(pictures.pts_seconds, images)

    def sound(start_seconds: float, end_seconds: float) -> Sound:
        return shards.sound(data_dir, extraction, start_seconds, end_seconds - start_seconds)

    return Stretch(pictures.pts_seconds, images, sound)


def _extraction(shard_uri: str) -> dict[str, Any] | None:
    """Return the ``extraction.json`` beside a shard; a version without one has pictures only."""
    try:
        return dict(storage.read_json(f"{shard_uri.rsplit('/', 1)[0]}/extraction.json"))
    except ObjectNotFound:
        return None
