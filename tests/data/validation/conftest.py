"""A data root whose recordings differ, and the check that a rule holds for good data and not for bad."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from ml_training.data.collectors import extract
from ml_training.data.labels import import_labels
from ml_training.data.validation.checkpoint import error_of
from ml_training.data.validation.engine import gx

SECONDS = 8


@pytest.fixture(scope="session")
def check_rule() -> Callable[[Any, str, pd.DataFrame, pd.DataFrame], None]:
    """Assert that the rule of this name holds for the first table and is broken by the second."""
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    batches = context.data_sources.add_pandas("p").add_dataframe_asset("t").add_batch_definition_whole_dataframe("b")

    def holds(rule: Any, table: pd.DataFrame) -> bool:
        result = batches.get_batch({"dataframe": table}).validate(rule)
        assert error_of(result) is None, "a rule that cannot be checked proves nothing"
        return bool(result.success)

    def check(rules: Any, name: str, good: pd.DataFrame, bad: pd.DataFrame) -> None:
        rule = next(rule for rule in rules if rule.meta["name"] == name)
        assert holds(rule, good), good.to_dict("records")[:3]
        assert not holds(rule, bad), bad.to_dict("records")[:3]

    return check


@pytest.fixture
def data_root(tmp_path: Path, _varied_root: Path) -> Path:
    """A data root with six extracted and labelled recordings of three channels, of eight seconds each."""
    shutil.copytree(_varied_root, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.fixture(scope="session")
def _varied_root(tmp_path_factory: pytest.TempPathFactory, make_recording: Any, steady_ticks: Any) -> Path:
    root = tmp_path_factory.mktemp("varied")
    labels = {}
    names = [(channel, day) for channel in ("one", "two", "three") for day in ("01", "02")]
    for number, (channel, day) in enumerate(names):
        name = f"{channel}-{day}"
        folder = root / "recordings" / channel / f"2026-01-{day}"
        make_recording(
            folder / f"{name}.ts", steady_ticks(SECONDS, rate=10), rate=10, options={"crf": str(20 + number)}
        )
        (folder / f"{name}.json").write_text(json.dumps({"genre": "news", "show": "tonight"}))
        labels[name] = [
            {"start": 0, "end": 3, "label": "content"},
            {"start": 3, "end": 6, "label": "ad", "creative": f"{channel}-ad"},
            {"start": 6, "end": 7, "label": "content", "creative": "everywhere-trailer"},
            {"start": 7, "end": 8, "label": "promo"},
        ]
    extract(str(root / "recordings"), str(root / "frames"))
    (root / "labels.json").write_text(json.dumps(labels))
    import_labels(str(root / "labels.json"), str(root), source="file", author="tester")
    return root
