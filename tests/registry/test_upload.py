"""Registering model files: numbers, aliases, the same bytes twice, and an upload that was killed half-way."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from ml_training.registry.aliases import promote, rollback
from ml_training.registry.client import download
from ml_training.registry.server import RegistryServer
from ml_training.registry.upload import read_upload, upload
from ml_training.utils.errors import ModelError, ObjectNotFound, RegistryError, UsageError

MakeModel = Callable[..., dict[str, str]]
NAME = "base-general"


def test_the_first_accepted_version(server: RegistryServer, root: str, make_model: MakeModel) -> None:
    item = upload(server, root, **make_model("a"), mlflow_run_id="0123")
    assert (item.semver, item.version, item.aliases) == ("1.0.0", "1", ("candidate", "challenger"))
    assert item.accepted
    assert item.tags["dataset_id"] == "dataset-1"
    assert item.tags["f1"] == "0.9450"
    assert item.tags["simulated"] == "latency_p95"
    folder = Path(root) / "models" / NAME / "1.0.0"
    assert sorted(path.name for path in folder.iterdir()) == [
        "golden.npz",
        "manifest.json",
        "model.tflite",
        "verdicts.json",
    ]
    assert item.model_uri == str(folder / "model.tflite")


def test_a_refused_version_is_a_candidate_only(server: RegistryServer, root: str, make_model: MakeModel) -> None:
    upload(server, root, **make_model("a"))
    refused = upload(server, root, **make_model("b", accepted=False))
    assert (refused.semver, refused.aliases) == ("1.1.0", ("candidate",))
    assert refused.tags["refusal"] == "recall: 0.840 is not above 0.900"
    assert server.resolve(NAME, "challenger").semver == "1.0.0"


def test_the_same_bytes_are_the_same_version(server: RegistryServer, root: str, make_model: MakeModel) -> None:
    first = upload(server, root, **make_model("a"))
    upload(server, root, **make_model("b"))
    again = upload(server, root, **make_model("a"))
    assert again.version == first.version
    assert len(server.versions(NAME)) == 2
    assert server.resolve(NAME, "candidate").semver == "1.1.0"  # the newest, not the last that was uploaded


def test_new_verdicts_about_a_registered_file(server: RegistryServer, root: str, make_model: MakeModel) -> None:
    accepted = upload(server, root, **make_model("a"))
    refused = upload(server, root, **make_model("a", accepted=False))
    assert (refused.version, refused.accepted, refused.aliases) == (accepted.version, False, ("candidate",))
    assert json.loads(Path(refused.tags["verdicts_uri"]).read_text())["accepted"] is False
    assert json.loads(Path(accepted.tags["verdicts_uri"]).read_text())["accepted"] is True


def test_numbers_follow_the_change(server: RegistryServer, root: str, make_model: MakeModel) -> None:
    upload(server, root, **make_model("a"))
    smaller = {"input": {"shape": [1, 192, 192, 3], "dtype": "int8"}}
    assert upload(server, root, **make_model("b", manifest=smaller)).semver == "2.0.0"
    assert upload(server, root, **make_model("c", manifest=smaller), change="patch").semver == "2.0.1"
    assert upload(server, root, **make_model("d", manifest=smaller)).semver == "2.1.0"


def test_a_name_of_ones_own(server: RegistryServer, root: str, make_model: MakeModel) -> None:
    assert upload(server, root, **make_model("a"), name="sports-nfl").name == "sports-nfl"
    with pytest.raises(UsageError):
        upload(server, root, **make_model("a"), name="anything")
    assert server.names() == ["sports-nfl"]


def test_an_upload_killed_half_way_is_finished(
    server: RegistryServer, root: str, make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(RegistryServer, "create", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            upload(server, root, **make_model("a"))
    assert server.versions(NAME) == []
    assert upload(server, root, **make_model("a")).semver == "1.0.0"


def test_a_number_that_a_killed_upload_took_is_not_taken_again(
    server: RegistryServer, root: str, make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(RegistryServer, "create", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            upload(server, root, **make_model("a"))
    other = upload(server, root, **make_model("b"))
    assert other.semver == "1.1.0"
    assert Path(other.model_uri).read_bytes() == b"b"


def test_an_upload_killed_before_its_aliases(
    server: RegistryServer, root: str, make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(RegistryServer, "set_alias", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            upload(server, root, **make_model("a"))
    item = upload(server, root, **make_model("a"))
    assert (item.version, item.aliases) == ("1", ("candidate", "challenger"))


def test_a_champion_and_a_rolled_back_version_are_no_challengers_again(
    server: RegistryServer, root: str, make_model: MakeModel
) -> None:
    upload(server, root, **make_model("a"))
    promote(server, root, NAME, "1.0.0", approved_by="ana")
    assert upload(server, root, **make_model("a")).aliases == ("candidate", "champion")
    upload(server, root, **make_model("b"))
    promote(server, root, NAME, "challenger", approved_by="ana")
    rollback(server, root, NAME, approved_by="ana", reason="misses a jingle")
    assert upload(server, root, **make_model("b")).aliases == ("candidate",)


def test_documents_of_another_file(make_model: MakeModel) -> None:
    first, second = make_model("a"), make_model("b")
    with pytest.raises(ModelError, match="is of another file"):
        read_upload(first["model_uri"], second["verdicts_uri"])
    Path(first["model_uri"]).write_bytes(b"changed")
    with pytest.raises(ModelError, match=r"manifest .* is of another file"):
        read_upload(first["model_uri"], first["verdicts_uri"])
    Path(second["model_uri"]).with_name("manifest.json").unlink()
    with pytest.raises(ObjectNotFound, match=r"manifest\.json"):
        read_upload(second["model_uri"], second["verdicts_uri"])


def test_a_server_that_is_not_there_is_named(root: str, make_model: MakeModel) -> None:
    with pytest.raises(RegistryError, match=r"127\.0\.0\.1:9 .*is the MLflow server running"):
        upload(RegistryServer("http://127.0.0.1:9"), root, **make_model("a"))


def two_files(make_model: MakeModel, head: str) -> dict[str, str]:
    """A model of trunk and head; all of them have the same trunk."""
    files = make_model("trunk")
    folder = Path(files["model_uri"]).parent
    (folder / "model.tflite").rename(folder / "trunk.tflite")
    (folder / "head.tflite").write_bytes(head.encode())
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["parts"] = [
        {"file": f"{name}.tflite", "sha256": hashlib.sha256(content.encode()).hexdigest()}
        for name, content in (("trunk", "trunk"), ("head", head))
    ]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return {**files, "model_uri": str(folder / "trunk.tflite")}


def test_heads_on_one_trunk_are_versions_of_their_own(
    server: RegistryServer, root: str, make_model: MakeModel, tmp_path: Path
) -> None:
    first, second, again = (upload(server, root, **two_files(make_model, head)) for head in ("one", "two", "one"))
    assert (first.semver, second.semver, again.version) == ("1.0.0", "1.1.0", first.version)
    for semver, head in (("1.0.0", "one"), ("1.1.0", "two")):
        out = tmp_path / semver
        download(server, NAME, semver, str(out))
        assert sorted(path.name for path in out.iterdir()) == [
            "golden.npz", "head.tflite", "manifest.json", "trunk.tflite"
        ]  # fmt: skip
        assert (out / "head.tflite").read_text() == head
    Path(second.model_uri).with_name("head.tflite").write_bytes(b"changed")
    with pytest.raises(ModelError, match=r"head\.tflite in .* is not the file of its manifest"):
        download(server, NAME, "1.1.0", str(tmp_path / "third"))


def test_a_model_without_its_head_is_refused(make_model: MakeModel) -> None:
    files = two_files(make_model, "one")
    Path(files["model_uri"]).with_name("head.tflite").unlink()
    with pytest.raises(ObjectNotFound, match=r"head\.tflite"):
        read_upload(**files)
