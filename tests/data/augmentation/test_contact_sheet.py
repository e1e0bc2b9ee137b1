"""The command writes a sheet of stored frames or of picture files, and says what it cannot."""

import json

import cv2
import numpy as np
import pytest
from ml_training.data.augmentation.__main__ import main
from ml_training.data.augmentation.pictures import ALTERATIONS


def test_a_sheet_of_stored_frames(data_root, capsys):
    output = data_root / "sheets" / "sheet.png"
    assert main(["--json", "contact-sheet", "--data-dir", str(data_root), "--pictures", "3", f"--output={output}"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["pictures"] == 3
    assert result["changes"] == [kind.name for kind in ALTERATIONS]
    height, width, _ = cv2.imread(str(output)).shape
    assert height > 3 * 160
    assert width > len(ALTERATIONS) * 160


def test_a_sheet_of_picture_files_is_the_same_again(tmp_path):
    picture = tmp_path / "one.png"
    cv2.imwrite(str(picture), np.random.default_rng(1).integers(0, 256, (90, 160, 3)).astype(np.uint8))
    sheets = []
    for name in ("a.png", "b.png"):
        assert main(["contact-sheet", "--picture", str(picture), "--output", str(tmp_path / name)]) == 0
        sheets.append((tmp_path / name).read_bytes())
    assert sheets[0] == sheets[1]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--data-dir", "{empty}", "--output", "{empty}/x.png"], 1, "there are no frames"),
        (["--data-dir", "{root}", "--recording", "absent", "--output", "{empty}/x.png"], 1, "absent"),
        (["--data-dir", "{root}", "--pictures", "0", "--output", "{empty}/x.png"], 2, "--pictures"),
        (["--data-dir", "{root}", "--output", "{empty}/x.doc"], 2, "--output"),
        (["--picture", "{root}/labels.json", "--output", "{empty}/x.png"], 1, "cannot be read"),
    ],
)
def test_what_cannot_be_is_said(data_root, tmp_path, capsys, arguments, code, says):
    empty = tmp_path / "empty"
    empty.mkdir()
    assert main(["contact-sheet", *(a.format(root=data_root, empty=empty) for a in arguments)]) == code
    assert says in capsys.readouterr().err
