"""Does a cue give the label away? Each cue alone, all of them together, and traces of the encoder.

    audit(Path("data"))["auc"]                          # {"mean_luma": 0.55, "cut_rate": 0.71, ...}
    audit(Path("data"), deep=True, model_f1=0.87)       # fails where a shortcut comes near the model

The rule for generated broadcasts is that every cue only correlates with the label. An AUC is given as the larger of a
and 1 - a; above the bound (0.85) the audit fails. The deep audit is in `deep_audit.py`.
"""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

from ml_training.data.synthetic.cues import Cues, Series, recording_cues
from ml_training.data.synthetic.generate import recordings_below
from ml_training.utils.errors import DataError, ValidationFailed

LOGO_SECONDS = 60  # a shorter recording may show one set all the time: its corners stand as still as a logo


def audit(
    recordings_dir: Path, *, bound: float = 0.85, deep: bool = False, model_f1: float | None = None, workers: int = 1
) -> dict[str, Any]:
    """Return the AUC of each cue and the share of ads; with ``deep`` also what trees and patches reach.

    The cue ``logo_corner`` is None, not measured, where a recording is too short to tell a logo from the set behind it.

    Raises:
        DataError: the folder holds no labelled recording, or only one class.
        ValidationFailed: a cue's AUC is above ``bound``, or a shortcut comes within five points of ``model_f1``.
    """
    paths = recordings_below(recordings_dir)
    if not paths:
        raise DataError(
            f"no recording below {recordings_dir}: expected files as `generate` writes them", path=str(recordings_dir)
        )
    tables = _measured(paths, workers)
    ads = np.concatenate([table.is_ad for table in tables])
    if len(np.unique(ads)) < 2:
        raise DataError(f"the recordings below {recordings_dir} hold only one class", path=str(recordings_dir))
    auc = _single_cues(tables, ads)
    result = {
        "recordings": len(paths),
        "seconds": len(ads),
        "ad_share": round(float(ads.mean()), 3),
        "bound": bound,
        "auc": auc,
    }
    failed = {name: value for name, value in auc.items() if value is not None and value > bound}
    if failed:
        raise ValidationFailed(
            f"single cues give the label away: expected AUC <= {bound}, received {failed} of {auc}", auc=auc
        )
    if deep:
        from ml_training.data.synthetic.deep_audit import deep_audit

        result["deep"] = deep_audit(tables, model_f1=model_f1)
    return result


def _measured(paths: list[Path], workers: int) -> list[Cues]:
    if workers < 2:
        return [recording_cues(path) for path in paths]
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        return list(pool.map(recording_cues, paths))


def _single_cues(tables: list[Cues], ads: npt.NDArray[np.bool_]) -> dict[str, float | None]:
    auc: dict[str, float | None] = {
        name: _auc(ads, np.concatenate([table.values[name] for table in tables])) for name in tables[0].values
    }
    if min(len(table.is_ad) for table in tables) < LOGO_SECONDS:
        auc["logo_corner"] = None
    return auc


def _auc(ads: npt.NDArray[np.bool_], values: Series) -> float:
    area = float(roc_auc_score(ads, values))
    return round(max(area, 1 - area), 3)
