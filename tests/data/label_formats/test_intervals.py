"""Interval files: what is read, and every mistake with its place."""

import json

import pytest
from ml_training.data.label_formats.intervals import read_intervals
from ml_training.utils.errors import LabelsInvalid


def test_reads_both_ways_of_naming_times() -> None:
    text = json.dumps(
        {
            "a": [
                {"start_seconds": 5, "end_seconds": 7.5, "label": "ad", "creative": "soap"},
                {"start": 0, "end": 5.0005, "label": "content"},
            ]
        }
    )
    segments = read_intervals(text, "x")[0].segments
    assert [(s.start_seconds, s.end_seconds, s.label, s.creative) for s in segments] == [
        (0, 5.0005, "content", None),
        (5, 7.5, "ad", "soap"),
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "labels.json is not JSON"),
        ("[]", "must be an object of recordings"),
        ('{"a": {}}', "a: expected a list of segments, received dict"),
        ('{"a": [3]}', r"a\[0\]: expected an object with start, end and label"),
        ('{"a": [{"start": 0, "end": 1, "label": "add"}]}', r"a\[0\]: unknown label 'add'; did you mean 'ad'\?"),
        ('{"a": [{"start": 0, "end": 1, "label": "Content"}]}', "did you mean 'content'"),
        ('{"a": [{"start": 0, "end": 1, "label": "zzz"}]}', "known: ad, content, promo"),
        ('{"a": [{"start": 0, "end": 1}]}', r"a\[0\]: label is missing"),
        (
            '{"a": [{"start": 0, "end": 1, "label": "ad", "creatve": "x"}]}',
            "unknown key 'creatve'; did you mean 'creative'",
        ),
        (
            '{"a": [{"start": 3, "end": 1, "label": "ad"}]}',
            r"a\[0\]: a segment must end after its start, received 3.0..1.0",
        ),
        (
            '{"a": [{"start": -3, "end": 1, "label": "ad"}]}',
            "start_seconds: Input should be greater than or equal to 0",
        ),
        ('{"a": [{"start": NaN, "end": 1, "label": "ad"}]}', r"a\[0\]"),
        (
            '{"a": [{"start": 0, "end": 9, "label": "ad"}, {"start": 8, "end": 12, "label": "content"}]}',
            r"a: ad 0..9 and content 8..12 overlap and contradict each other",
        ),
        (
            '{"a": [{"start": 0, "end": 90, "label": "content"}, {"start": 2, "end": 4, "label": "content"}, '
            '{"start": 60, "end": 70, "label": "ad"}]}',
            "content 0..90 and ad 60..70 overlap",
        ),
    ],
)
def test_every_mistake_is_told_with_its_place(text: str, says: str) -> None:
    with pytest.raises(LabelsInvalid, match=says):
        read_intervals(text, "labels.json")


def test_all_mistakes_are_told_at_once() -> None:
    text = '{"a": [{"start": 3, "end": 1, "label": "ad"}], "b": [{"start": 0, "end": 1, "label": "x"}]}'
    with pytest.raises(LabelsInvalid, match="2 mistake") as caught:
        read_intervals(text, "labels.json")
    assert len(caught.value.mistakes) == 2
