"""What can be seen of a model's files without running them: operators and their types, sizes, their own words.

inspection = inspect_files("RUN/int8/model.tflite", manifest)
inspection.float_operators          # [] when every operator computes in int8
inspection.metadata_differences     # [] when the files say what the manifest says
"""

import zlib
from collections import Counter
from typing import NamedTuple

from ml_training.cloud import storage
from ml_training.conversion.manifest import Manifest
from ml_training.conversion.metadata import differences, read_metadata
from ml_training.inference.flatbuffer import Operator, operators, unpack
from ml_training.models.stored import model_folder

INT8_TYPES = ("int8", "int32", "bool")  # int32 and bool: shapes and axes that are computed
COMPRESSION_LEVEL = 9


class Inspection(NamedTuple):
    """What was seen of all files of a model."""

    operators: list[dict[str, object]]  # part, operator, types, count
    float_operators: list[str]  # those that are not int8, as ``head:MUL float32 lstm/mul``
    compressed_bytes: int  # DEFLATE, all files
    metadata_differences: list[str]


def inspect_files(model_uri: str, manifest: Manifest) -> Inspection:
    """Look through all files of a model."""
    counts: Counter[tuple[str, str, str]] = Counter()
    other, differing, compressed = [], [], 0
    for part in manifest.parts:
        content = storage.read_bytes(storage.join(model_folder(model_uri), part.file))
        compressed += len(zlib.compress(content, COMPRESSION_LEVEL))
        prefix = "" if part.name == "model" else f"{part.name}:"
        for operator in operators(unpack(content)):
            counts[part.name, operator.name, _types(operator)] += 1
            if not set(operator.activations.values()) <= set(INT8_TYPES):
                other.append(f"{prefix}{operator.name} {_types(operator)} {operator.output}")
        facts = read_metadata(content)
        differing += [f"{prefix}{name}" for name in (differences(facts, manifest) if facts else ["no metadata"])]
    rows = [{"part": p, "operator": o, "types": t, "count": n} for (p, o, t), n in sorted(counts.items())]
    return Inspection([dict(row) for row in rows], other, compressed, differing)


def _types(operator: Operator) -> str:
    return " ".join(sorted(set(operator.activations.values())))
