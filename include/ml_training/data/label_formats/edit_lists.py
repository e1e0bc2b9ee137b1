"""Reads edit lists, which name the ads of one recording: MPlayer's and Kodi's ``.edl``, and comskip's ``.txt``.

    60.00   120.00   0                              # .edl: start, end, action; 0 cut and 3 commercial break are ads

    FILE PROCESSING COMPLETE  11500 FRAMES AT  2500   # comskip's .txt: frame numbers, frames a second times 100
    -------------------
    1500    3000

What such a list does not name is content (``lists_ads_only``). A frame number is turned into a time with the one frame
rate that the file or ``--fps`` gives: true only for recordings of constant frame rate. The ``.edl`` of comskip has
times and needs none. Sources: kodi.wiki/view/Edit_decision_list, the comskip manual.
"""

import re

from ml_training.data.label_formats.batches import (
    LabelBatch,
    ReadOptions,
    in_order,
    make_segment,
    parse_time,
    require_no_mistakes,
)
from ml_training.utils.errors import LabelsInvalid
from ml_training.utils.records import Segment

AD_ACTIONS = {"0", "3"}  # cut, commercial break
OTHER_ACTIONS = {"1", "2"}  # mute, scene marker: nothing is said of ads
COMSKIP_MARK = "FILE PROCESSING COMPLETE"
COMSKIP_HEADER = re.compile(COMSKIP_MARK + r"\s+(\d+)\s+FRAMES(?:\s+AT\s+(\d+))?")
WRITTEN_RATES = {2397: 24_000 / 1001, 2398: 24_000 / 1001, 2997: 30_000 / 1001, 5994: 60_000 / 1001}  # two decimals
COMMENT = re.compile(r"#(?!\d)|//")  # but #250 is a frame number
MPV_MARK = "# mpv EDL"


def read_edl(text: str, source: str, options: ReadOptions) -> list[LabelBatch]:
    """Return the ads of one recording. Raises LabelsInvalid with every mistake and its line."""
    if text.startswith(MPV_MARK):
        raise LabelsInvalid(
            f"{source} is an mpv EDL, which joins files: expected lines of start, end and action", source=source
        )
    mistakes: list[str] = []
    segments: list[Segment | None] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or COMMENT.match(line.strip()):
            continue
        words = line.split()
        if len(words) < 3 or words[2] not in AD_ACTIONS | OTHER_ACTIONS:
            mistakes.append(f"line {number}: expected start, end and an action of 0 to 3, received {line.strip()!r}")
        elif words[2] in AD_ACTIONS:
            segments.append(_ad(f"line {number}", words[0], words[1], options.frames_per_second, mistakes))
    return [_batch(source, options, segments, mistakes)]


def read_comskip(text: str, source: str, options: ReadOptions) -> list[LabelBatch]:
    """Return the ads that comskip's default output names, by the frame rate of its header (or ``--fps``)."""
    lines = text.splitlines()
    header = COMSKIP_HEADER.search(lines[0]) if lines else None
    if header is None:
        raise LabelsInvalid(
            f"{source} is not comskip's output: expected a first line with {COMSKIP_MARK}", source=source
        )
    rate = _written_rate(int(header.group(2))) if header.group(2) else options.frames_per_second
    if not rate:
        raise LabelsInvalid(
            f"{source} gives frame numbers and no frame rate: say it with --fps, or take comskip's .edl", source=source
        )
    mistakes: list[str] = []
    segments: list[Segment | None] = []
    for number, line in enumerate(lines[1:], start=2):
        words = line.split()
        if len(words) >= 2 and words[0].isdigit() and words[1].isdigit():
            segments.append(_ad(f"line {number}", f"#{words[0]}", f"#{words[1]}", rate, mistakes))
        elif words and set(line.strip()) != {"-"}:
            mistakes.append(f"line {number}: expected two frame numbers, received {line.strip()!r}")
    return [_batch(source, options, segments, mistakes)]


def _written_rate(hundredths: int) -> float:
    """Return the frame rate that a header means: 2398 stands for 24000/1001; 23.98 would be 0.6 s an hour off."""
    return WRITTEN_RATES.get(hundredths, hundredths / 100)


def _ad(place: str, start: str, end: str, rate: float | None, mistakes: list[str]) -> Segment | None:
    try:
        values = {"start_seconds": parse_time(start, rate), "end_seconds": parse_time(end, rate), "label": "ad"}
    except ValueError as error:
        mistakes.append(f"{place}: {error}")
        return None
    return make_segment(place, values, mistakes)


def _batch(source: str, options: ReadOptions, segments: list[Segment | None], mistakes: list[str]) -> LabelBatch:
    ordered = in_order(options.recording_id, segments, mistakes)
    require_no_mistakes(source, mistakes)
    return LabelBatch(options.recording_id, ordered, lists_ads_only=True)
