"""The night on one screen: every number is read from what the tasks returned.

    print(render(facts, durations, peak_bytes, addresses))

``facts`` maps a phase to its tasks' results, each a list with one entry for every mapped instance.
"""

import textwrap
from collections.abc import Mapping
from typing import Any

from local_stack.progress import clock

WIDTH = 98
INDENT = 14
COLUMN = 24
MOST_REASONS = 4
MOST_PREDICTIONS, MOST_STRETCHES = 8, 6
MOST_SLICES = 4
SPLITS = ("train", "validation", "test")
METRICS = ("precision", "recall", "f1")
WORDS = {"pass": "passed", "fail": "failed", "not_measured": "not measured"}

Facts = Mapping[str, Mapping[str, list[Any]]]


def render(
    facts: Facts, durations: Mapping[str, float], peak_bytes: int, addresses: Mapping[str, str], total_seconds: float
) -> str:
    """Return the summary, at most 98 columns wide."""
    lines = ["", " Adbreak: the night ".center(WIDTH, "="), *ingestion_lines(facts), *validation_lines(facts)]
    if "prediction" in facts:
        lines += prediction_lines(facts["prediction"])
    retraining = facts.get("retraining", {})
    for at in range(len(retraining.get("parity_and_size", []))):
        lines += dataset_lines(_at(retraining, "dataset_version", at))
        lines += cost_lines(_at(retraining, "training", at).get("cost"))
        lines += model_lines(retraining, facts.get("promotion", {}), at)
    lines += delivery_lines(_at(facts.get("delivery", {}), "check", 0))
    phases = ", ".join(f"{name} {clock(seconds)}" for name, seconds in durations.items())
    lines += _entry("time", f"{clock(total_seconds)} in all: {phases}")
    lines += _entry("memory", f"{peak_bytes / 1e9:.1f} GB at most, all processes together")
    for name, address in addresses.items():
        lines += _entry(name, address)
    return "\n".join([*lines, "=" * WIDTH])


def ingestion_lines(facts: Facts) -> list[str]:
    """Say what came in."""
    report = _at(facts.get("ingestion", {}), "ingest_report", 0)
    counts: Mapping[str, int] = report.get("recordings", {})
    parts = [f"{count} {status}" for status, count in counts.items()] or ["nothing new"]
    return _entry("recordings", f"{', '.join(parts)}; {report.get('hours', 0):.2f} hours")


def validation_lines(facts: Facts) -> list[str]:
    """Say what Great Expectations found."""
    lines = []
    for task_id, results in facts.get("validation", {}).items():
        for result in results:
            if not isinstance(result, dict) or "success" not in result:
                continue
            warnings = len(result.get("warnings", []))
            parts = ["passed" if result["success"] else "FAILED", f"{result.get('checked', 0)} checked"]
            parts += [f"{warnings} warnings"] * bool(warnings)
            parts += [f"quarantined: {', '.join(result['quarantined'])}"] * bool(result.get("quarantined"))
            lines += _entry("validation", f"{task_id.removeprefix('validate_')}: {', '.join(parts)}")
    return lines


def prediction_lines(prediction: Mapping[str, Any]) -> list[str]:
    """Say what the champion saw in recordings without labels."""
    if reason := prediction.get("reason"):
        return _entry("prediction", f"none: {reason}")
    lines = _entry("prediction", f"by {prediction['model']}, single frames; scores in {prediction['output']}")
    for seen in prediction["recordings"][:MOST_PREDICTIONS]:
        runs = ", ".join(f"{clock(start)} to {clock(end)}" for start, end in seen["stretches"][:MOST_STRETCHES])
        more = f" and {len(seen['stretches']) - MOST_STRETCHES} more" * (len(seen["stretches"]) > MOST_STRETCHES)
        text = f"{seen['recording_id']}: {seen['ad_share']:.0%} of {seen['frames']} frames ads; {runs or 'none'}{more}"
        lines += _entry("", text)
    if (rest := len(prediction["recordings"]) - MOST_PREDICTIONS) > 0:
        lines += _entry("", f"and {rest} more recordings")
    if without := prediction["without_frames"]:
        lines += _entry("", f"no frames: {', '.join(without)}")
    return lines


def dataset_lines(dataset: Mapping[str, Any]) -> list[str]:
    """Say how many frames each split has."""
    parts = [
        f"{split} {dataset['frames'][split]['ad']} ad + {dataset['frames'][split]['content']} content"
        for split in SPLITS
        if split in dataset.get("frames", {})
    ]
    unit = f" (split by {dataset['split_unit']})" if dataset.get("split_unit") else ""
    return _entry("frames", f"{'; '.join(parts)}{unit}")


def cost_lines(cost: Mapping[str, Any] | None) -> list[str]:
    """Say what machines of a cloud cost; nothing where the training was local."""
    if not cost:
        return []
    counts = [(cost["machines"], "machine" if cost["machines"] == 1 else "machines")]
    counts += [(cost["interruptions"], "taken away")] * bool(cost["interruptions"])
    said = f"{cost['usd']:.4f} USD{' (simulated)' if cost.get('simulated') else ''}, an estimate until the bill comes"
    machines = ", ".join(f"{count} {name}" for count, name in counts)
    return _entry("cost", f"{said}; {machines}, {clock(cost['seconds'])}")


def model_lines(retraining: Mapping[str, list[Any]], promotion: Mapping[str, list[Any]], at: int) -> list[str]:
    """Say how good, how large and how fast one family's int8 file is, what the gates say, and where it stands."""
    report = _at(retraining, "parity_and_size", at)
    lines = _entry("held out", _held_out(report))
    lines += _entry("", "".join(f"{name:<{COLUMN}}" for name in METRICS).rstrip())
    for kind in ("float", "int8"):
        lines += [
            f" {kind:<{INDENT - 1}}" + "".join(f"{interval(report[kind][name]):<{COLUMN}}" for name in METRICS).rstrip()
        ]
    gain = interval(opposite(report["f1_loss"]), signed=True)
    lines += _entry("int8 file", f"{report['size_bytes'] / 1e6:.2f} MB; F1 against float {gain}")
    for benchmark in retraining.get("benchmark_on_device", []):
        if benchmark and benchmark.get("model_uri", report.get("model_uri")) == report.get("model_uri"):
            lines += _entry("device", device(benchmark))
    lines += gate_lines(_at(retraining, "gates", at))
    return lines + _entry("registered", registered(_at(retraining, "registered", at), promotion))


def delivery_lines(check: Mapping[str, Any]) -> list[str]:
    """Say what the device runs now, and what it said of what it was offered."""
    if not check:
        return []
    model = (check.get("status") or {}).get("model")
    runs = f"runs {model['name']}-v{model['semver']}" if model else "runs no model yet"
    return _entry("delivered", f"{check['device']}, {check['board']}: {runs}; {check['outcome']}: {check['message']}")


def interval(value: Mapping[str, Any], *, signed: bool = False) -> str:
    """Return an estimate with its 95 % interval."""
    form = "+.3f" if signed else ".3f"
    if value.get("low") is None or value.get("high") is None:
        return f"{value['value']:{form}} (no interval)"
    return f"{value['value']:{form}} ({value['low']:{form}}..{value['high']:{form}})"


def opposite(value: Mapping[str, Any]) -> dict[str, float | None]:
    """Turn a loss into a gain."""
    low, high = value.get("low"), value.get("high")
    return {
        "value": 0.0 - value["value"],
        "low": None if high is None else 0.0 - high,
        "high": None if low is None else 0.0 - low,
    }


def device(benchmark: Mapping[str, Any]) -> str:
    """Return a device's latency, with the word simulated where it is not the board that the gate names."""
    latency = benchmark["latency_ms"]
    board = benchmark["board"]
    if benchmark.get("simulated"):
        described = benchmark.get("described_board") or board
        board = described if "simulated" in described else f"simulated: {described}"
    parity = "golden outputs exact" if benchmark.get("golden_exact") else "golden outputs DIFFER"
    return f"{benchmark['device']}, {board}: p50 {latency['p50']:.1f} ms, p95 {latency['p95']:.1f} ms, {parity}"


def gate_lines(judgement: Mapping[str, Any]) -> list[str]:
    """Say which gates passed, failed or were not measured, and what follows."""
    lines = []
    for verdict, word in WORDS.items():
        gates = [_gate(item) for item in judgement.get("verdicts", []) if item["verdict"] == verdict]
        slices = [gate for gate in gates if "[" in gate]
        if len(slices) > MOST_SLICES:
            gates = [*(gate for gate in gates if "[" not in gate), f"{len(slices)} slices against the champion"]
        if gates:
            lines += _entry(word, ", ".join(gates))
    lines += _entry("result", "ACCEPTED" if judgement.get("accepted") else "REFUSED")
    reasons = list(judgement.get("reasons", []))
    for reason in reasons[:MOST_REASONS]:
        lines += _entry("", reason)
    if len(reasons) > MOST_REASONS:
        lines += _entry("", f"and {len(reasons) - MOST_REASONS} more reasons")
    return lines


def registered(version: Mapping[str, Any], promotion: Mapping[str, list[Any]]) -> str:
    """Return name, version and aliases, after the promotion where there was one."""
    promoted = next(
        (item for item in promotion.get("promotion", []) if item and item.get("name") == version.get("name")), {}
    )
    current = {**version, **{key: value for key, value in promoted.items() if value}}
    aliases = ", ".join(current.get("aliases", [])) or "none"
    return (
        f"{current.get('name')}-v{current.get('semver')} (MLflow version {current.get('version')}), aliases: {aliases}"
    )


def _gate(verdict: Mapping[str, Any]) -> str:
    return verdict["gate"] + (" (simulated)" if verdict.get("simulated") else "")


def _held_out(report: Mapping[str, Any]) -> str:
    count = report.get("recordings", 0)
    share = f", {100 * report['ad_share']:.0f} % ads" if report.get("ad_share") is not None else ""
    unit = f" by {report['split_unit']}" if report.get("split_unit") else ""
    return f"{count} recordings{unit}, {report.get('frames', 0)} frames{share}; value (95 % interval)"


def _at(results: Mapping[str, list[Any]], task_id: str, index: int) -> dict[str, Any]:
    values = results.get(task_id, [])
    return dict(values[index] or {}) if index < len(values) else {}


def _entry(name: str, text: str) -> list[str]:
    wrapped = textwrap.wrap(text, WIDTH - INDENT - 1, break_long_words=False, break_on_hyphens=False) or [""]
    return [f" {name if at == 0 else '':<{INDENT - 1}}{line}" for at, line in enumerate(wrapped)]
