"""A dataset version is proved, or the check that does not hold says where."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ml_training.config.schema import DataSection
from ml_training.data.creatives.catalogue import AIRINGS_SCHEMA, catalogue_uri
from ml_training.data.dataset import build, main
from ml_training.data.dataset_verification import verify
from ml_training.data.manifest import TEXT_COLUMNS, read_manifest
from ml_training.utils.errors import DatasetUnusable
from ml_training.utils.hashing import sha256_bytes

DATA = DataSection(split_shares={"train": 0.6, "validation": 0.15, "test": 0.25})


def write_catalogue(root: Path, airings: list[tuple[str, str, float, float]]) -> None:
    rows = [
        {"creative_id": creative, "recording_id": name, "start_seconds": start, "end_seconds": end,
         "channel": "x", "date": "", "label": "", "label_source": ""}
        for creative, name, start, end in airings
    ]  # fmt: skip
    Path(catalogue_uri(str(root))).parent.mkdir(exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=AIRINGS_SCHEMA), catalogue_uri(str(root)))


@pytest.fixture
def version(data_root: Path) -> Path:
    """The folder of a built version."""
    return data_root / "datasets" / build(str(data_root), DATA)["dataset_id"]


def test_a_good_version_is_proved(data_root: Path, version: Path) -> None:
    result = verify(str(data_root), version.name, pictures=20)
    assert (result["recordings"], result["frames"]) == (6, 48)
    assert all(result["checks"].values()), "every check looked at something"
    assert sha256_bytes((version / "listing.jsonl").read_bytes())[:16] == version.name


def rewrite_manifest(version: Path, change: Callable[[dict[str, list]], None], *, card: bool = True) -> None:
    """Change the manifest, and let the card say that it was always so."""
    table = pq.read_table(version / "manifest.parquet")
    columns = table.to_pydict()
    change(columns)
    new = pa.table(columns, schema=table.schema)
    names = new.column("recording_id").to_pylist()
    with pq.ParquetWriter(version / "manifest.parquet", table.schema, use_dictionary=TEXT_COLUMNS) as writer:
        for name in dict.fromkeys(names):
            writer.write_table(new.slice(names.index(name), names.count(name)))
    if card:
        said = json.loads((version / "card.json").read_text())
        said["manifest_sha256"] = sha256_bytes((version / "manifest.parquet").read_bytes())
        (version / "card.json").write_text(json.dumps(said))


def relabel(columns: dict[str, list]) -> None:
    columns["label"][0] = 1


def unmask(columns: dict[str, list]) -> None:
    """Score a creative also where it is masked."""
    for row, creative in enumerate(columns["creative"]):
        if creative == "everywhere-ad":
            columns["label"][row], columns["seen_creative"][row] = 1, False


def drop_last(columns: dict[str, list]) -> None:
    last = columns["recording_id"][-1]
    keep = [name != last for name in columns["recording_id"]]
    for name, values in columns.items():
        columns[name] = [value for value, kept in zip(values, keep, strict=True) if kept]


@pytest.mark.parametrize(
    ("change", "check"),
    [(relabel, r"rows: one-01: the rows do not follow"), (unmask, r"leaks: creative everywhere-ad is scored with"),
     (drop_last, r"rows: two-02: the rows do not follow"), (drop_last, r"counts: the card counts")],
)  # fmt: skip
def test_a_manifest_that_was_changed_is_found(
    data_root: Path, version: Path, change: Callable[[dict[str, list]], None], check: str
) -> None:
    rewrite_manifest(version, change)
    with pytest.raises(DatasetUnusable, match=check):
        verify(str(data_root), version.name)


def move_split(root: Path, version: Path) -> None:
    path = root / "splits" / "one-01.json"
    record = json.loads(path.read_text())
    record["split"] = "train" if record["split"] != "train" else "test"
    path.write_text(json.dumps(record))


def change_listing(root: Path, version: Path) -> None:
    path = version / "listing.jsonl"
    path.write_text(path.read_text().replace('"content"', '"promo"', 1))


def lose_shard(root: Path, version: Path) -> None:
    next((root / "frames" / "two-01").rglob("frames-*.parquet")).unlink()


def lose_index(root: Path, version: Path) -> None:
    next((root / "frames" / "two-01").rglob("index.parquet")).unlink()


def spoil_pictures(root: Path, version: Path) -> None:
    for path in (root / "frames" / "two-01").rglob("frames-*.parquet"):
        table = pq.read_table(path)
        pq.write_table(
            table.set_column(table.column_names.index("jpeg"), "jpeg", pa.array([b"none"] * len(table))), path
        )


def swap_pictures(root: Path, version: Path) -> None:
    one, other = (next((root / "frames" / name).rglob("frames-*.parquet")) for name in ("two-01", "two-02"))
    table = pq.read_table(one)
    pq.write_table(table.take(list(range(len(table)))[::-1]), other)


def learn_more(root: Path, version: Path) -> None:
    """The catalogue finds, later, that the programme of two channels is the same."""
    write_catalogue(root, [("c1", f"{channel}-01", 0.0, 4.0) for channel in ("one", "two", "three")])


def touch_manifest(root: Path, version: Path) -> None:
    with (version / "manifest.parquet").open("ab") as file:
        file.write(b"x")
    (version / "manifest.parquet").write_bytes((version / "manifest.parquet").read_bytes()[:-1])
    rewrite_manifest(version, lambda columns: None, card=False)


@pytest.mark.parametrize(
    ("spoil", "check"),
    [
        (move_split, "splits: one-01 is listed in"),
        (change_listing, "name: the listing hashes to"),
        (touch_manifest, "files: manifest.parquet is not the one"),
        (lose_shard, r"pictures: frames/two-01/.*: not there"),
        (lose_index, r"rows: two-01: there is no file"),
        (spoil_pictures, r"pictures: frames/two-01/.* row \d: expected a JPEG"),
        (swap_pictures, r"pictures: frames/two-02/.* is not the one that was extracted"),
        (learn_more, r"leaks: creative c1 is scored with .* frames in .*: build a new version"),
    ],
)
def test_what_is_wrong_is_told_with_its_check(
    data_root: Path, version: Path, spoil: Callable[[Path, Path], None], check: str
) -> None:
    spoil(data_root, version)
    with pytest.raises(DatasetUnusable, match=check) as caught:
        verify(str(data_root), version.name)
    assert check.split(":")[0] in caught.value.problems


def test_what_the_catalogue_finds_is_masked(data_root: Path) -> None:
    write_catalogue(data_root, [("c1", f"{channel}-01", 2.0, 4.0) for channel in ("one", "two", "three")])
    card = build(str(data_root), DATA)
    table = read_manifest(str(data_root), card["dataset_id"]).to_pandas()
    found = table[table["creative"] == "c1"]
    assert len(found) == 3 * 2
    scored = found[(found["label"] >= 0) & ~found["seen_creative"]]
    assert scored["split"].nunique() == 1
    assert card["frames"]["test"]["seen_creative"] + len(scored) > 0
    verify(str(data_root), card["dataset_id"])
    write_catalogue(data_root, [("c1", "one-01", 4.1, 5.9), ("c1", "two-01", 2.0, 4.0)])
    table = read_manifest(str(data_root), build(str(data_root), DATA)["dataset_id"]).to_pandas()
    assert set(table["creative"]) & {"one-ad", "c1"} == {"one-ad"}, "labels and catalogue mean the same ad"
    assert (table[table["recording_id"] == "two-01"]["creative"] == "one-ad").sum() == 2


def test_versions_that_are_not_there_or_half_built_are_told(data_root: Path, version: Path) -> None:
    with pytest.raises(DatasetUnusable, match="there is no dataset nothing"):
        verify(str(data_root), "nothing")
    (version / "card.json").unlink()
    with pytest.raises(DatasetUnusable, match="is half built: build it again"):
        verify(str(data_root), version.name)
    (version / "listing.jsonl").write_text("{}\n")
    with pytest.raises(DatasetUnusable, match=r"listing.jsonl is damaged"):
        verify(str(data_root), version.name)


def test_the_command_fails_loudly(data_root: Path, version: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["verify", "--dataset", version.name, "--data-dir", str(data_root), "--json"]
    assert main([*arguments, "--pictures", "3"]) == 0
    assert json.loads(capsys.readouterr().out)["checks"]["pictures"] == 6 + 3
    shutil.rmtree(data_root / "frames" / "two-01")
    assert main(arguments) == 1
    assert "does not hold what it says" in capsys.readouterr().err
