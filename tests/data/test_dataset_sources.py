"""What a version may list: all labelled recordings count for the creatives, also those that the config leaves out."""

from datetime import UTC, datetime

from ml_training.config.schema import DataSection
from ml_training.data.dataset_listing import Listing, parse_listing
from ml_training.data.dataset_sources import Gathered, LabelledRecording, list_version
from ml_training.data.masking import Span
from ml_training.data.splits import SplitRecord, split_for
from ml_training.utils.records import Segment, Split

GENERAL = DataSection()
OF_ONE = DataSection(channels=["one"], hold_out_channels=False)


def record(split: Split, within: Split | None = None, channel: str = "one") -> SplitRecord:
    return SplitRecord(split=split, unit="channel", channel=channel, first_seen=datetime.now(UTC), within=within)


def listing(
    records: dict[str, SplitRecord],
    aired: dict[str, list[str]],
    data: DataSection,
    found: dict[str, list[Span]] | None = None,
) -> Listing:
    """List recordings in which one ad of ten seconds airs after the other."""
    labelled = {
        name: LabelledRecording(
            {"extraction_id": "e", "channel": records[name].channel, "genre": None, "show": None,
             "duration_seconds": 600.0},
            [
                Segment(start_seconds=10 * at, end_seconds=10 * at + 10, label="ad", creative=creative)
                for at, creative in enumerate(creatives)
            ],
            ["file"],
            0.0,
        )
        for name, creatives in aired.items()
    }  # fmt: skip
    chosen = [
        name
        for name, r in records.items()
        if split_for(r, data) and (data.channels is None or r.channel in data.channels)
    ]
    return list_version(Gathered(labelled, chosen, records, found or {}, []), data)


def test_a_creative_of_a_recording_that_is_not_asked_for_counts() -> None:
    records = {"a": record("train", channel="one"), "b": record("test", channel="two")}
    aired = {"a": [f"ad-{n}" for n in range(40)], "b": [f"ad-{n}" for n in range(40)]}
    only_b = GENERAL.model_copy(update={"channels": ["two"]})
    alone, both = listing(records, aired, only_b), listing(records, aired, GENERAL)
    assert list(alone.recordings) == ["b"]
    assert {n: c.split for n, c in alone.creatives.items()} == {n: c.split for n, c in both.creatives.items()}
    assert {c.split for c in alone.creatives.values()} == {"train", "test"}


def test_what_general_models_learn_is_training_for_a_model_of_one_channel() -> None:
    names = [f"ad-{n}" for n in range(60)]
    records = {
        "general": record("train", channel="two"),
        "held-out": record("train", within="test"),
        "own": record("train", within="train"),
        "other": record("test", channel="three"),
    }
    aired = {"general": names[:20], "held-out": names, "own": names[40:], "other": names[:30]}
    general, own = listing(records, aired, GENERAL), listing(records, aired, OF_ONE)
    assert sorted(own.recordings) == ["held-out", "own"]
    assert sorted(general.recordings) == ["general", "other", "own"]
    learned = {name for name, creative in general.creatives.items() if creative.split == "train"}
    judged = {name for name, creative in own.creatives.items() if creative.split == "test"}
    assert learned
    assert judged
    assert not learned & judged
    assert judged <= set(names[:40]), "ads that only the channel's training recordings share are not judged on both"


def test_the_catalogue_joins_what_labels_name() -> None:
    records = {"a": record("train", channel="one"), "b": record("test", channel="two")}
    found = {"a": [Span(0.1, 9.9, "c1"), Span(30, 40, "c2")], "b": [Span(100, 110, "c1")]}
    both = listing(records, {"a": ["soap"], "b": ["car"]}, GENERAL, found)
    assert {span.creative for span in both.recordings["a"].spans} == {"soap", "c2"}
    assert {span.creative for span in both.recordings["b"].spans} == {"soap", "car"}
    assert both.creatives["soap"].aired_in == ("test", "train")


def test_a_listing_is_read_as_it_was_written() -> None:
    records = {"a": record("train", channel="one"), "b": record("test", channel="two")}
    made = listing(records, {"a": ["x", "y"], "b": ["x"]}, GENERAL)
    read = parse_listing(made.content, "x")
    assert read == made
    assert read.dataset_id == made.dataset_id
    assert listing(records, {"b": ["x"], "a": ["x", "y"]}, GENERAL).dataset_id == made.dataset_id
