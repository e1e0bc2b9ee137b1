"""Dataset versions: named by what they list, complete, without leaks, and refused when they cannot be used."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from ml_training.config.schema import DataSection
from ml_training.data.dataset import build, main, show
from ml_training.data.labels import import_labels
from ml_training.data.manifest import read_manifest
from ml_training.utils.errors import DatasetUnusable

DATA = DataSection(split_shares={"train": 0.6, "validation": 0.15, "test": 0.25})


def test_lists_every_frame_of_the_labelled_recordings(data_root: Path) -> None:
    result = build(str(data_root), DATA)
    table = read_manifest(str(data_root), result["dataset_id"]).to_pandas()
    assert len(table) == 6 * 8
    one = table[table["recording_id"] == "one-01"]
    assert one["label_name"].tolist() == ["content"] * 4 + ["ad"] * 3 + ["promo"]
    assert one["genre"].unique().tolist() == ["news"]
    assert one["channel"].unique().tolist() == ["one"]
    assert one["row"].tolist() == list(range(8))
    assert (data_root / one["shard_uri"].iloc[0]).is_file()
    assert (table["label_name"] == "promo").sum() == 6
    assert (table.loc[table["label_name"] == "promo", "label"] == -1).all()


def test_channels_are_held_out_and_shared_creatives_are_masked(data_root: Path) -> None:
    result = build(str(data_root), DATA)
    table = read_manifest(str(data_root), result["dataset_id"]).to_pandas()
    assert (table.groupby("channel")["split"].nunique() == 1).all()
    shared = table[table["creative"] == "everywhere-ad"]
    scored = shared[(shared["label"] == 1) & ~shared["seen_creative"]]
    assert scored["split"].nunique() == 1, "the creative is scored in the one split that it belongs to"
    home = scored["split"].iloc[0]
    for split, group in shared.groupby("split"):
        if split == "test" and split != home:
            assert group["seen_creative"].all()
            assert (group["label"] == 1).all()
        elif split != home:
            assert (group["label"] == -1).all()
    own = table[table["creative"].isin(["one-ad", "two-ad", "three-ad"])]
    assert (own["label"] == 1).all(), "creatives of one channel need no masking"
    assert not table.loc[table["split"] != "test", "seen_creative"].any()


def test_built_again_it_finds_itself(data_root: Path) -> None:
    first = build(str(data_root), DATA)
    written = {path: path.stat().st_mtime_ns for path in (data_root / "datasets").rglob("*") if path.is_file()}
    second = build(str(data_root), DATA)
    assert (first["reused"], second["reused"]) == (False, True)
    assert first["dataset_id"] == second["dataset_id"]
    assert {p: p.stat().st_mtime_ns for p in (data_root / "datasets").rglob("*") if p.is_file()} == written


def test_the_card_counts_what_is_listed(data_root: Path) -> None:
    card = build(str(data_root), DATA)
    table = read_manifest(str(data_root), card["dataset_id"]).to_pandas()
    for split, counts in card["frames"].items():
        part = table[(table["split"] == split) & ~table["seen_creative"]]
        assert counts["ad"] == (part["label"] == 1).sum()
        assert counts["content"] == (part["label"] == 0).sum()
    assert sum(sum(counts.values()) for counts in card["frames"].values()) == len(table)
    assert card["hours"] == pytest.approx(6 * 8 / 3600, abs=1e-3)
    assert card["split_unit"] == "channel"
    assert card["label_sources"] == ["file"]
    assert card["parent"] is None
    assert show(str(data_root), card["dataset_id"])["frames"] == card["frames"]


def test_a_changed_label_makes_a_new_version_with_its_parent(data_root: Path) -> None:
    first = build(str(data_root), DATA)
    (data_root / "more.json").write_text('{"one-01": [{"start": 0, "end": 1, "label": "ad"}]}')
    import_labels(str(data_root / "more.json"), str(data_root), source="person", author="ann")
    second = build(str(data_root), DATA)
    assert second["dataset_id"] != first["dataset_id"]
    assert second["parent"] == first["dataset_id"]
    assert second["label_sources"] == ["file", "person"]
    assert show(str(data_root), first["dataset_id"])["dataset_id"] == first["dataset_id"], "the old one stays"


def test_a_killed_build_is_built_again(data_root: Path) -> None:
    first = build(str(data_root), DATA)
    manifest = data_root / "datasets" / first["dataset_id"] / "manifest.parquet"
    data = manifest.read_bytes()
    manifest.with_name("card.json").unlink()
    second = build(str(data_root), DATA)
    assert second["reused"] is False
    assert manifest.read_bytes() == data


def without_creatives(root: Path) -> None:
    """A person labels everything again, and names no creatives."""
    said = [{"start": 0, "end": 4, "label": "content"}, {"start": 4, "end": 8, "label": "ad"}]
    names = [f"{channel}-{day}" for channel in ("one", "two", "three") for day in ("01", "02")]
    (root / "again.json").write_text(json.dumps(dict.fromkeys(names, said)))
    import_labels(str(root / "again.json"), str(root), source="person", author="ann")


def test_labels_without_frames_are_a_note_and_few_channels_another(data_root: Path) -> None:
    without_creatives(data_root)
    shutil.rmtree(data_root / "frames" / "three-01")
    shutil.rmtree(data_root / "frames" / "three-02")
    notes = build(str(data_root), DATA)["notes"]
    assert any("split by recording: fewer than 3 named channels (2)" in note for note in notes)
    assert "labelled, but without frames: three-01, three-02" in notes


def test_a_split_that_loses_its_ads_to_masking_is_told_so(data_root: Path) -> None:
    shutil.rmtree(data_root / "frames" / "three-01")
    shutil.rmtree(data_root / "frames" / "three-02")
    with pytest.raises(DatasetUnusable, match=r"3 frames of ad are masked: what airs there belongs to another split"):
        build(str(data_root), DATA)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("no labels", "there are no labels in .*labels import"),
        ("no frames", "none of the 6 labelled recordings .* has frames at 1 a second"),
        ("other rate", "has frames at 2 a second"),
        ("no such genre", "none of the 6 labelled recordings has genre .*opera.* there are the genres news"),
        ("one channel", "the split (train|validation|test) has no recordings: of 2 labelled recordings"),
        ("no ads in a split", r"the split \w+ has no frames of ad: its recordings \((one|two|three)-01, "),
    ],
)
def test_what_cannot_train_is_refused_with_advice(data_root: Path, change: str, says: str) -> None:
    data = DATA
    if change == "no labels":
        shutil.rmtree(data_root / "labels")
    elif change == "no frames":
        shutil.rmtree(data_root / "frames")
    elif change == "other rate":
        data = DATA.model_copy(update={"frames_per_second": 2.0})
    elif change == "no such genre":
        data = DATA.model_copy(update={"genres": ["opera"]})
    elif change == "one channel":
        data = DATA.model_copy(update={"channels": ["one"]})
    else:
        only = [{"start": 0, "end": 8, "label": "content"}]
        (data_root / "more.json").write_text(
            json.dumps({f"{c}-{d}": only for c in ("one", "two", "three") for d in ("01", "02")})
        )
        import_labels(str(data_root / "more.json"), str(data_root), source="person", author="ann")
    with pytest.raises(DatasetUnusable, match=says):
        build(str(data_root), data)
    assert not list(data_root.glob("datasets/*/card.json"))


def test_a_version_that_is_not_there_is_said(data_root: Path) -> None:
    with pytest.raises(DatasetUnusable, match="there is no dataset abc"):
        show(str(data_root), "abc")
    with pytest.raises(DatasetUnusable, match="there is no dataset abc"):
        read_manifest(str(data_root), "abc")


def test_the_command_takes_overrides(data_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["build", "--config", "base_model", "--data-dir", str(data_root), "--json"]
    assert main([*arguments, "--overrides", '{"data.label_classes.promo": "content"}']) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["config"]["label_classes"]["promo"] == "content"
    labels = read_manifest(str(data_root), result["dataset_id"]).column("label").to_numpy()
    assert np.sum(labels == 0) == 6 * 5
    assert main([*arguments, "--overrides", "[1]"]) == 2
    assert main([*arguments, "--overrides", "{"]) == 2
