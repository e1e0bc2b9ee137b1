"""Reads the YAML configs; the only reader of them.

config = load_config("base_model")                       # a name in include/configs
config = load_config("my/own.yaml", {"training.seed": 2})  # a path, with overrides
"""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from ml_training.config.schema import TrainingConfig
from ml_training.config.settings import read_settings
from ml_training.utils.errors import ConfigError


def config_names(folder: str = "") -> list[str]:
    """Return the names of the configs that ``--config`` takes, or of those in a folder among them."""
    return sorted(path.stem for path in (read_settings().config_dir / folder).glob("*.yaml"))


def config_path(name_or_path: str, folder: str = "") -> Path:
    """Find a config by its name or path. Raises ConfigError that names the nearest one."""
    if name_or_path.endswith((".yaml", ".yml")) or "/" in name_or_path:
        path = Path(name_or_path)
        if not path.is_file():
            raise ConfigError(f"there is no config file {path}")
        return path
    path = read_settings().config_dir / folder / f"{name_or_path}.yaml"
    if not path.is_file():
        known = config_names(folder)
        near = difflib.get_close_matches(name_or_path, known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(known) or 'none'}"
        raise ConfigError(f"there is no config {name_or_path!r} in {path.parent}{hint}")
    return path


def load_config(name_or_path: str, overrides: Mapping[str, Any] | None = None) -> TrainingConfig:
    """Read, override and check a config.

    ``overrides`` maps dotted names to values: ``{"training.upper.epochs": 2}``. Raises ConfigError with every mistake
    and, for an unknown key, the nearest known one.
    """
    path = config_path(name_or_path)
    try:
        content = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not YAML: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path} must hold a mapping, received {type(content).__name__}")
    for name, value in (overrides or {}).items():
        set_value(content, name, value)
    return parse_config(content, source=str(path))


def parse_config(content: Mapping[str, Any], *, source: str) -> TrainingConfig:
    """Check a config that was read already; ``source`` is named in the error."""
    try:
        return TrainingConfig.model_validate(content)
    except ValidationError as error:
        mistakes = "\n".join(f"  {_explain(item)}" for item in error.errors())
        raise ConfigError(f"{source} has {error.error_count()} mistake(s):\n{mistakes}") from error


def set_value(content: dict[str, Any], dotted: str, value: Any) -> None:
    """Set the value of a dotted name in what a config file holds. Raises ConfigError where that is no section."""
    *parents, last = dotted.split(".")
    for parent in parents:
        if content.get(parent) is None:
            content[parent] = {}
        content = content[parent]
        if not isinstance(content, dict):
            raise ConfigError(f"cannot set {dotted}: {parent} is not a section")
    content[last] = value


def _explain(item: Any) -> str:
    location = [str(part) for part in item["loc"]]
    name = ".".join(location)
    if item["type"] != "extra_forbidden":
        return f"{name}: {item['msg']}, received {item['input']!r}"
    near = difflib.get_close_matches(location[-1], _known_keys(location[:-1]), n=1)
    return f"{name}: unknown key" + (f"; did you mean {near[0]!r}?" if near else "")


def _known_keys(path: list[str]) -> list[str]:
    section: type[BaseModel] = TrainingConfig
    for part in path:
        field = section.model_fields.get(part)
        if field is None or not isinstance(field.annotation, type) or not issubclass(field.annotation, BaseModel):
            return []
        section = field.annotation
    return list(section.model_fields)
