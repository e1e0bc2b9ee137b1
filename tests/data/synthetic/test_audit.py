import json
from pathlib import Path

import cv2
import pytest
from ml_training.data.synthetic.__main__ import main
from ml_training.data.synthetic.audit import audit
from ml_training.data.synthetic.generate import recordings_below
from ml_training.utils.errors import DataError, ValidationFailed


def test_no_single_cue_gives_the_label_away(small_set: Path) -> None:
    result = audit(small_set)
    assert result["recordings"] == 8
    assert len(result["auc"]) == 11
    assert result["auc"].pop("logo_corner") is None  # not measured: the recordings are too short
    assert max(result["auc"].values()) <= 0.85


def test_a_cue_above_the_bound_fails(small_set: Path) -> None:
    with pytest.raises(ValidationFailed, match="single cues"):
        audit(small_set, bound=0.5)


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no recording"):
        audit(tmp_path)


def test_the_contact_sheet(small_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recording, sheet = recordings_below(small_set)[0], tmp_path / "sheet.png"
    arguments = ["contact-sheet", "--recording", str(recording), "--output", str(sheet), "--every", "10", "--json"]
    assert main(arguments) == 0
    assert json.loads(capsys.readouterr().out)["pictures"] == 6
    assert cv2.imread(str(sheet)).shape == (180, 1920, 3)
    assert main(["contact-sheet", "--recording", str(tmp_path / "none.ts"), "--output", str(sheet)]) == 1
