"""Reads ``airflow_settings.yaml`` in Astro's form and turns it into what Airflow takes from its environment.

    settings = read_settings_file(Path("airflow_settings.yaml"))
    settings.environment({"mlflow_default": {"host": "http://127.0.0.1:5050"}}, {"adbreak_bucket": "adbreak"})

Generated values (ports, keys, passwords) override the file's, field by field. Pools have no environment form: they are
in ``settings.pools`` for the REST API.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from local_stack.errors import InputError

FIELDS = ("conn_type", "host", "schema", "login", "password", "port", "extra")


@dataclass(frozen=True)
class AirflowSettings:
    """Connections by id (fields named as in Airflow's JSON form), variables by name, pools as (name, slots, text)."""

    connections: dict[str, dict[str, Any]]
    variables: dict[str, str]
    pools: list[tuple[str, int, str]]

    def environment(self, connections: Mapping[str, Mapping[str, Any]], variables: Mapping[str, str]) -> dict[str, str]:
        """Return ``AIRFLOW_CONN_*`` and ``AIRFLOW_VAR_*`` of the file with the given values laid over it."""
        merged = {name: dict(fields) for name, fields in self.connections.items()}
        for name, fields in connections.items():
            target = merged.setdefault(name, {})
            extra = {**target.get("extra", {}), **fields.get("extra", {})}
            target.update(fields)
            if extra:
                target["extra"] = extra
        result = {f"AIRFLOW_CONN_{name.upper()}": json.dumps(fields) for name, fields in merged.items()}
        for name, value in {**self.variables, **variables}.items():
            result[f"AIRFLOW_VAR_{name.upper()}"] = value
        return result


def read_settings_file(path: Path) -> AirflowSettings:
    """Read the file. Raises InputError when it is missing or not in Astro's form."""
    try:
        content = yaml.safe_load(path.read_text())
    except FileNotFoundError as error:
        raise InputError(f"there is no {path}: it holds the connections, variables and pools of Airflow") from error
    except yaml.YAMLError as error:
        raise InputError(f"{path} is not YAML: {error}") from error
    section = content.get("airflow") if isinstance(content, dict) else None
    if not isinstance(section, dict):
        raise InputError(f"{path}: expected the key 'airflow' with connections, pools and variables")
    return AirflowSettings(
        connections={entry["conn_id"]: _connection(entry) for entry in _named(path, section, "connections", "conn_id")},
        variables={
            entry["variable_name"]: _text(entry.get("variable_value"))
            for entry in _named(path, section, "variables", "variable_name")
        },
        pools=[
            (entry["pool_name"], int(entry.get("pool_slot") or 1), str(entry.get("pool_description") or ""))
            for entry in _named(path, section, "pools", "pool_name")
        ],
    )


def _named(path: Path, section: dict[str, Any], kind: str, key: str) -> list[dict[str, Any]]:
    """Return the entries of one kind; Astro's template has one empty entry of each, which counts as none."""
    entries = section.get(kind) or []
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InputError(f"{path}: expected a list of mappings under airflow.{kind}")
    return [entry for entry in entries if entry.get(key)]


def _connection(entry: dict[str, Any]) -> dict[str, Any]:
    fields = {name: entry.get(name if name == "conn_type" else f"conn_{name}") for name in FIELDS}
    if isinstance(fields["extra"], str):
        fields["extra"] = json.loads(fields["extra"])
    return {name: value for name, value in fields.items() if value not in (None, "", {})}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else json.dumps(value)
