"""Says whether an int8 file may ship: one verdict a gate, then accepted or refused under a policy.

    python -m ml_training.registry.gates judge --report RUN/int8/report.json --benchmarks RUN/benchmarks/pi5.json \\
        --config base_model --policy local

A verdict is pass, fail or not measured, each perhaps simulated; not measured is never pass. The policy ``local``
accepts simulated verdicts, ``production`` refuses them. A refusal is a result, not a failure: the exit code is 0. The
verdicts go to ``verdicts.json`` beside the report. The bounds are those of the config's section ``gates``.
"""

import argparse
import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

from ml_training.cloud import storage
from ml_training.config.loading import load_config
from ml_training.config.schema import GatesSection
from ml_training.config.settings import read_settings
from ml_training.registry.evidence import Benchmark, Comparison, Evidence, Report, read_evidence
from ml_training.utils.command_line import command_parser, run_command
from ml_training.utils.records import GateVerdict, Interval, Record, Verdict

Policy = Literal["local", "production"]
POLICIES: tuple[Policy, ...] = ("local", "production")


class Judgement(Record):
    """All verdicts on one file, and what follows from them under one policy."""

    version: Literal[1] = 1
    model_name: str
    model_uri: str
    sha256: str
    dataset_id: str
    policy: Policy
    accepted: bool
    summary: str
    reasons: list[str]
    simulated: list[str]
    metrics: dict[str, float]
    verdicts: list[GateVerdict]


def judge(evidence: Evidence, bounds: GatesSection, policy: Policy) -> Judgement:
    """Hold the evidence against the bounds. Without a champion, the gates against it are absent."""
    verdicts = judge_gates(evidence, bounds)
    reasons = refusals(verdicts, policy)
    simulated = [verdict.gate for verdict in verdicts if verdict.simulated]
    report = evidence.report
    return Judgement(
        model_name=report.model_name,
        model_uri=report.model_uri,
        sha256=report.sha256,
        dataset_id=report.dataset_id,
        policy=policy,
        accepted=not reasons,
        summary=_summary(report, reasons, simulated),
        reasons=reasons,
        simulated=simulated,
        metrics=_metrics(evidence, verdicts),
        verdicts=verdicts,
    )


def judge_gates(evidence: Evidence, bounds: GatesSection) -> list[GateVerdict]:
    """Return one verdict a gate, in the order in which people read them."""
    report, scores = evidence.report, evidence.report.int8
    verdicts = [
        above("precision", scores.precision.value, bounds.precision),
        above("recall", scores.recall.value, bounds.recall),
        above("f1", scores.f1.value, bounds.f1),
        paired_loss("int8_f1_loss", report.f1_loss, bounds.int8_f1_loss, against="the float model"),
        below("size", report.size_bytes, bounds.size_bytes, unit="bytes"),
        _all_int8(report),
        latency(evidence.benchmarks, bounds),
        golden_parity(evidence.benchmarks, bounds.latency_board),
    ]
    if report.champion is not None:
        verdicts += against_champion(report.champion, bounds)
    return verdicts


def refusals(verdicts: Sequence[GateVerdict], policy: Policy) -> list[str]:
    """Return why a file with these verdicts is refused under ``policy``; nothing when it is accepted."""
    reasons = []
    for verdict in verdicts:
        if not verdict.blocking:
            continue
        if verdict.verdict != "pass":
            reasons.append(f"{verdict.gate}: {verdict.reason}")
        elif verdict.simulated and policy == "production":
            reasons.append(f"{verdict.gate}: only simulated, and the policy production asks for a measurement")
    return reasons


def above(gate: str, value: float | None, bound: float, *, unit: str = "") -> GateVerdict:
    """Pass when the point estimate is greater than ``bound``."""
    return _bounded(gate, value, bound, unit, lambda number: number > bound, "not above")


def below(gate: str, value: float | None, bound: float, *, unit: str = "", simulated: bool = False) -> GateVerdict:
    """Pass when the value is less than ``bound``."""
    verdict = _bounded(gate, value, bound, unit, lambda number: number < bound, "not below")
    return verdict.model_copy(update={"simulated": simulated})


def _bounded(
    gate: str, value: float | None, bound: float, unit: str, holds: Callable[[float], bool], otherwise: str
) -> GateVerdict:
    if value is None or not math.isfinite(value):
        return GateVerdict(gate=gate, verdict="not_measured", bound=bound, unit=unit, reason="not measured")
    verdict: Verdict = "pass" if holds(value) else "fail"
    relation = otherwise if verdict == "fail" else otherwise.removeprefix("not ")
    reason = f"{_number(value, unit)} is {relation} {_number(bound, unit)}"
    return GateVerdict(gate=gate, verdict=verdict, value=value, bound=bound, unit=unit, reason=reason)


def paired_loss(gate: str, loss: Interval, margin: float, *, against: str, blocking: bool = True) -> GateVerdict:
    """Fail when the paired loss of F1 exceeds ``margin`` and its 95 % interval excludes zero.

    A loss above the margin without an interval (fewer than two recordings) is not measured.
    """
    verdict: Verdict = "pass"
    if not math.isfinite(loss.value):
        return GateVerdict(gate=gate, verdict="not_measured", bound=margin, blocking=blocking, reason="not measured")
    if loss.value <= margin:
        reason = f"F1 is {-loss.value:+.4f} against {against}, at most {margin} may be lost"
    elif loss.low is None:
        verdict, reason = "not_measured", f"{_loss(loss, against, margin)}, from too few recordings for an interval"
    elif loss.low > 0:
        verdict, reason = "fail", f"{_loss(loss, against, margin)}, and the interval from {loss.low:.4f} excludes zero"
    else:
        reason = f"{_loss(loss, against, margin)}, but the interval from {loss.low:.4f} holds zero"
    return GateVerdict(gate=gate, verdict=verdict, value=loss.value, bound=margin, blocking=blocking, reason=reason)


def latency(benchmarks: Sequence[Benchmark], bounds: GatesSection) -> GateVerdict:
    """Judge the slowest 95th percentile among the boards that the config names; without one, a simulated verdict."""
    real = [item for item in benchmarks if is_measured(item, bounds.latency_board)]
    chosen = real or list(benchmarks)
    slowest = max((item.latency_ms.get("p95", math.nan) for item in chosen), default=None, key=_nan_is_slowest)
    verdict = below("latency_p95", slowest, bounds.latency_p95_ms, unit="ms", simulated=bool(chosen) and not real)
    where = ", ".join(item.device for item in chosen) or f"no device was measured, expected a {bounds.latency_board}"
    return verdict.model_copy(update={"reason": f"{verdict.reason} ({where})"})


def golden_parity(benchmarks: Sequence[Benchmark], board: str) -> GateVerdict:
    """Pass when every device gave exactly the golden outputs; simulated when none of them is a ``board``."""
    different = [item for item in benchmarks if not item.golden_exact]
    simulated = bool(benchmarks) and not any(is_measured(item, board) for item in benchmarks)
    verdict: Verdict = "fail" if different else "pass"
    if not benchmarks:
        verdict, reason = "not_measured", "no device ran the golden inputs"
    elif different:
        shown = ", ".join(f"{item.device} by up to {item.golden_max_difference:g}" for item in different)
        reason = f"other outputs than the golden ones: {shown}"
    else:
        reason = f"exact on {', '.join(item.device for item in benchmarks)}"
    return GateVerdict(gate="golden_parity", verdict=verdict, simulated=simulated, reason=reason)


def against_champion(champion: Comparison, bounds: GatesSection) -> list[GateVerdict]:
    """Judge the whole test set and every slice against the champion; few recordings never block."""
    gain = champion.f1_gain
    whole = Interval(
        value=-gain.value,
        low=None if gain.high is None else -gain.high,
        high=None if gain.low is None else -gain.low,
        recordings=gain.recordings,
    )
    losses = {"champion_f1_loss": whole} | {
        f"champion_f1_loss[{name}]": item.f1_loss for name, item in sorted(champion.slices.items())
    }
    who = f"{champion.name} {champion.version}".strip()
    return [
        paired_loss(gate, loss, bounds.slice_f1_loss, against=who, blocking=loss.recordings >= bounds.slice_recordings)
        for gate, loss in losses.items()
    ]


def is_measured(benchmark: Benchmark, board: str) -> bool:
    """Tell whether a benchmark ran on a ``board``, by the device's own report."""
    return not benchmark.simulated and board.lower() in benchmark.board.lower()


def _all_int8(report: Report) -> GateVerdict:
    floats = len(report.float_operators)
    if report.all_int8:
        return GateVerdict(gate="all_int8", verdict="pass", value=0, bound=0, reason="every operator is int8")
    reason = f"{floats} operator(s) that are not int8, such as {report.float_operators[:1]}"
    return GateVerdict(gate="all_int8", verdict="fail", value=floats, bound=0, reason=reason)


def _nan_is_slowest(value: float) -> float:
    return math.inf if math.isnan(value) else value


def _loss(loss: Interval, against: str, margin: float) -> str:
    return f"F1 falls by {loss.value:.4f} against {against}, more than {margin}"


def _number(value: float, unit: str) -> str:
    text = f"{value:,.0f}" if unit == "bytes" else f"{value:.3f}" if not unit else f"{value:.2f}"
    return f"{text} {unit}".strip()


def _metrics(evidence: Evidence, verdicts: Sequence[GateVerdict]) -> dict[str, float]:
    scores = evidence.report.int8
    found = {"precision": scores.precision.value, "recall": scores.recall.value, "f1": scores.f1.value}
    measured = {verdict.gate: verdict.value for verdict in verdicts}
    p95 = measured["latency_p95"]
    return found if p95 is None else {**found, "latency_p95_ms": p95}


def _summary(report: Report, reasons: Sequence[str], simulated: Sequence[str]) -> str:
    suffix = f" (simulated: {', '.join(simulated)})" if simulated else ""
    if reasons:
        return f"REFUSED: {'; '.join(reasons)}{suffix}"
    scores = report.int8
    figures = f"precision {scores.precision.value:.3f}, recall {scores.recall.value:.3f}, F1 {scores.f1.value:.3f}"
    return f"ACCEPTED: {figures}, {report.size_bytes:,} bytes{suffix}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; see the module's docstring."""
    parser = command_parser("ml_training.registry.gates", __doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("judge", help="judge one int8 file by its report and its benchmarks")
    command.add_argument("--report", required=True, help="report.json of conversion.test_tflite")
    command.add_argument("--evaluation", help="the float model's evaluation; must be on the report's dataset")
    command.add_argument("--benchmarks", nargs="*", default=[], help="results of edge.benchmark")
    command.add_argument("--config", required=True, help="name or path of the config that holds the bounds")
    command.add_argument("--policy", choices=POLICIES, default="production")
    command.add_argument("--champion-report", help="report that compares the file with the champion, if not --report")
    command.add_argument("--data-dir", default=read_settings().data_dir, help="not needed: addresses are whole")
    command.add_argument("--output", help="address of the verdicts; default: verdicts.json beside the report")
    command.set_defaults(run=_run)
    return run_command(parser, argv)


def _run(args: argparse.Namespace) -> dict[str, Any]:
    evidence = read_evidence(
        args.report,
        benchmark_uris=args.benchmarks,
        evaluation_uri=args.evaluation,
        champion_report_uri=args.champion_report,
    )
    judgement = judge(evidence, load_config(args.config).gates, args.policy)
    folder = args.report.rsplit("/", 1)[0] if "/" in args.report else "."
    uri = args.output or storage.join(folder, "verdicts.json")
    content = judgement.model_dump(mode="json")
    storage.write_json(uri, content)
    return {**content, "verdicts_uri": uri}


if __name__ == "__main__":
    raise SystemExit(main())
