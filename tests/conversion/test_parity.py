"""What the checks of a file make of its figures."""

import pytest
from ml_training.config.schema import GatesSection
from ml_training.conversion.parity import checks_of
from pydantic import ValidationError


def verdicts(**changes):
    loss = {"value": 0.001, "low": -0.002, "high": 0.004}
    report = {"f1_loss": loss, "size_bytes": 4_000_000, "float_operators": [], "metadata_differences": [], **changes}
    return {item["check"]: item["verdict"] for item in checks_of(report, GatesSection())}


def test_a_good_file_passes_all_checks():
    assert verdicts() == dict.fromkeys(("parity", "all_int8", "size", "size_limit", "metadata"), "pass")


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        ({"value": 0.02, "low": 0.004, "high": 0.04}, "fail"),
        ({"value": 0.02, "low": -0.004, "high": 0.04}, "pass"),
        ({"value": 0.02, "low": None, "high": None}, "not_measured"),
        ({"value": 0.006, "low": None, "high": None}, "pass"),
        (None, "not_measured"),
    ],
)
def test_parity_fails_only_on_evidence(loss, expected):
    assert verdicts(f1_loss=loss)["parity"] == expected


def test_a_large_file_fails_by_gate_and_by_limit():
    found = [
        (verdicts(size_bytes=size)["size"], verdicts(size_bytes=size)["size_limit"]) for size in (5_000_000, 10**7 + 1)
    ]
    assert found == [("fail", "pass"), ("fail", "fail")]


def test_what_is_not_int8_and_what_differs_from_the_manifest_fails():
    assert verdicts(float_operators=["CONV_2D float32 x"])["all_int8"] == "fail"
    assert verdicts(metadata_differences=["threshold"])["metadata"] == "fail"


def test_no_config_lifts_the_limit():
    with pytest.raises(ValidationError):
        GatesSection(size_bytes=10_000_001)
