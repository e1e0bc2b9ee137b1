"""Names by content: the same bytes have the same name everywhere.

short_hash({"fps": 1.0, "size": 224})      # '5f0e6c1c2a9b4d37'
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

SHORT_LENGTH = 16  # 64 bits: a collision among a million names has a chance of 3e-8


def canonical_json(value: Any) -> str:
    """Return the one JSON text of ``value``: sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def short_hash(value: Any) -> str:
    """Return 16 hexadecimal digits of the SHA-256 of ``value``'s canonical JSON."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:SHORT_LENGTH]


def sha256_bytes(data: bytes) -> str:
    """Return the SHA-256 of ``data`` in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of the file at ``path`` in hexadecimal; reads it in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def unit_interval(text: str, salt: str) -> float:
    """Map ``text`` to a number in [0, 1) that depends on nothing but the text and the salt."""
    digest = hashlib.sha256(f"{salt}:{text}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def code_version(roots: Iterable[Path] | None = None) -> str:
    """Return the hash of the package's Python files: what computed a result, with or without git."""
    folders = list(roots) if roots is not None else [Path(__file__).resolve().parents[1]]
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted(folder.rglob("*.py")):
            digest.update(path.relative_to(folder).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:SHORT_LENGTH]
