"""The gates: each bound, the policies, and that better evidence never turns a pass into a fail."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ml_training.config.schema import GatesSection
from ml_training.registry.evidence import Benchmark, Comparison, Evidence, Report, SliceLoss, read_evidence
from ml_training.registry.gates import above, below, judge, main, paired_loss
from ml_training.utils.errors import ModelError
from ml_training.utils.records import GateVerdict, Interval

BOUNDS = GatesSection()
PI = "Raspberry Pi 5 Model B Rev 1.0"
LAPTOP = "Linux-6.18-x86_64"
RANK = {"fail": 0, "not_measured": 1, "pass": 2}

fractions = st.floats(0, 1)
losses = st.floats(-0.2, 0.2)


def scores(precision: float = 0.96, recall: float = 0.93, f1: float = 0.945) -> dict[str, Any]:
    return {
        name: {"value": value, "low": value - 0.02, "high": value + 0.02, "recordings": 12}
        for name, value in (("precision", precision), ("recall", recall), ("f1", f1))
    }


def report(**changes: Any) -> dict[str, Any]:
    return {
        "version": 1,
        "model_name": "base-general",
        "model_uri": "run/int8/model.tflite",
        "sha256": "ab" * 32,
        "size_bytes": 4_280_000,
        "dataset_id": "dataset-1",
        "int8": scores(),
        "float": scores(),
        "f1_loss": {"value": 0.002, "low": -0.001, "high": 0.004, "recordings": 12},
        "all_int8": True,
        "float_operators": [],
        "champion": None,
        **changes,
    }


def benchmark(**changes: Any) -> dict[str, Any]:
    return {
        "device": "pi5",
        "board": PI,
        "simulated": False,
        "model_sha256": "ab" * 32,
        "latency_ms": {"p50": 10.0, "p95": 12.0},
        "golden_exact": True,
        "golden_max_difference": 0.0,
        **changes,
    }


def evidence(*benchmarks: dict[str, Any], **changes: Any) -> Evidence:
    return Evidence(
        report=Report.model_validate(report(**changes)),
        benchmarks=tuple(Benchmark.model_validate(item) for item in benchmarks),
    )


def verdicts(found: Evidence) -> dict[str, GateVerdict]:
    return {verdict.gate: verdict for verdict in judge(found, BOUNDS, "local").verdicts}


def champion(gain: float = 0.0, recordings: int = 12, **slices: Interval) -> dict[str, Any]:
    interval = Interval(value=gain, low=gain - 0.01, high=gain + 0.01, recordings=recordings)
    comparison = Comparison(
        name="base-general",
        version="1.0.0",
        f1_gain=interval,
        slices={f"channel={name}": SliceLoss(f1_loss=loss) for name, loss in slices.items()},
    )
    return comparison.model_dump()


def test_a_good_file_measured_on_the_board_passes_production() -> None:
    judgement = judge(evidence(benchmark()), BOUNDS, "production")
    assert judgement.accepted
    assert judgement.reasons == []
    assert judgement.simulated == []
    assert judgement.summary == "ACCEPTED: precision 0.960, recall 0.930, F1 0.945, 4,280,000 bytes"
    assert {verdict.verdict for verdict in judgement.verdicts} == {"pass"}
    assert judgement.metrics["latency_p95_ms"] == 12.0


@pytest.mark.parametrize(
    ("changes", "gate", "words"),
    [
        ({"int8": scores(precision=0.95)}, "precision", "0.950 is not above 0.950"),
        ({"int8": scores(recall=0.84)}, "recall", "0.840 is not above 0.900"),
        ({"int8": scores(f1=0.5)}, "f1", "0.500 is not above 0.920"),
        ({"size_bytes": 5_000_000}, "size", "5,000,000 bytes is not below 5,000,000 bytes"),
        ({"all_int8": False, "float_operators": ["softmax"]}, "all_int8", "softmax"),
        ({"f1_loss": {"value": 0.01, "low": 0.002, "high": 0.02}}, "int8_f1_loss", "excludes zero"),
    ],
)
def test_each_bound_refuses(changes: dict[str, Any], gate: str, words: str) -> None:
    judgement = judge(evidence(benchmark(), **changes), BOUNDS, "local")
    assert not judgement.accepted
    assert [reason.partition(":")[0] for reason in judgement.reasons] == [gate]
    assert words in judgement.summary
    assert judgement.summary.startswith("REFUSED: ")


def test_a_loss_within_the_noise_is_no_loss() -> None:
    noisy = {"value": 0.03, "low": -0.01, "high": 0.06, "recordings": 4}
    assert verdicts(evidence(benchmark(), f1_loss=noisy))["int8_f1_loss"].verdict == "pass"
    small = {"value": 0.006, "low": 0.004, "high": 0.008, "recordings": 40}
    assert verdicts(evidence(benchmark(), f1_loss=small))["int8_f1_loss"].verdict == "pass"
    single = {"value": 0.03, "recordings": 1}
    assert verdicts(evidence(benchmark(), f1_loss=single))["int8_f1_loss"].verdict == "not_measured"


def test_simulated_verdicts_are_for_the_policy_local_only() -> None:
    found = evidence(benchmark(simulated=True, board=LAPTOP))
    local = judge(found, BOUNDS, "local")
    assert local.accepted
    assert local.simulated == ["latency_p95", "golden_parity"]
    assert local.summary.endswith("(simulated: latency_p95, golden_parity)")
    production = judge(found, BOUNDS, "production")
    assert not production.accepted
    assert len(production.reasons) == 2
    assert "only simulated" in production.reasons[0]


def test_a_board_that_only_claims_to_be_measured_is_simulated() -> None:
    found = verdicts(evidence(benchmark(simulated=False, board=LAPTOP)))
    assert found["latency_p95"].simulated
    assert verdicts(evidence(benchmark(simulated=True, board=PI)))["latency_p95"].simulated


def test_a_real_board_counts_before_a_simulated_one() -> None:
    slow = benchmark(device="laptop", simulated=True, board=LAPTOP, latency_ms={"p95": 500.0})
    found = verdicts(evidence(slow, benchmark()))
    assert (found["latency_p95"].verdict, found["latency_p95"].value, found["latency_p95"].simulated) == (
        "pass",
        12.0,
        False,
    )
    other = benchmark(device="pi5-hot", latency_ms={"p95": 61.0})
    assert verdicts(evidence(other, benchmark()))["latency_p95"].verdict == "fail"


@pytest.mark.parametrize("policy", ["local", "production"])
def test_not_measured_is_never_pass(policy: Any) -> None:
    judgement = judge(evidence(), BOUNDS, policy)
    assert not judgement.accepted
    assert [reason.partition(":")[0] for reason in judgement.reasons] == ["latency_p95", "golden_parity"]
    no_percentile = judge(evidence(benchmark(latency_ms={})), BOUNDS, policy)
    assert [reason.partition(":")[0] for reason in no_percentile.reasons] == ["latency_p95"]
    not_a_number = judge(evidence(benchmark(), int8=scores(recall=float("nan"))), BOUNDS, policy)
    assert [reason.partition(":")[0] for reason in not_a_number.reasons] == ["recall"]


def test_other_outputs_on_one_device_fail() -> None:
    different = benchmark(device="pi4", golden_exact=False, golden_max_difference=2.0)
    verdict = verdicts(evidence(benchmark(), different))["golden_parity"]
    assert verdict.verdict == "fail"
    assert "pi4 by up to 2" in verdict.reason


def test_without_a_champion_its_gates_are_absent() -> None:
    assert not [gate for gate in verdicts(evidence(benchmark())) if "champion" in gate]


def test_a_slice_that_falls_blocks_only_with_enough_recordings() -> None:
    fallen = Interval(value=0.05, low=0.02, high=0.08, recordings=10)
    few = fallen.model_copy(update={"recordings": 9})
    found = evidence(benchmark(), champion=champion(one=fallen, two=few))
    judgement = judge(found, BOUNDS, "local")
    assert [reason.partition(":")[0] for reason in judgement.reasons] == ["champion_f1_loss[channel=one]"]
    blocking = {verdict.gate: (verdict.verdict, verdict.blocking) for verdict in judgement.verdicts}
    assert blocking["champion_f1_loss[channel=two]"] == ("fail", False)
    assert judge(evidence(benchmark(), champion=champion(two=few)), BOUNDS, "local").accepted


def test_the_whole_test_set_is_held_against_the_champion() -> None:
    assert judge(evidence(benchmark(), champion=champion(gain=0.01)), BOUNDS, "local").accepted
    worse = judge(evidence(benchmark(), champion=champion(gain=-0.05)), BOUNDS, "local")
    assert worse.reasons[0].startswith("champion_f1_loss: F1 falls by 0.0500 against base-general 1.0.0")


@given(fractions, fractions, fractions)
def test_a_higher_value_is_never_worse(one: float, other: float, bound: float) -> None:
    low, high = sorted((one, other))
    assert RANK[above("f1", high, bound).verdict] >= RANK[above("f1", low, bound).verdict]
    assert RANK[below("size", low, bound).verdict] >= RANK[below("size", high, bound).verdict]


@given(losses, st.floats(0, 0.1), st.floats(0, 0.1), st.floats(0, 0.05))
def test_a_smaller_loss_is_never_worse(value: float, spread: float, less: float, margin: float) -> None:
    worse = Interval(value=value, low=value - spread, high=value + spread, recordings=5)
    better = Interval(value=value - less, low=value - less - spread, high=value - less + spread, recordings=5)
    ranks = [RANK[paired_loss("loss", loss, margin, against="x").verdict] for loss in (worse, better)]
    assert ranks[1] >= ranks[0]


@given(st.lists(fractions, min_size=6, max_size=6), st.booleans(), st.sampled_from(["local", "production"]))
def test_a_better_file_is_never_refused_where_a_worse_one_was_accepted(
    values: list[float], simulated: bool, policy: Any
) -> None:
    worse, better = (
        evidence(benchmark(simulated=simulated, latency_ms={"p95": 100 * (1 - p)}), int8=scores(precision=p, recall=r))
        for p, r in zip(sorted(values[:2]), sorted(values[2:4]), strict=True)
    )
    assert judge(better, BOUNDS, policy).accepted or not judge(worse, BOUNDS, policy).accepted


@given(fractions, fractions, st.booleans())
def test_what_production_accepts_local_accepts(precision: float, recall: float, simulated: bool) -> None:
    found = evidence(benchmark(simulated=simulated), int8=scores(precision=precision, recall=recall))
    assert judge(found, BOUNDS, "local").accepted or not judge(found, BOUNDS, "production").accepted


def write(path: Path, content: dict[str, Any]) -> str:
    path.write_text(json.dumps(content))
    return str(path)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report_uri = write(tmp_path / "report.json", report())
    evaluation = {**scores(), "dataset_id": "dataset-1", "split": "test", "threshold": 0.4}
    options = [
        *("--report", report_uri, "--config", "base_model", "--policy", "local", "--data-dir", str(tmp_path)),
        *("--evaluation", write(tmp_path / "evaluation.json", evaluation)),
        *("--benchmarks", write(tmp_path / "a.json", benchmark()), write(tmp_path / "b.json", benchmark(device="b"))),
    ]
    assert main(["--json", "judge", *options]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["accepted"] is True
    assert result["verdicts_uri"] == str(tmp_path / "verdicts.json")
    stored = json.loads((tmp_path / "verdicts.json").read_text())
    assert stored["sha256"] == "ab" * 32
    assert stored["verdicts"] == result["verdicts"]


def test_a_refusal_exits_zero(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report_uri = write(tmp_path / "report.json", report())
    assert main(["--json", "judge", "--report", report_uri, "--config", "base_model"]) == 0
    assert json.loads(capsys.readouterr().out)["summary"].startswith("REFUSED: latency_p95: not measured (no device")


def test_evidence_about_something_else_is_refused(tmp_path: Path) -> None:
    report_uri = write(tmp_path / "report.json", report())
    other = write(tmp_path / "b.json", benchmark(model_sha256="cd" * 32))
    with pytest.raises(ModelError, match="about another file"):
        read_evidence(report_uri, benchmark_uris=[other])
    evaluation = write(tmp_path / "e.json", {**scores(), "dataset_id": "dataset-2", "split": "test"})
    with pytest.raises(ModelError, match="about another dataset"):
        read_evidence(report_uri, evaluation_uri=evaluation)
    with pytest.raises(ModelError, match=r"not the report .*sha256: Field required"):
        read_evidence(other)


def test_a_comparison_from_a_report_of_its_own(tmp_path: Path) -> None:
    report_uri = write(tmp_path / "report.json", report())
    compared = write(tmp_path / "compared.json", report(champion=champion(gain=-0.2)))
    found = read_evidence(report_uri, champion_report_uri=compared)
    assert found.report.champion is not None
    assert found.report.champion.f1_gain.value == -0.2
