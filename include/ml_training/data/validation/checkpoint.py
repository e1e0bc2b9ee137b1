"""Runs a suite through Great Expectations and tells its findings plainly.

    findings = run_checkpoint("frames", rules(), tables, folder=work, run_name="2026-01-05T02-00-00-frames")
    [f.names for f in findings if f.severity == "quarantine"]

Below ``folder`` lie the library's own results and the data docs, a static site.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from ml_training.data.validation.engine import RunIdentifier, config_types, gx
from ml_training.data.validation.rules import Rules, Severity

RESULTS_FOLDER = Path("uncommitted", "validations")
DOCS_FOLDER = Path("uncommitted", "data_docs", "local_site")
SITE = "local_site"
EXAMPLES = 5
SUBJECTS = ("recording_id", "creative", "split", "feature", "check", "file", "device", "channel")  # what a row is about
EXPLANATIONS = ("mistake", "wrong_fact", "copy_of")  # columns that say more


class Finding(NamedTuple):
    """An expectation that does not hold. ``names`` are the rows that break it, empty when it is about all.

    ``subject`` says what they name: ``recording_id``, ``file``, ``split`` and so on.
    """

    table: str
    expectation: str
    severity: Severity
    detail: str
    names: list[str]
    subject: str = "recording_id"


def run_checkpoint(
    suite: str, rules: Rules, tables: Mapping[str, pd.DataFrame], *, folder: Path, run_name: str
) -> list[Finding]:
    """Check the tables of a suite, write results and data docs below ``folder``, return what does not hold."""
    context = _context(folder)
    run_id = RunIdentifier(run_name=run_name, run_time=datetime.now(UTC))
    source = context.data_sources.add_pandas(suite)
    findings: list[Finding] = []
    for table, expected in rules.items():
        definition = _definition(context, source, suite, table, expected)
        checkpoint = gx.Checkpoint(
            name=f"{suite}-{table}",
            validation_definitions=[definition],
            result_format={"result_format": "COMPLETE", "unexpected_index_column_names": _shown(tables[table])},
        )
        result = context.checkpoints.add(checkpoint).run(batch_parameters={"dataframe": tables[table]}, run_id=run_id)
        findings += [f for run in result.run_results.values() for f in _findings(table, run)]
    context.build_data_docs(site_names=[SITE])  # once: most of the time goes into pages
    return findings


def _shown(table: pd.DataFrame) -> list[str]:
    """Return the columns that tell a row: what it is about, and what more there is to say of it."""
    subject = [column for column in SUBJECTS if column in table.columns][:1]
    return subject + [column for column in EXPLANATIONS if column in table.columns]


def _context(folder: Path) -> Any:
    defaults = config_types.FilesystemStoreBackendDefaults(root_directory=str(folder))
    site = {"show_how_to_buttons": False, "site_section_builders": {"expectations": "none", "profiling": "none"}}
    defaults.data_docs_sites[SITE].update(site)  # a page says the rules beside what was found: no page of rules alone
    config = config_types.DataContextConfig(
        store_backend_defaults=defaults,
        progress_bars=config_types.ProgressBarsConfig(globally=False),
        analytics_enabled=False,
    )
    return gx.get_context(mode="ephemeral", project_config=config)


def _definition(context: Any, source: Any, suite: str, table: str, rules: list[Any]) -> Any:
    name = f"{suite}-{table}"
    batch = source.add_dataframe_asset(table).add_batch_definition_whole_dataframe("all")
    stored = context.suites.add_or_update(gx.ExpectationSuite(name=name, expectations=rules))
    return context.validation_definitions.add_or_update(gx.ValidationDefinition(name=name, data=batch, suite=stored))


def _findings(table: str, run: Any) -> list[Finding]:
    return [_finding(table, item) for item in run.results if not item.success]


def _finding(table: str, item: Any) -> Finding:
    """Describe a broken rule. One that cannot be checked, or names nothing to set aside, stops the night."""
    meta, error = item.expectation_config.meta, error_of(item)
    places = _places(item.result)
    subject = next((name for name in SUBJECTS if places and name in places[0]), "recording_id")
    names = sorted({str(place[subject]) for place in places if place.get(subject)})
    severity: Severity = "stop" if error or (meta["severity"] == "quarantine" and not names) else meta["severity"]
    return Finding(table, meta["name"], severity, _detail(meta["says"], item.result, error), names, subject)


def _detail(says: str, result: Mapping[str, Any], error: str | None) -> str:
    if error:
        return f"expected that {says}, but it could not be checked: {error}"
    if "unexpected_count" in result:
        examples = "; ".join(_example(place) for place in _places(result)[:EXAMPLES])
        shown = f" ({examples or str(result.get('partial_unexpected_list', []))[1:-1]})"
        return f"expected that {says}; {result['unexpected_count']} of {result['element_count']} do not{shown}"
    return f"expected that {says}; received {result.get('observed_value', 'nothing')}"


def _places(result: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the columns that tell the rows which break a rule; a table about all has only row numbers."""
    return [place for place in result.get("unexpected_index_list") or [] if isinstance(place, Mapping)]


def _example(place: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{key} {value:.6g}" if isinstance(value, float) else f"{key} {value}"
        for key, value in place.items()
        if value is not None and value == value  # not NaN
    )


def error_of(item: Any) -> str | None:
    """Return why an expectation could not be checked, None when it could; the library nests it by metric, or not."""
    info = item.exception_info
    for entry in (info, *(value for value in info.values() if isinstance(value, dict))):
        if entry.get("raised_exception"):
            return str(entry.get("exception_message"))
    return None
