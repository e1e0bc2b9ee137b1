"""The words in which suites say what they expect: Great Expectations' own, with a name, a severity and a sentence.

    between("luma", "luma_range", "quarantine", "luma is within 0..255", min_value=0, max_value=255)

| severity | when a rule does not hold |
| --- | --- |
| stop | the command fails: something is wrong with the pipeline or with the labels, and training must wait |
| quarantine | what breaks it is set aside (a recording, or a file of telemetry), and the rest goes on |
| warn | it is told, nothing else |
"""

from collections.abc import Sequence
from typing import Any, Literal

from ml_training.data.validation.engine import expectations

Severity = Literal["stop", "quarantine", "warn"]
Rules = dict[str, list[Any]]  # by the table that they are about

MATURITY = {"stop": "critical", "quarantine": "warning", "warn": "info"}  # the library's own words, for its pages


def rule(kind: str, name: str, severity: Severity, says: str, **options: Any) -> Any:
    """Return the expectation ``kind`` (its class name) with ``options``."""
    meta = {"name": name, "severity": severity, "says": says}
    expectation = getattr(expectations, kind)
    return expectation(meta=meta, description=f"{says} ({severity})", severity=MATURITY[severity], **options)


def between(column: str, name: str, severity: Severity, says: str, **bounds: Any) -> Any:
    """Expect each value within ``min_value`` and ``max_value`` (``strict_min``, ``strict_max``); NaN is passed over."""
    return rule("ExpectColumnValuesToBeBetween", name, severity, says, column=column, **bounds)


def zero(column: str, name: str, severity: Severity, says: str) -> Any:
    """Expect a count of nothing."""
    return between(column, name, severity, says, min_value=0, max_value=0)


def filled(column: str, severity: Severity) -> Any:
    """Expect a value in each row."""
    says = f"every row has a {column}"
    return rule("ExpectColumnValuesToNotBeNull", f"{column}_filled", severity, says, column=column)


def among(column: str, name: str, severity: Severity, says: str, values: Sequence[Any]) -> Any:
    """Expect each value to be one of ``values``."""
    return rule("ExpectColumnValuesToBeInSet", name, severity, says, column=column, value_set=list(values))


def matches(column: str, name: str, severity: Severity, says: str, regex: str) -> Any:
    """Expect each text to match ``regex``; null is passed over."""
    return rule("ExpectColumnValuesToMatchRegex", name, severity, says, column=column, regex=regex)


def once(column: str, name: str, severity: Severity, says: str) -> Any:
    """Expect each value of a column once."""
    return rule("ExpectColumnValuesToBeUnique", name, severity, says, column=column)


def once_together(columns: list[str], name: str, severity: Severity, says: str) -> Any:
    """Expect each combination of the columns' values once."""
    return rule("ExpectCompoundColumnsToBeUnique", name, severity, says, column_list=columns)


def contains(column: str, name: str, severity: Severity, says: str, values: Sequence[Any]) -> Any:
    """Expect each of ``values`` somewhere in the column."""
    kind = "ExpectColumnDistinctValuesToContainSet"
    return rule(kind, name, severity, says, column=column, value_set=list(values))
