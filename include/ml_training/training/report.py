"""The page that a person reads after an evaluation: figures with their intervals, plots, the worst errors as pictures.

    files = write_report(Facts(result, predictions, breaks, data_dir), Path("out"))      # report-test.html, three .png

The page is one file: plots and pictures are inside it, so that it can be mailed, archived and opened anywhere. Its
three pictures for MLflow lie beside it.
"""

import base64
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, StrictUndefined

from ml_training.config.schema import GatesSection
from ml_training.data.frames import encode_jpeg
from ml_training.training.event_level import RecordingBreaks
from ml_training.training.predictions import Predictions
from ml_training.training.worst_errors import captions, clock, load_pictures, worst_errors, wrong_frames
from ml_training.utils import visualization as plots
from ml_training.utils.metrics import Counts, calibration, precision_recall_curve
from ml_training.utils.records import Interval

TEMPLATE = Path(__file__).with_name("report.html.j2")
WORST_SHOWN = 12  # of each kind of error
RECORDINGS_SHOWN = 12  # time lines, those with the most wrong first

SHORT_NAMES = {
    "f1": "F1",
    "mcc": "MCC",
    "median_boundary_error_seconds": "boundary error, median",
    "boundary_error_90_seconds": "boundary error, nine in ten",
}
FRAME_FIGURES = {
    "precision": "of the frames called ads, those that are",
    "recall": "of the ads, those called so",
    "f1": "harmonic mean of both",
    "mcc": "correlation of what is and what was said, -1 to 1",
    "average_precision": "area below the precision-recall curve",
    "calibration_error": "mean distance of score and share of ads; 0 is best",
}
EVENT_FIGURES = {
    "precision": "of the breaks found, those that are",
    "recall": "of the breaks, those found",
    "f1": "harmonic mean of both",
    "median_boundary_error_seconds": "seconds; half of the starts and ends are nearer",
    "boundary_error_90_seconds": "seconds; nine in ten are nearer",
    "false_minutes_per_hour": "minutes of content called an ad break, in an hour",
}


class Facts(NamedTuple):
    """What a report tells: the figures, and what they are made of."""

    result: dict[str, Any]
    predictions: Predictions
    breaks: list[RecordingBreaks] | None
    data_dir: str


def write_report(facts: Facts, folder: Path) -> list[Path]:
    """Write page and pictures into a folder and return their paths."""
    split, threshold = facts.result["split"], facts.result["threshold"]
    errors = {
        kind: worst_errors(facts.predictions, threshold, missed=kind == "missed", count=WORST_SHOWN)
        for kind in ("false", "missed")
    }
    images = {kind: load_pictures(facts.predictions, chosen, facts.data_dir) for kind, chosen in errors.items()}
    notes = {kind: captions(facts.predictions, chosen) for kind, chosen in errors.items()}
    files = [folder / f"{name}-{split}.png" for name in ("precision_recall", "confusion", "worst_errors")]
    _draw_curve(facts, files[0])
    samples = facts.predictions.samples
    plots.save_confusion(Counts.of(samples.labels, facts.predictions.scores >= threshold), files[1])
    wrong = {kind: len(wrong_frames(facts.predictions, threshold, missed=kind == "missed")) for kind in errors}
    title = f"{sum(wrong.values())} of {len(samples.labels)} frames wrong; the worst"
    plots.save_sheet(images["false"] + images["missed"], notes["false"] + notes["missed"], title=title, path=files[2])
    shown = {"precision and recall": files[0], "confusion": files[1], **_other_plots(facts, folder)}
    pictures = {kind: list(zip(map(_jpeg, images[kind]), notes[kind], strict=True)) for kind in errors}
    page = folder / f"report-{split}.html"
    page.write_text(_page(facts, shown, pictures, wrong))
    for path in shown.values():
        if path not in files:
            path.unlink()
    return [page, *files]


def figure_rows(figures: dict[str, Any], names: dict[str, str]) -> list[dict[str, Any]]:
    """Return the rows of a table: name, meaning, value, interval and number of recordings; None is not measured."""
    rows = []
    for name, meaning in names.items():
        found = figures.get(name)
        interval = Interval.model_validate(found) if found else None
        rows.append({"name": SHORT_NAMES.get(name, name.replace("_", " ")), "meaning": meaning, "interval": interval})
    return rows


def _draw_curve(facts: Facts, path: Path) -> None:
    gates = GatesSection()
    curve = precision_recall_curve(facts.predictions.samples.labels, facts.predictions.scores)
    plots.save_precision_recall(
        curve, threshold=facts.result["threshold"], bounds=(gates.precision, gates.recall), path=path
    )


def _other_plots(facts: Facts, folder: Path) -> dict[str, Path]:
    """Draw what only the page shows."""
    labels, scores, threshold = facts.predictions.samples.labels, facts.predictions.scores, facts.result["threshold"]
    found = {"calibration": folder / "calibration.png", "scores": folder / "scores.png"}
    plots.save_calibration(calibration(labels, scores), found["calibration"])
    plots.save_scores(labels, scores, threshold=threshold, path=found["scores"])
    slices = {name: Interval.model_validate(figures["f1"]) for name, figures in facts.result["by_slice"].items()}
    if slices:
        found["slices"] = folder / "slices.png"
        plots.save_slices(slices, name="frame F1", path=found["slices"])
    if facts.breaks:
        found["time lines"] = folder / "time_lines.png"
        lines = time_lines(facts.predictions, facts.breaks)
        plots.save_time_lines(lines, threshold=threshold, path=found["time lines"])
    return found


def time_lines(predictions: Predictions, breaks: Sequence[RecordingBreaks]) -> list[plots.TimeLine]:
    """Return the recordings with the most wrong seconds of breaks, at most twelve, the worst first."""

    def wrong_seconds(recording: RecordingBreaks) -> float:
        return recording.false_seconds + sum(end - start for start, end in recording.matches.missed)

    frames = predictions.frames
    places = dict(frames.recordings())
    chosen = sorted(breaks, key=lambda recording: -wrong_seconds(recording))[:RECORDINGS_SHOWN]
    return [
        plots.TimeLine(
            f"{found.recording_id}: {len(found.matches.pairs)} of {len(found.true)} breaks found, "
            f"{len(found.matches.false)} false",
            frames.pts_seconds[places[found.recording_id]],
            predictions.all_scores[places[found.recording_id]],
            found.true,
            found.found,
            found.unscored,
        )
        for found in chosen
    ]


def _page(
    facts: Facts,
    shown: dict[str, Path],
    pictures: dict[str, list[tuple[str, str]]],
    wrong: dict[str, int],
) -> str:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    result = facts.result
    return environment.from_string(TEMPLATE.read_text()).render(
        result=result,
        created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        frame_rows=figure_rows(result, FRAME_FIGURES),
        event_rows=figure_rows(result["events"], EVENT_FIGURES) if result["events"] else [],
        slices={name: {**figures, "breaks": _break_f1(result, name)} for name, figures in result["by_slice"].items()},
        breaks=_break_rows(facts.breaks or []),
        plots={name: _data_uri(path.read_bytes(), "image/png") for name, path in shown.items()},
        pictures=pictures,
        wrong=wrong,
    )


def _break_f1(result: dict[str, Any], name: str) -> dict[str, Any] | None:
    return result["events"]["by_slice"].get(name) if result["events"] else None


def _break_rows(breaks: Sequence[RecordingBreaks]) -> list[dict[str, str]]:
    """Return every missed and false break with its times."""
    return [
        {"recording": found.recording_id, "what": what, "start": clock(start), "end": clock(end)}
        for found in breaks
        for what, spans in (("missed", found.matches.missed), ("false", found.matches.false))
        for start, end in spans
    ]


def _jpeg(image: Any) -> str:
    return _data_uri(encode_jpeg(image), "image/jpeg")


def _data_uri(data: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
