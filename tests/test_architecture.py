"""The design's rules about who may import whom, read from the source itself."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "include" / "ml_training"
ORDER = (
    ("utils", "config"),
    ("statistics",),
    ("inference",),
    ("cloud",),
    ("data",),
    ("models",),
    ("training",),
    ("conversion",),
    ("registry",),
    ("detection",),
    ("edge",),
    ("monitoring",),
    ("promotion",),
)
LEVELS = {name: level for level, names in enumerate(ORDER) for name in names}
DOORS = {
    "boto3": ("cloud",),
    "botocore": ("cloud",),
    "mlflow": ("registry", "training/tracking.py"),
    "tensorflow_model_optimization": ("conversion",),
    "paramiko": ("edge",),
    "asyncssh": ("edge",),
}
RUNTIMES = {"numpy", "ai_edge_litert", "tflite_runtime"}
ON_A_DEVICE = {  # what is copied to a device, and all that it may need beside the standard library
    "edge/device_runner.py": RUNTIMES,
    "edge/fleet/*.py": set(),
    "edge/agent/**/*.py": RUNTIMES | {"tuf", "securesystemslib", "urllib3"},  # urllib3 comes with tuf
}
STANDARD_LIBRARY = sys.stdlib_module_names

MODULES = sorted(PACKAGE.rglob("*.py"))


def imports_of(path: Path) -> Iterator[str]:
    """Yield the full name of everything that a file imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def place(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


@pytest.mark.parametrize("path", MODULES, ids=place)
def test_imports_go_one_way(path):
    own = place(path).split("/")[0]
    if own == "__init__.py":
        return
    for name in imports_of(path):
        parts = name.split(".")
        assert parts[0] != "include", f"{place(path)} imports {name}: a second copy of every class"
        assert parts[0] != "airflow", f"{place(path)} imports airflow"
        if parts[0] == "ml_training" and parts[1] != own:
            assert LEVELS[parts[1]] <= LEVELS[own], f"{place(path)} imports {name}, which stands above it"


@pytest.mark.parametrize("path", MODULES, ids=place)
def test_each_vendor_has_one_door(path):
    for name in imports_of(path):
        allowed = DOORS.get(name.split(".")[0])
        if allowed is not None:
            assert place(path).startswith(allowed), f"{place(path)} imports {name}: only {', '.join(allowed)} may"


def needs_of(path: Path, seen: set[Path]) -> Iterator[tuple[str, str]]:
    """Yield (importer, package) for everything that a file needs, through modules of ours too."""
    seen.add(path)
    for name in imports_of(path):
        if not name.startswith("ml_training"):
            yield place(path), name.split(".")[0]
            continue
        named = PACKAGE.joinpath(*name.split(".")[1:])  # a module, or something in one
        for own in (named.with_suffix(".py"), named.parent.with_suffix(".py")):
            if own.is_file() and own not in seen:
                yield from needs_of(own, seen)


@pytest.mark.parametrize("pattern", sorted(ON_A_DEVICE))
def test_what_is_copied_to_a_device_needs_nothing_else(pattern):
    for path in PACKAGE.glob(pattern):
        for importer, package in needs_of(path, set()):
            allowed = STANDARD_LIBRARY | ON_A_DEVICE[pattern]
            assert package in allowed, f"{place(path)} runs on a device, and {importer} imports {package}"


def test_every_package_is_in_the_order():
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert packages <= set(LEVELS)


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("__init__.py")), ids=place)
def test_init_files_are_empty(path):
    assert path.read_text().strip() == ""


@pytest.mark.parametrize("path", MODULES, ids=place)
def test_every_module_says_why_it_exists(path):
    if path.name != "__init__.py":
        docstring = ast.get_docstring(ast.parse(path.read_text()))
        assert docstring, f"{place(path)} has no docstring"
        assert len(docstring) > 40


@pytest.mark.parametrize("path", MODULES, ids=place)
def test_modules_stay_readable(path):
    assert len(path.read_text().splitlines()) <= 400
