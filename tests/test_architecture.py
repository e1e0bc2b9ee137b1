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
ON_A_DEVICE = {"edge/device_runner.py": {"numpy", "ai_edge_litert", "tflite_runtime"}}
STANDARD_LIBRARY = sys.stdlib_module_names

MODULES = sorted(PACKAGE.rglob("*.py"))


def imports_of(path: Path) -> Iterator[str]:
    """Yield the full name of every module that a file imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""


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


@pytest.mark.parametrize("name", sorted(ON_A_DEVICE))
def test_what_is_copied_to_a_device_needs_nothing_else(name):
    found = {module.split(".")[0] for module in imports_of(PACKAGE / name)} - STANDARD_LIBRARY
    assert found <= ON_A_DEVICE[name]


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
