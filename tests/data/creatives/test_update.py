import json
import shutil
from pathlib import Path

import pytest
from ml_training.data.creatives.__main__ import main
from ml_training.data.creatives.catalogue import catalogue_uri, derived_events, read_airings
from ml_training.data.creatives.fingerprints import store_fingerprints
from ml_training.data.creatives.update import update
from ml_training.utils.errors import DataError

SPOT, OTHER = (100, 12), (101, 10)
RECORDINGS = {
    "a": [(1, 8), SPOT, (2, 9)],
    "b": [(3, 7), SPOT, OTHER, (4, 8)],
    "c": [(5, 9), OTHER, (6, 7)],
}


@pytest.fixture
def store(tmp_path, prints):
    """Put recordings into the archive's folder, fingerprinted."""

    def add(*names):
        for name in names:
            store_fingerprints(str(tmp_path), prints(name, RECORDINGS[name]))
            pointer = tmp_path / "frames" / name / "current.json"
            pointer.parent.mkdir(parents=True)
            pointer.write_text(json.dumps({"extraction_id": "x", "source_version": "1"}))
        return str(tmp_path)

    return add


def said(capsys):
    return json.loads(capsys.readouterr().out)


def test_the_catalogue_names_what_airs_twice(store):
    root = store("a", "b", "c")
    result = update(root)
    assert (result["creatives"], result["airings"], result["failed"]) == (2, 4, {})
    rows = read_airings(root).to_pylist()
    assert [(r["recording_id"], round(r["start_seconds"]), round(r["end_seconds"])) for r in rows if r] in (
        [("a", 8, 20), ("b", 7, 19), ("b", 19, 29), ("c", 9, 19)],
        [("b", 19, 29), ("c", 9, 19), ("a", 8, 20), ("b", 7, 19)],
    )
    assert {(r["channel"], r["date"], r["label"]) for r in rows} == {("one", "2026-01-05", "")}


def test_one_by_one_in_any_order_gives_the_catalogue_of_all_at_once(store, tmp_path):
    root = store("c")
    update(root)
    for name in ("b", "a"):
        store(name)
        assert update(root)["added"] == [name]
    grown = Path(catalogue_uri(root)).read_bytes()
    shutil.rmtree(tmp_path / "creatives" / "matches")
    shutil.rmtree(tmp_path / "creatives" / "index")
    update(root)
    assert Path(catalogue_uri(root)).read_bytes() == grown


def test_twice_changes_nothing(store):
    root = store("a", "b")
    first = update(root)
    assert first["added"] == ["a", "b"]
    again = update(root)
    assert again["added"] == []
    assert again["creatives"] == 1


def test_a_creative_keeps_its_id_when_an_earlier_airing_comes(store):
    root = store("b", "c")
    update(root)
    before = {row["creative_id"] for row in read_airings(root).to_pylist()}
    store("a")
    update(root)
    assert before < {row["creative_id"] for row in read_airings(root).to_pylist()}


def test_a_recording_that_is_gone_leaves_the_catalogue(store, tmp_path):
    root = store("a", "b")
    update(root)
    shutil.rmtree(tmp_path / "frames" / "a")
    assert update(root)["airings"] == 0


def test_one_label_holds_for_all_airings(store, capsys):
    root = store("a", "b", "c")
    update(root)
    spot = next(row["creative_id"] for row in read_airings(root).to_pylist() if row["recording_id"] == "a")
    assert main(["label", "--data-dir", root, "--creative", spot, "--label", "ad", "--author", "ann", "--json"]) == 0
    assert said(capsys) == {"creative_id": spot, "label": "ad", "added": True, "airings": 2}
    assert main(["label", "--data-dir", root, "--creative", spot, "--label", "ad", "--author", "ann", "--json"]) == 0
    assert not said(capsys)["added"]
    for name in ("a", "b"):
        [event] = derived_events(root, name)
        assert (event.label, event.source, event.author, event.creative) == ("ad", "creative", "ann", spot)
    assert derived_events(root, "c") == []
    update(root)
    labels = {row["creative_id"]: (row["label"], row["label_source"]) for row in read_airings(root).to_pylist()}
    assert labels[spot] == ("ad", "person")
    main(["label", "--data-dir", root, "--creative", spot, "--label", "promo", "--source", "model", "--author", "m"])
    assert derived_events(root, "a")[0].label == "ad"


def test_find_show_and_export_say_what_is_there(store, capsys, tmp_path):
    root = store("a", "b", "c")
    update(root)
    assert main(["find", "--data-dir", root, "--recording", "b", "--end", "15", "--json"]) == 0
    [airing] = said(capsys)["airings"]
    assert airing["times_aired"] == 2
    assert main(["show", "--data-dir", root, "--creative", airing["creative_id"], "--json"]) == 0
    shown = said(capsys)
    assert (shown["channels"], shown["first_seen"], round(shown["seconds"])) == (["one"], "2026-01-05", 12)
    assert main(["show", "--data-dir", root, "--json"]) == 0
    assert said(capsys)["creatives"] == 2
    for ending in ("csv", "json", "parquet"):
        output = tmp_path / f"all.{ending}"
        assert main(["export", "--data-dir", root, "--output", str(output)]) == 0
        assert output.stat().st_size > 100


def test_what_cannot_be_done_is_said(tmp_path, capsys, store):
    assert update(str(tmp_path))["creatives"] == 0
    with pytest.raises(DataError, match="no frames of x"):
        update(str(tmp_path), recordings=["x"])
    root = store("a")
    update(root)
    for arguments in (
        ["find", "--recording", "nobody"],
        ["show", "--creative", "nobody"],
        ["label", "--creative", "nobody", "--label", "ad"],
    ):
        assert main([*arguments, "--data-dir", root]) == 1
        assert "nobody" in capsys.readouterr().err
    assert main(["export", "--output", "all.txt", "--data-dir", root]) == 2


def test_a_recording_that_cannot_be_fingerprinted_is_named(store, tmp_path):
    root = store("a", "b")
    pointer = tmp_path / "frames" / "broken" / "current.json"
    pointer.parent.mkdir(parents=True)
    pointer.write_text(json.dumps({"extraction_id": "y", "source_version": "1"}))
    result = update(root)
    assert list(result["failed"]) == ["broken"]
    assert result["airings"] == 2
