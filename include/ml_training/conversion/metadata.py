"""What a ``.tflite`` file says of itself: a JSON text inside it, and names for its inputs and its output.

    content = finish(content, facts, inputs=["embeddings", "sound", "has_sound"], output="scores")
    read_metadata(content).labels                  # ['content', 'ad']

Files get separated from their manifests. The text is a metadata entry of the flatbuffer, ``ADBREAK_METADATA``, which
the runtime passes over; inputs and output carry their names as tensors and in the signature ``serving_default``.
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from pydantic import ValidationError

from ml_training.conversion.manifest import Manifest, PartName, Preprocessing
from ml_training.inference.description import ViewDescription
from ml_training.inference.flatbuffer import buffer_named, pack, text_of, unpack
from ml_training.utils.errors import ModelError
from ml_training.utils.records import Record

METADATA_NAME = "ADBREAK_METADATA"
SIGNATURE = "serving_default"


class FileMetadata(Record):
    """What is inside a file; the manifest repeats all of it but ``part``."""

    version: Literal[1] = 1
    part: PartName
    model_name: str
    labels: list[str]
    threshold: float  # on the probability of an ad
    preprocessing: Preprocessing
    view: ViewDescription
    mfcc_bands: int | None
    minimum_runtime: str
    dataset_id: str
    run_id: str
    git_commit: str | None
    code_version: str
    quantization: str
    keep_float: list[str]
    calibration_id: str | None


REPEATED = tuple(name for name in FileMetadata.model_fields if name not in ("version", "part"))  # by the manifest


def finish(content: bytes, facts: FileMetadata, *, inputs: Sequence[str], output: str) -> bytes:
    """Return the file with its metadata and its names; ``inputs`` in the order in which the network has them."""
    model = unpack(content)
    graph = model.subgraphs[0]
    for name, place in zip([*inputs, output], [*graph.inputs, *graph.outputs], strict=True):
        graph.tensors[place].name = name.encode()
    model.signatureDefs = [_signature(graph, inputs, output)]
    _add_buffer(model, METADATA_NAME, facts.model_dump_json().encode())
    return pack(model)


def read_metadata(content: bytes) -> FileMetadata | None:
    """Return what a file says of itself; None when it says nothing. Raises ModelError when nobody can read it."""
    text = buffer_named(unpack(content), METADATA_NAME)
    if text is None:
        return None
    try:
        return FileMetadata.model_validate_json(text)
    except ValidationError as error:
        raise ModelError(f"the metadata in the file is not what it should be: {error}") from error


def differences(facts: FileMetadata, manifest: Manifest) -> list[str]:
    """Return the names of the fields in which a file and its manifest differ."""
    inside, beside = facts.model_dump(mode="json"), manifest.model_dump(mode="json")
    return [name for name in REPEATED if inside[name] != beside[name]]


def _signature(graph: Any, inputs: Sequence[str], output: str) -> Any:
    from ai_edge_litert import schema_py_generated as schema

    def named(names: Sequence[str], places: Any) -> list[Any]:
        return [schema.TensorMapT(name, int(place)) for name, place in zip(names, places, strict=True)]

    return schema.SignatureDefT(named(inputs, graph.inputs), named([output], graph.outputs), SIGNATURE, 0)


def _add_buffer(model: Any, name: str, data: bytes) -> None:
    from ai_edge_litert import schema_py_generated as schema

    model.metadata = [entry for entry in model.metadata or [] if text_of(entry.name) != name]
    model.metadata.append(schema.MetadataT(name, len(model.buffers)))
    model.buffers.append(schema.BufferT(np.frombuffer(data, np.uint8)))
