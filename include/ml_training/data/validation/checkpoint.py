"""Runs a suite through Great Expectations and tells its findings plainly.

    findings = run_checkpoint("frames", tables, folder=work, run_name="2026-01-05T02-00-00-frames")
    [f.recordings for f in findings if f.severity == "quarantine"]

Below ``folder`` lie the library's own results and the data docs, a static site: what earlier runs left there is linked
from its index as well.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from ml_training.data.validation.engine import RunIdentifier, config_types, gx
from ml_training.data.validation.suites import Severity, suite_expectations

RESULTS_FOLDER = Path("uncommitted", "validations")
DOCS_FOLDER = Path("uncommitted", "data_docs", "local_site")
SITE = "local_site"
EXAMPLES = 5


class Finding(NamedTuple):
    """An expectation that does not hold. ``recordings`` are those that break it, empty when it is about all."""

    table: str
    expectation: str
    severity: Severity
    detail: str
    recordings: list[str]


def run_checkpoint(suite: str, tables: Mapping[str, pd.DataFrame], *, folder: Path, run_name: str) -> list[Finding]:
    """Check the tables of a suite, write results and data docs below ``folder``, return what does not hold."""
    context = _context(folder)
    run_id = RunIdentifier(run_name=run_name, run_time=datetime.now(UTC))
    source = context.data_sources.add_pandas(suite)
    findings: list[Finding] = []
    for table, rules in suite_expectations(suite).items():
        definition = _definition(context, source, suite, table, rules)
        checkpoint = gx.Checkpoint(
            name=f"{suite}-{table}",
            validation_definitions=[definition],
            actions=[gx.checkpoint.UpdateDataDocsAction(name="data_docs", site_names=[SITE])],
            result_format=_result_format(tables[table]),
        )
        result = context.checkpoints.add(checkpoint).run(batch_parameters={"dataframe": tables[table]}, run_id=run_id)
        findings += [f for run in result.run_results.values() for f in _findings(table, run)]
    return findings


def _context(folder: Path) -> Any:
    defaults = config_types.FilesystemStoreBackendDefaults(root_directory=str(folder))
    defaults.data_docs_sites[SITE]["show_how_to_buttons"] = False
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


def _result_format(table: pd.DataFrame) -> dict[str, Any]:
    known = [column for column in ("recording_id", "creative", "split") if column in table.columns][:1]
    return {"result_format": "COMPLETE", "unexpected_index_column_names": known}


def _findings(table: str, run: Any) -> list[Finding]:
    return [_finding(table, item) for item in run.results if not item.success]


def _finding(table: str, item: Any) -> Finding:
    """Describe a broken rule. One that cannot be checked, or names no recording to set aside, stops the night."""
    meta, error = item.expectation_config.meta, error_of(item)
    places = item.result.get("unexpected_index_list") or []
    recordings = sorted({str(place["recording_id"]) for place in places if place.get("recording_id")})
    severity: Severity = "stop" if error or (meta["severity"] == "quarantine" and not recordings) else meta["severity"]
    return Finding(table, meta["name"], severity, _detail(meta["says"], item.result, error), recordings)


def _detail(says: str, result: Mapping[str, Any], error: str | None) -> str:
    if error:
        return f"expected that {says}, but it could not be checked: {error}"
    if "unexpected_count" in result:
        examples = "; ".join(_example(place) for place in (result.get("unexpected_index_list") or [])[:EXAMPLES])
        return f"expected that {says}; {result['unexpected_count']} of {result['element_count']} do not ({examples})"
    return f"expected that {says}; received {result.get('observed_value', 'nothing')}"


def _example(place: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{key} {value:.6g}" if isinstance(value, float) else f"{key} {value}" for key, value in place.items()
    )


def error_of(item: Any) -> str | None:
    """Return why an expectation could not be checked, None when it could; the library nests it by metric, or not."""
    info = item.exception_info
    for entry in (info, *(value for value in info.values() if isinstance(value, dict))):
        if entry.get("raised_exception"):
            return str(entry.get("exception_message"))
    return None
