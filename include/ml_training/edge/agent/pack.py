"""Packs the agent into one file for a device: its modules and those of ours that they need, nothing else.

    python -m ml_training.edge.agent.pack --output adbreak-agent.zip

The device runs it with the file in PYTHONPATH. The same sources make the same bytes.
"""

import ast
import zipfile
from pathlib import Path
from typing import Any

from ml_training.utils.command_line import command_parser, run_command
from ml_training.utils.hashing import sha256_file

INCLUDE = Path(__file__).resolve().parents[3]
EPOCH = (1980, 1, 1, 0, 0, 0)
STARTS = ("__main__", "trial")


def needed_files() -> list[Path]:
    """Return the files of the package that the agent's commands import, with the packages that hold them."""
    agent = Path(__file__).parent
    waiting, found = [agent / f"{name}.py" for name in STARTS], set[Path]()
    while waiting:
        path = waiting.pop()
        if path in found or not path.is_file():
            continue
        found.add(path)
        waiting += [parent / "__init__.py" for parent in path.parents if INCLUDE in parent.parents]
        waiting += [INCLUDE / f"{name.replace('.', '/')}.py" for name in _imports(path)]
    return sorted(found)


def pack(output: Path) -> dict[str, Any]:
    """Write the zip file; returns its place, its size and its SHA-256."""
    output.parent.mkdir(parents=True, exist_ok=True)
    files = needed_files()
    with zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in files:
            entry = zipfile.ZipInfo(path.relative_to(INCLUDE).as_posix(), EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, path.read_bytes())
    return {
        "output": str(output),
        "files": len(files),
        "size_bytes": output.stat().st_size,
        "sha256": sha256_file(output),
    }


def _imports(path: Path) -> list[str]:
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("ml_training"):
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names if alias.name.startswith("ml_training")]
    return names


def main(argv: list[str] | None = None) -> int:
    """Run the command."""
    parser = command_parser("ml_training.edge.agent.pack", __doc__)
    parser.add_argument("--output", type=Path, required=True, help="the zip file to write")
    parser.set_defaults(run=lambda args: pack(args.output))
    return run_command(parser, argv)


if __name__ == "__main__":
    raise SystemExit(main())
