"""The command says what a training would be fed, and how it was called wrongly."""

import json

import pytest
from ml_training.data.pipeline.__main__ import main

DATASET = "pipelinedataset0"


def call(capsys, root, *options):
    code = main(["--json", "show", "--dataset", DATASET, "--data-dir", str(root), *options])
    printed = capsys.readouterr()
    return code, json.loads(printed.out) if printed.out else printed.err


def test_it_counts_examples_and_what_is_passed_over(pipeline_root, capsys):
    code, shown = call(capsys, pipeline_root, "--view", "windows", "--batch-size", "4")
    assert code == 0
    assert shown["examples"] == 33 + 28 + 26
    assert shown["ads"] == 25
    assert shown["passed_over"] == {"masked": 4, "incomplete": 16}
    assert shown["steps_per_epoch"] == 21
    assert "examples_per_second" not in shown


def test_it_measures_when_asked(pipeline_root, capsys):
    code, shown = call(capsys, pipeline_root, "--ad-share", "0.5", "--seconds", "0.3", "--batch-size", "8")
    assert code == 0
    assert shown["pictures_per_second"] > 0
    assert 0.3 < shown["ads_drawn"] < 0.7


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (("--split", "test", "--additional-data", "x"), 2, "for training only"),
        (("--view", "pictures"), 2, "invalid choice"),
        (("--ad-share", "2"), 2, "ad_share"),
        (("--additional-data", "{root}/none"), 1, "examples.jsonl"),
        (("--predictions", "{root}/none.parquet"), 1, "none.parquet"),
        (("--batch-size", "4000"), 1, "smaller batch_size"),
    ],
)
def test_what_cannot_be_is_said(pipeline_root, capsys, options, code, says):
    found, message = call(capsys, pipeline_root, *(option.format(root=pipeline_root) for option in options))
    assert found == code
    assert says in message
