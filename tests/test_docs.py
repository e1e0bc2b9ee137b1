"""What the pages say is true: commands exist, their options exist, links lead somewhere."""

import ast
import importlib.util
import re
import shlex
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
COMMAND = re.compile(r"python3? -m (ml_training[\w.]*)([^\n`|]*)")
LINK = re.compile(r"\[[^\]]*\]\(([^)#]+)(?:#[^)]*)?\)")


def page_name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def source_of(module: str) -> Path | None:
    """Find the file behind ``python -m module`` without importing it."""
    path = ROOT / "include" / Path(*module.split("."))
    for candidate in (path.with_suffix(".py"), path / "__main__.py"):
        if candidate.is_file():
            return candidate
    return None


def options_near(path: Path) -> set[str]:
    """Return every option that the files of a command's package or module spell out."""
    files = path.parent.glob("*.py") if path.name == "__main__.py" else [path]
    shared = ROOT / "include" / "ml_training" / "utils" / "command_line.py"
    text = "".join(file.read_text() for file in [*files, shared])
    return set(re.findall(r"[\"'](--[a-z][a-z-]*)[\"']", text))


def commands() -> list[tuple[str, str, str]]:
    found = []
    sources = [
        *PAGES,
        *(ROOT / "include" / "ml_training").rglob("*.py"),
        *(ROOT / "include" / "configs").glob("*.yaml"),
    ]
    for path in sources:
        text = path.read_text().replace("\\\n", " ")
        found += [(page_name(path), module, rest) for module, rest in COMMAND.findall(text)]
    return sorted(set(found))


def test_there_are_pages_and_commands():
    assert len(PAGES) > 3
    assert len(commands()) > 20


@pytest.mark.parametrize(("page", "module", "rest"), commands())
def test_a_command_on_a_page_exists_with_its_options(page, module, rest):
    source = source_of(module)
    assert source is not None, f"{page} names python -m {module}, which does not exist"
    try:
        words = shlex.split(rest, comments=True)
    except ValueError:
        words = rest.split()
    named = {word.split("=")[0] for word in words if re.fullmatch(r"--[a-z][a-z-]*(=.*)?", word)}
    assert named <= options_near(source), f"{page}: {module} has no {sorted(named - options_near(source))}"


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_links_lead_somewhere(page):
    for target in LINK.findall(page.read_text()):
        if "://" not in target and not target.startswith("mailto:"):
            assert (page.parent / target).exists(), f"{page_name(page)} links to {target}"


def test_make_targets_on_pages_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    targets |= {
        name for line in re.findall(r"^([a-z -]+):", (ROOT / "Makefile").read_text(), re.M) for name in line.split()
    }
    for page in PAGES:
        for name in re.findall(r"(?:^|`)make ([a-z-]+)", page.read_text(), re.M):
            assert name in targets, f"{page_name(page)} names make {name}"


def test_every_command_module_is_documented():
    """Each module that ends in a ``main`` is named on a page."""
    text = "".join(page.read_text() for page in PAGES)
    for path in (ROOT / "include" / "ml_training").rglob("*.py"):
        functions = {node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)}
        if "main" in functions and path.name != "device_runner.py":
            parts = list(path.relative_to(ROOT / "include").with_suffix("").parts)
            module = ".".join(parts[:-1] if parts[-1] == "__main__" else parts)
            assert module in text, f"no page names python -m {module}"


def test_no_page_names_this_machine():
    home = str(Path.home())
    for page in PAGES:
        assert home not in page.read_text()


def test_the_package_is_found_without_importing_it():
    assert importlib.util.find_spec("ml_training") is not None
