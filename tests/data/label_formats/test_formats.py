"""Label files of every format but the interval file: what is read, and every mistake with its place."""

import json

import pytest
from ml_training.data.label_formats.batches import LabelBatch, parse_time, recording_of
from ml_training.data.label_formats.reading import find_format, read_label_file
from ml_training.utils.errors import LabelsInvalid


def spans(batch: LabelBatch) -> list[tuple[float, float, str]]:
    return [(round(s.start_seconds, 4), round(s.end_seconds, 4), s.label) for s in batch.segments]


def read(text: str, name: str, **options) -> list[LabelBatch]:
    return read_label_file(text.encode(), name, **options)


@pytest.mark.parametrize(
    ("text", "rate", "seconds"),
    [("12.5", None, 12.5), ("12,5", None, 12.5), ("1:05.5", None, 65.5), ("01:00:00", None, 3600), ("#250", 25, 10)],
)
def test_times_are_seconds_clock_or_frames(text: str, rate: float | None, seconds: float) -> None:
    assert parse_time(text, rate) == seconds


@pytest.mark.parametrize(
    "name",
    ["news-01", "news-01.ts", "a/b/news-01.MP4", "s3://x/y/news-01.mkv", "/data/upload/3/0a1b2c3d-news-01.mp4",
     "/data/local-files/?d=tv/news-01.mp4", "C:\\tv\\news-01.ts"],
)  # fmt: skip
def test_a_path_stands_for_its_recording(name: str) -> None:
    assert recording_of(name) == "news-01"


def test_csv_of_several_recordings_with_clock_times_and_durations() -> None:
    text = "video;start;duration;class;note\nb.ts;0:10;5,5;ad;x\na;0;10;content;\nb;15.5;1;promo;\n"
    batches = {batch.recording_id: spans(batch) for batch in read(text, "labels.csv")}
    assert batches == {"b": [(10, 15.5, "ad"), (15.5, 16.5, "promo")], "a": [(0, 10, "content")]}


def test_csv_may_be_named_like_its_recording() -> None:
    (batch,) = read("start,end,label,creative\n1,2,ad,soap\n", "x/news-01.csv")
    assert (batch.recording_id, batch.segments[0].creative, batch.lists_ads_only) == ("news-01", "soap", False)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("begin,end,label\n1,2,ad\n", "unknown column 'begin'.*there is no column start"),
        ("start,end,label,creatve\n", "unknown column 'creatve'; did you mean 'creative'"),
        ("", "must begin with a header"),
        ("start,end,label\n1,2,ad\n3,ad\n", "line 3: expected 3 values, received 2"),
        ("start,end,label\n1,x,ad\n", "line 2: expected seconds, h:mm:ss or #frame, received 'x'"),
        ("start,end,label\n#1,#2,ad\n", "line 2: #1 is a frame number: give the frame rate with --fps"),
        ("start,end,label\n\n1,2,add\n", "line 3: unknown label 'add'; did you mean 'ad'"),
        ("start,end,label\n1,5,ad\n4,6,content\n", "overlap and contradict"),
        ("start,end,label\n1,,ad\n", "line 2: end_seconds is missing"),
    ],
)
def test_mistakes_in_csv_have_their_line(text: str, says: str) -> None:
    with pytest.raises(LabelsInvalid, match=says):
        read(text, "labels.csv")


def test_edl_has_cuts_and_commercial_breaks() -> None:
    text = "## start end type\n60.0\t120.5\t0\n10 20 1\n0:03:00 0:04:00.25 3 break\n#6250 #6500 0\n5 5 2\n"
    (batch,) = read(text, "tv/news-01.edl", frames_per_second=25)
    assert batch.recording_id == "news-01"
    assert spans(batch) == [(60, 120.5, "ad"), (180, 240.25, "ad"), (250, 260, "ad")]
    assert batch.lists_ads_only


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("1 2\n", "line 1: expected start, end and an action of 0 to 3, received '1 2'"),
        ("1 2 7\n", "line 1: expected start, end and an action"),
        ("9 2 0\n", "line 1: a segment must end after its start"),
        ("#9 #20 0\n", "frame number: give the frame rate"),
        ("# mpv EDL v0\nf.mkv,10,20\n", "is an mpv EDL"),
    ],
)
def test_mistakes_in_edl_have_their_line(text: str, says: str) -> None:
    with pytest.raises(LabelsInvalid, match=says):
        read(text, "a.edl")


COMSKIP = "FILE PROCESSING COMPLETE  11500 FRAMES AT  {rate}\n-------------------\n1500\t3000\n"


def test_comskip_gives_frames_and_their_rate() -> None:
    (batch,) = read(COMSKIP.format(rate=2997), "news-01.txt")
    assert spans(batch) == [(50.05, 100.1, "ad")]  # 2997 means 30000/1001
    old = "FILE PROCESSING COMPLETE\n-------------------\n1500\t3000\n"
    assert spans(read(old.replace("COMPLETE", "COMPLETE  9 FRAMES"), "a.txt", frames_per_second=50)[0])[0][0] == 30
    with pytest.raises(LabelsInvalid, match="gives frame numbers and no frame rate: say it with --fps"):
        read(old.replace("COMPLETE", "COMPLETE  9 FRAMES"), "a.txt")
    with pytest.raises(LabelsInvalid, match="line 3: expected two frame numbers"):
        read(COMSKIP.format(rate=2500).replace("1500\t3000", "15x 3"), "a.txt")


CMX = """TITLE: NEWS
FCM: {fcm}
001  AX       V     C        00:00:10:12 00:00:20:00 01:00:00:00 01:00:09:13
* FROM CLIP NAME: soap.mov
002  AX       V     C        00:10:00:00 00:10:30:00 01:00:09:13 01:00:39:13
* FROM CLIP NAME: promo
"""


def test_cmx_has_timecode() -> None:
    (batch,) = read(CMX.format(fcm="NON-DROP FRAME"), "news-01.edl", frames_per_second=25)
    assert spans(batch) == [(10.48, 20, "ad"), (600, 630, "promo")]
    (batch,) = read(CMX.format(fcm="DROP FRAME"), "news-01.edl")
    # ten minutes of drop-frame timecode are 17982 frames of 1001/30000 s (SMPTE ST 12-1)
    assert batch.segments[1].start_seconds == pytest.approx(17982 * 1001 / 30000)
    with pytest.raises(LabelsInvalid, match="counts frames: give the frame rate with --fps"):
        read(CMX.format(fcm="NON-DROP FRAME"), "a.edl")
    with pytest.raises(LabelsInvalid, match="has frame 12 of a second of 10"):
        read(CMX.format(fcm="NON-DROP FRAME"), "a.edl", frames_per_second=10)


CHAPTERS = """;FFMETADATA1
title=the news
[CHAPTER]
TIMEBASE=1/1000
START=0
END=10480
title=Content
[CHAPTER]
TIMEBASE=1/25
START=262
END=500
title=ad
[CHAPTER]
START=20000000000
END={end}
title=the weather
"""


def test_chapters_count_that_are_named_by_a_label() -> None:
    (batch,) = read(CHAPTERS.format(end=30000000000), "news-01.ffmetadata")
    assert (batch.recording_id, spans(batch)) == ("news-01", [(0, 10.48, "content"), (10.48, 20, "ad")])
    assert not batch.lists_ads_only
    wrong = CHAPTERS.format(end="x").replace("the weather", "promo")
    with pytest.raises(LabelsInvalid, match="line 13: expected a chapter with TIMEBASE=1/n, START and END"):
        read(wrong, "a.ffmetadata")


def annotation(who: object, *regions: dict, **more) -> dict:
    return {"completed_by": who, "result": [{"type": "x", "value": region} for region in regions], **more}


def frames(start: int, end: int, label: str) -> dict:
    return {"ranges": [{"start": start, "end": end}], "timelinelabels": [label]}


def test_label_studio_keeps_annotators_apart() -> None:
    task = {
        "id": 7,
        "data": {"video": "/data/upload/1/0a1b2c3d-news-01.mp4"},
        "annotations": [
            annotation({"id": 1, "email": "ann@x.org"}, frames(1, 25, "Ad"), {"choices": ["good"]}),
            annotation(2, {"start": 0.5, "end": 2, "labels": ["content"]}),
            annotation(2, {"start": 0, "end": 2, "labels": ["content"]}, updated_at="2026-01-02"),
            annotation(3, frames(1, 25, "promo"), was_cancelled=True),
        ],
        "predictions": [{"result": [{"value": frames(1, 50, "ad")}]}],
    }
    batches = read(json.dumps([task]), "export.json", frames_per_second=25)
    assert {(b.recording_id, b.author): spans(b) for b in batches} == {
        ("news-01", "ann@x.org"): [(0, 1, "ad")],
        ("news-01", "label-studio:2"): [(0, 2, "content")],
    }
    with pytest.raises(LabelsInvalid, match=r"task 7: frame numbers need the frame rate of the project's Video tag"):
        read(json.dumps([task]), "export.json")


def test_label_studio_json_min_and_target_storage() -> None:
    small = [{"video": "tv/a.ts", "sections": [{"start": 0, "end": 3, "labels": ["Ad"]}], "annotator": 4, "id": 1}]
    (batch,) = read(json.dumps(small), "min.json")
    assert (batch.recording_id, batch.author, spans(batch)) == ("a", "label-studio:4", [(0, 3, "ad")])
    stored = annotation(4, {"start": 0, "end": 3, "labels": ["Ad"]}) | {"task": {"data": {"audio": "a.mp3"}}}
    assert spans(read(json.dumps(stored), "1.json")[0]) == [(0, 3, "ad")]


@pytest.mark.parametrize(
    ("task", "says"),
    [
        ({"data": {"text": "hello"}, "annotations": []}, "expected the address of a recording in its data"),
        ({"data": {"video": "a.ts"}, "annotations": []}, "no task has a region with a time and a label"),
        (
            {"data": {"video": "a.ts"}, "annotations": [annotation(1, {"start": 0, "end": 1, "labels": ["cat"]})]},
            "task 0: unknown label 'cat'",
        ),
        (
            {"data": {"video": "a.ts"}, "annotations": [annotation(1, {"ranges": [{}], "labels": ["ad"]})]},
            "expected start and end of a region",
        ),
    ],
)
def test_mistakes_in_label_studio_name_the_task(task: dict, says: str) -> None:
    with pytest.raises(LabelsInvalid, match=says):
        read(json.dumps([task]), "export.json", frames_per_second=25)


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("a.json", '{"a": []}', "json"),
        ("a.json", '[{"data": {}}]', "label-studio"),
        ("a.json", '{"data": {}, "annotations": []}', "label-studio"),
        ("a.tsv", "", "csv"),
        ("a.edl", "1 2 0", "edl"),
        ("a.edl", CMX, "cmx"),
        ("a.cmx", "TITLE: EMPTY", "cmx"),
        ("a.txt", CHAPTERS, "chapters"),
        ("a.txt", COMSKIP, "comskip"),
        ("a.jsonl", "", "events"),
    ],
)
def test_the_format_is_found(name: str, text: str, found: str) -> None:
    assert find_format(text.encode(), name) == found


def test_what_is_no_label_file_is_said() -> None:
    with pytest.raises(LabelsInvalid, match="is no label file that is known"):
        read("shopping list", "a.txt")
    with pytest.raises(LabelsInvalid, match="is not text in UTF-8"):
        read_label_file(b"\xff\xfe1 2 0", "a.edl")
    with pytest.raises(LabelsInvalid, match="is no export of Label Studio"):
        read("[3]", "a.json")
