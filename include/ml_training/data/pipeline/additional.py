"""Pictures that devices were unsure of, as further examples for a training.

    more = read_additional("s3://adbreak/hard_examples", label_classes={"ad": "ad", "content": "content", ...})
    examples = join_examples(read_examples(data_dir, dataset_id, "train"), more)

``<device>/<date>/examples.jsonl`` lists the pictures that lie beside it. A later line about a picture replaces an
earlier one, so a label that comes in later is appended. Pictures without a label are passed over: a device's own guess
is no truth.
"""

import logging
from collections.abc import Iterator, Mapping

import numpy as np
from pydantic import ValidationError

from ml_training.cloud import storage
from ml_training.config.schema import DataSection
from ml_training.data.manifest import CLASS_VALUES, NOT_SCORED
from ml_training.data.pipeline.examples import FRAMES, PICTURE_FILE, Examples
from ml_training.utils.errors import DataError, ObjectNotFound
from ml_training.utils.records import HardExample

LIST_NAME = "examples.jsonl"

logger = logging.getLogger(__name__)


def read_additional(uri: str, *, label_classes: Mapping[str, str] | None = None) -> Examples:
    """Return the labelled pictures below ``uri`` as examples of single frames.

    ``label_classes`` maps labels to ``ad``, ``content`` or ``ignore`` (default: as the training config does). An
    example is as hard as its label is far from what the device's model said.

    Raises ObjectNotFound when there is no list below ``uri``, DataError when a line of one is wrong.
    """
    classes: dict[str, str] = dict(DataSection().label_classes.items()) | dict(label_classes or {})
    objects = {item.uri for item in storage.list_objects(uri.rstrip("/") + "/")}
    lists = sorted(name for name in objects if name.rsplit("/", 1)[-1] == LIST_NAME)
    if not lists:
        raise ObjectNotFound(f"there is no {LIST_NAME} below {uri}: expected {uri}/<device>/<date>/{LIST_NAME}")
    chosen: list[tuple[str, int, float]] = []  # picture, label, hardness
    passed_over = {"without label": 0, "ignored label": 0, "picture missing": 0}
    for name in lists:
        for example in _read_list(name):
            picture = storage.join(name.rsplit("/", 1)[0], example.file)
            reason = _why_not(example, picture in objects, classes)
            if reason:
                passed_over[reason] += 1
                continue
            label = CLASS_VALUES[classes[example.label or ""]]
            chosen.append((picture, label, abs(label - example.score)))
    count = len(chosen)
    logger.info("additional data: %d pictures of %s; passed over: %s", count, uri, passed_over)
    return Examples(
        view=FRAMES,
        files=[picture for picture, _, _ in chosen],
        file_numbers=np.arange(count, dtype=np.int32)[:, None],
        rows=np.full((count, 1), PICTURE_FILE, np.int32),
        labels=np.array([label for _, label, _ in chosen], np.int8),
        recordings=[],
        recording_numbers=np.full(count, -1, np.int32),
        pts_seconds=np.full(count, np.nan),
        hardness=np.array([hardness for _, _, hardness in chosen], np.float32),
        passed_over=passed_over,
    )


def _why_not(example: HardExample, there: bool, classes: Mapping[str, str]) -> str:
    """Return why a picture is passed over; empty when it is not."""
    if example.label is None:
        return "without label"
    if CLASS_VALUES[classes[example.label]] == NOT_SCORED:
        return "ignored label"
    return "" if there else "picture missing"


def _read_list(uri: str) -> Iterator[HardExample]:
    """Yield the newest line about each picture of a list, in order of the pictures' names."""
    newest: dict[str, HardExample] = {}
    for number, line in enumerate(storage.read_bytes(uri).decode("utf-8", "replace").splitlines(), 1):
        if not line.strip():
            continue
        try:
            example = HardExample.model_validate_json(line)
        except ValidationError as error:
            mistake = error.errors()[0]
            place = ".".join(str(part) for part in mistake["loc"])
            raise DataError(f"{uri} line {number}: {place or 'JSON'}: {mistake['msg']}", uri=uri) from error
        if "/" in example.file:
            raise DataError(f"{uri} line {number}: file must be a name beside the list, received {example.file!r}")
        newest[example.file] = example
    yield from (newest[name] for name in sorted(newest))
