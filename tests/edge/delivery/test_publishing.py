"""What is published, as a device sees it; and what may not be."""

import json
import os
import shutil
import threading
from pathlib import Path

import boto3
import pytest
from ml_training.cloud import storage
from ml_training.edge.delivery.model_files import read_model_files
from ml_training.edge.delivery.publishing import follow_ledger, publish_model, withdraw_model
from ml_training.edge.delivery.roles import initialize
from ml_training.edge.delivery.rollout_changes import publish_rollout, remove_rollout, set_rollout
from ml_training.edge.delivery.state import DeliveryStore, Publisher, read_state
from ml_training.edge.delivery.verification import status, verify
from ml_training.edge.fleet.rollout import ROLLOUT_PATH, ModelReference, ModelRollout
from ml_training.utils.errors import DeliveryError, ModelError, ObjectNotFound, UsageError

from .conftest import NAME, dies_before_write, promote, store_model, updater


def entry_of(document):
    return document["models"][NAME]


def test_a_promotion_reaches_a_device_and_a_second_run_writes_nothing(publisher, root, device, monkeypatch):
    assert device() is None
    first = store_model(root, "1.0.0")
    promote(root, first, None)
    assert follow_ledger(publisher, root)["models"][NAME]["champion"] == "1.0.0"
    entry = entry_of(device())
    assert entry["champion"]["version"] == "0"
    assert entry["champion"]["files"]["model.tflite"] == first.sha256
    assert set(entry["champion"]["files"]) == {"manifest.json", "model.tflite", "golden.npz"}
    written = []
    with monkeypatch.context() as patched:
        patched.setattr(storage, "write_bytes", lambda uri, *args, **kwargs: written.append(uri))
        assert follow_ledger(publisher, root)["published"] is False
    assert not written
    assert verify(publisher.store)["problems"] == []


def test_a_signed_file_that_was_lost_is_stored_again(publisher, root):
    first = store_model(root, "1.0.0")
    promote(root, first, None)
    follow_ledger(publisher, root)
    storage.delete(publisher.store.target_uri(f"models/{NAME}/1.0.0/model.tflite", first.sha256))
    assert verify(publisher.store)["problems"]
    assert follow_ledger(publisher, root)["published"] is False
    assert verify(publisher.store)["problems"] == []


def test_the_replaced_version_is_the_previous_one_and_a_rollback_withdraws_the_bad_one(publisher, root, device):
    first, second = store_model(root, "1.0.0"), store_model(root, "1.1.0")
    promote(root, first, None)
    follow_ledger(publisher, root)
    publish_model(publisher, read_model_files(root, NAME, "1.1.0"))
    wishes = {"challenger": "1.1.0", "stage_percent": 5, "holdback_percent": 2, "shadow": ("challenger", 0.05)}
    publish_rollout(publisher, NAME, wishes)
    promote(root, second, first)
    follow_ledger(publisher, root)
    entry = entry_of(device())
    assert (entry["champion"]["semver"], entry["previous"]["semver"]) == ("1.1.0", "1.0.0")
    assert (entry["challenger"], entry["stage_percent"], entry["shadow"]) == (None, 0, None)
    assert entry["holdback_percent"] == 2
    promote(root, first, second, "rolled_back")
    follow_ledger(publisher, root)
    entry = entry_of(device())
    assert (entry["champion"]["semver"], entry["previous"]) == ("1.0.0", None)
    assert status(publisher.store, None)["signed_models"] == ["models/base-general/1.0.0"]
    assert verify(publisher.store)["problems"] == []


def test_only_what_was_judged_is_signed(publisher, root):
    store_model(root, "1.0.0", accepted=False)
    with pytest.raises(DeliveryError, match="not accepted by its gates: slow"):
        read_model_files(root, NAME, "1.0.0")
    forced = read_model_files(root, NAME, "1.0.0", force_reason="a test of the fleet")
    assert publish_model(publisher, forced)["published"]
    second = store_model(root, "1.1.0")
    storage.write_bytes(storage.join(root, "models", NAME, "1.1.0", "model.tflite"), b"something else")
    with pytest.raises(ModelError, match="not the file of its manifest"):
        read_model_files(root, NAME, "1.1.0")
    third = store_model(root, "1.2.0").model_copy(update={"sha256": second.sha256})
    promote(root, third, None)
    with pytest.raises(DeliveryError, match="not the model that was promoted"):
        follow_ledger(publisher, root)
    with pytest.raises(ObjectNotFound):
        read_model_files(root, NAME, "9.0.0")


@pytest.mark.parametrize("first_is_accepted", [True, False])
def test_the_newest_verdict_decides(root, first_is_accepted):
    model = store_model(root, "1.0.0", accepted=first_is_accepted)
    folder = Path(root, "models", NAME, "1.0.0")
    for name, accepted, second in (("b", not first_is_accepted, 3), ("c", first_is_accepted, 2)):
        verdict = {"sha256": model.sha256, "accepted": accepted, "summary": "slow"}
        storage.write_json(str(folder / f"verdicts-{name}.json"), verdict)
        os.utime(folder / f"verdicts-{name}.json", (second, second))
    os.utime(folder / "verdicts.json", (1, 1))
    if first_is_accepted:
        with pytest.raises(DeliveryError, match="not accepted by its gates: slow"):
            read_model_files(root, NAME, "1.0.0")
    else:
        assert read_model_files(root, NAME, "1.0.0").semver == "1.0.0"


def test_of_verdicts_of_one_second_the_later_one_counts(root):
    """A bucket tells times in whole seconds."""
    model = store_model(root, "1.0.0")
    folder = Path(root, "models", NAME, "1.0.0")
    storage.write_json(str(folder / "verdicts-0.json"), {"sha256": model.sha256, "accepted": False, "summary": "slow"})
    for name in ("verdicts.json", "verdicts-0.json"):
        os.utime(folder / name, (1, 1))
    with pytest.raises(DeliveryError, match="not accepted by its gates: slow"):
        read_model_files(root, NAME, "1.0.0")


def gone(root, folder):
    storage.delete(f"{folder}/golden.npz")


def no_manifest(root, folder):
    storage.write_bytes(f"{folder}/manifest.json", b"{")


def incomplete_manifest(root, folder):
    storage.write_json(f"{folder}/manifest.json", {"version": 1})


def manifest_of_a_file_elsewhere(root, folder):
    manifest = storage.read_json(f"{folder}/manifest.json")
    parts = [{"file": "model.tflite", "sha256": manifest["sha256"]}, {"file": "../x", "sha256": "e" * 64}]
    storage.write_json(f"{folder}/manifest.json", {**manifest, "parts": parts})


def another_part(root, folder):
    manifest = storage.read_json(f"{folder}/manifest.json")
    parts = [{"file": "model.tflite", "sha256": manifest["sha256"]}, {"file": "head.tflite", "sha256": "e" * 64}]
    storage.write_json(f"{folder}/manifest.json", {**manifest, "parts": parts})
    storage.write_bytes(f"{folder}/head.tflite", b"another head")


def published_as_something_else(root, folder):
    manifest = storage.read_json(f"{folder}/manifest.json")
    storage.write_json(f"{folder}/manifest.json", {**manifest, "threshold": 0.9})


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (gone, r"there is no file .*golden\.npz"),
        (no_manifest, "manifest.json in .* is not as it should be"),
        (incomplete_manifest, "sha256 Field required"),
        (manifest_of_a_file_elsewhere, r"parts\.1\.file String should match"),
        (another_part, r"head\.tflite in .* is not the file of its manifest"),
        (published_as_something_else, "is published with other bytes"),
    ],
)
def test_a_model_that_cannot_be_published_holds_back_no_other(publisher, root, device, spoil, reason):
    broken = store_model(root, "1.0.0", name="sports-nfl")
    publish_model(publisher, read_model_files(root, "sports-nfl", "1.0.0"))
    promote(root, broken, None, name="sports-nfl")
    promote(root, store_model(root, "1.0.0"), None)
    spoil(root, storage.join(root, "models/sports-nfl/1.0.0"))
    with pytest.raises(DeliveryError, match=f"other models are: sports-nfl: .*{reason}"):
        follow_ledger(publisher, root)
    assert list(device()["models"]) == [NAME]
    assert verify(publisher.store)["problems"] == []


def test_a_previous_version_that_is_broken_is_left_out(publisher, root, device):
    first = store_model(root, "1.0.0")
    no_manifest(root, storage.join(root, "models", NAME, "1.0.0"))
    promote(root, store_model(root, "1.1.0"), first)
    follow_ledger(publisher, root)
    entry = entry_of(device())
    assert (entry["champion"]["semver"], entry["previous"]) == ("1.1.0", None)


def test_a_version_that_was_taken_back_may_be_offered_again(publisher, root, device):
    first, second = store_model(root, "1.0.0"), store_model(root, "1.1.0")
    promote(root, second, first)
    follow_ledger(publisher, root)
    promote(root, first, second, "rolled_back")
    follow_ledger(publisher, root)
    publish_model(publisher, read_model_files(root, NAME, "1.1.0", force_reason="looked at again"))
    publish_rollout(publisher, NAME, {"challenger": "1.1.0", "stage_percent": 5})
    follow_ledger(publisher, root)
    assert entry_of(device())["challenger"]["semver"] == "1.1.0"
    assert verify(publisher.store)["problems"] == []
    publish_rollout(publisher, NAME, {"challenger": None})
    follow_ledger(publisher, root)
    assert status(publisher.store, None)["signed_models"] == ["models/base-general/1.0.0"]


def test_what_was_removed_stays_out_until_the_ledger_or_a_person_says_otherwise(publisher, root, device):
    first = store_model(root, "1.0.0")
    promote(root, first, None)
    promote(root, store_model(root, "1.0.0", name="sports-nfl"), None, name="sports-nfl")
    follow_ledger(publisher, root)
    remove_rollout(publisher, NAME)
    publish_rollout(publisher, "sports-nfl", {"holdback_percent": 2})  # another change does not forget it
    withdraw_model(publisher, NAME, "1.0.0")
    assert follow_ledger(publisher, root)["published"] is False
    assert list(device()["models"]) == ["sports-nfl"]
    follow_ledger(publisher, root, [NAME])
    assert sorted(device()["models"]) == [NAME, "sports-nfl"]
    remove_rollout(publisher, NAME)
    promote(root, store_model(root, "1.1.0"), first)
    follow_ledger(publisher, root)
    assert entry_of(device())["champion"]["semver"] == "1.1.0"


def test_a_version_never_changes(publisher, root):
    store_model(root, "1.0.0")
    publish_model(publisher, read_model_files(root, NAME, "1.0.0"))
    store_model(root, "1.0.0", threshold=0.9)
    with pytest.raises(DeliveryError, match="published with other bytes"):
        publish_model(publisher, read_model_files(root, NAME, "1.0.0"))


def test_a_rollout_names_only_what_is_signed(publisher, root):
    with pytest.raises(UsageError, match="expected a champion"):
        publish_rollout(publisher, NAME, {"stage_percent": 5})
    with pytest.raises(DeliveryError, match=r"1\.0\.0 is not published"):
        publish_rollout(publisher, NAME, {"champion": "1.0.0"})
    store_model(root, "1.0.0")
    publish_model(publisher, read_model_files(root, NAME, "1.0.0"))
    publish_rollout(publisher, NAME, {"champion": "1.0.0"})
    with pytest.raises(DeliveryError, match="is the champion of the rollout"):
        withdraw_model(publisher, NAME, "1.0.0")
    remove_rollout(publisher, NAME)
    assert withdraw_model(publisher, NAME, "1.0.0")["withdrawn"]
    assert status(publisher.store, None)["signed_models"] == []


def test_a_document_that_names_another_file_is_not_published(publisher, root):
    store_model(root, "1.0.0")
    publish_model(publisher, read_model_files(root, NAME, "1.0.0"))
    other = ModelRollout(ModelReference("0", "1.0.0", {"manifest.json": "e" * 64}))
    with pytest.raises(DeliveryError, match=r"manifest\.json, which is not signed"):
        set_rollout(publisher, read_state(publisher.store), {NAME: other})


def test_wishes_change_one_thing_at_a_time(publisher, root, device):
    for semver, runtime in (("1.0.0", "2.1.0"), ("1.1.0", "2.10.0")):
        store_model(root, semver, minimum_runtime=runtime)
        publish_model(publisher, read_model_files(root, NAME, semver))
    publish_rollout(publisher, NAME, {"champion": "1.0.0"})
    publish_rollout(publisher, NAME, {"challenger": "1.1.0", "stage_percent": 5, "pins": {"a": "challenger"}})
    entry = entry_of(device())
    assert (entry["salt"], entry["minimum_runtime"]) == ("base-general-1.1.0", "2.10.0")
    publish_rollout(publisher, NAME, {"stage_percent": 25, "pins": {"a": None, "b": "previous"}})
    entry = entry_of(device())
    assert (entry["salt"], entry["stage_percent"], entry["pins"]) == ("base-general-1.1.0", 25, {"b": "previous"})
    assert device()["revision"] == 3
    assert publish_rollout(publisher, NAME, {"stage_percent": 25})["published"] is False
    with pytest.raises(DeliveryError, match="stage_percent: expected a number from 0 to 100"):
        publish_rollout(publisher, NAME, {"stage_percent": 250})
    assert device()["revision"] == 3


def test_a_stolen_rollout_key_cannot_bring_in_a_file(publisher, root, tmp_path):
    store_model(root, "1.0.0")
    publish_model(publisher, read_model_files(root, NAME, "1.0.0"))
    publish_rollout(publisher, NAME, {"champion": "1.0.0"})

    def smuggle(state):
        path = "models/base-general/1.0.0/model.tflite"
        state.target_files("rollouts")[path] = publisher.store.write_target(path, b"evil")
        return {"rollouts"}

    publisher.publish(smuggle)
    (tmp_path / "device").mkdir()
    client = updater(root, tmp_path / "device")
    found = client.get_targetinfo("models/base-general/1.0.0/model.tflite")  # ``models`` is asked, and no one else
    assert found.length > len(b"evil")


def champion_on_a_device(root, folder):
    folder.mkdir(exist_ok=True)
    client = updater(root, folder)
    client.refresh()
    return entry_of(json.loads(Path(client.download_target(client.get_targetinfo(ROLLOUT_PATH))).read_bytes()))[
        "champion"
    ]


def test_a_publish_killed_at_any_write_leaves_the_old_state_and_is_finished_by_the_next(publisher, root, tmp_path):
    before = store_model(root, "1.0.0")
    promote(root, before, None)
    follow_ledger(publisher, root)
    promote(root, store_model(root, "1.1.0"), before)
    for number in range(20):
        copy = shutil.copytree(root, tmp_path / f"copy-{number}")
        other = Publisher(DeliveryStore(str(copy)), publisher.ring)
        died = dies_before_write(number, lambda: follow_ledger(other, str(copy)))  # noqa: B023
        folder = tmp_path / f"device-{number}"
        assert champion_on_a_device(str(copy), folder)["semver"] == ("1.0.0" if died else "1.1.0")
        follow_ledger(other, str(copy))
        assert champion_on_a_device(str(copy), folder)["semver"] == "1.1.0"
        if not died:
            break
    assert number == 8  # three files of the model, the rollout; then models, rollouts, snapshot, timestamp
    assert verify(other.store)["problems"] == []


def test_an_initialization_killed_at_any_write_is_finished_by_the_next(root, ring):
    publisher = Publisher(DeliveryStore(root), ring)
    died = [dies_before_write(number, lambda: initialize(publisher)) for number in range(6)]
    assert died == [True, True, True, True, True, False]  # root stays once written; five files are written after it
    assert initialize(publisher)["created"] is False
    assert verify(publisher.store)["problems"] == []


def test_of_many_publishers_at_once_none_is_lost(publisher, root, device):
    store_model(root, "1.0.0")
    publish_model(publisher, read_model_files(root, NAME, "1.0.0"))
    publish_rollout(publisher, NAME, {"champion": "1.0.0"})
    failures = []

    def pin(number):
        try:
            publish_rollout(publisher, NAME, {"pins": {f"device-{number}": "champion"}})
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=pin, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert sorted(entry_of(device())["pins"]) == [f"device-{number}" for number in range(4)]
    assert verify(publisher.store)["problems"] == []


def test_a_bucket_is_published_to_as_a_folder_is(s3_server, ring):
    boto3.client("s3").create_bucket(Bucket="devices")
    root = "s3://devices"
    publisher = Publisher(DeliveryStore(root), ring)
    initialize(publisher)
    promote(root, store_model(root, "1.0.0"), None)
    assert follow_ledger(publisher, root)["published"]
    assert follow_ledger(publisher, root)["published"] is False
    assert verify(publisher.store)["problems"] == []
    timestamp = boto3.client("s3").head_object(Bucket="devices", Key="delivery/metadata/timestamp.json")
    assert timestamp["CacheControl"] == "no-cache"
    stale = read_state(publisher.store)
    publish_rollout(publisher, NAME, {"exclusions": ("a",)})
    with pytest.raises(Exception, match="is not what it was"):
        publisher._write(stale, {"timestamp"}, {})


def test_verify_names_what_a_device_would_refuse(publisher, root):
    first = store_model(root, "1.0.0")
    promote(root, first, None)
    follow_ledger(publisher, root)
    uri = publisher.store.target_uri("models/base-general/1.0.0/model.tflite", first.sha256)
    storage.write_bytes(uri, b"altered")
    assert "model.tflite is not what was signed" in verify(publisher.store)["problems"][0]
    storage.delete(uri)
    assert "there is no file" in verify(publisher.store)["problems"][0]
    document = json.loads(storage.read_bytes(publisher.store.metadata_uri("1.root")))
    assert document["signed"]["roles"]["root"]["threshold"] == 2


def test_verify_names_a_rollout_that_is_lost_and_says_where_there_is_nothing(publisher, root, tmp_path):
    promote(root, store_model(root, "1.0.0"), None)
    follow_ledger(publisher, root)
    (fleet,) = Path(root, "delivery/targets/rollouts").iterdir()
    fleet.unlink()
    (problem,) = verify(publisher.store)["problems"]
    assert "fleet.json" in problem
    with pytest.raises(DeliveryError, match="no published state"):
        verify(DeliveryStore(str(tmp_path / "empty")))
