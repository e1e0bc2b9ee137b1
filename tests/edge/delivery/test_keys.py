"""Keys lie where they should, readable by their owner only; what is missing or open is said."""

import json
import os
import stat

import boto3
import pytest
from ml_training.edge.delivery import keys, repository
from ml_training.edge.delivery.keys import KeyRing, create_keys
from ml_training.edge.delivery.roles import initialize, rotate
from ml_training.edge.delivery.state import DeliveryStore, Publisher, read_state
from ml_training.utils.errors import DeliveryError, UsageError
from securesystemslib.signer import AWSSigner, Signature


def test_private_keys_are_their_owners_and_listing_shows_none(ring, capsys):
    files = sorted(ring.folder.rglob("*.pem"))
    assert [path.stem for path in files if path.parent.name == "offline"] == ["root-1", "root-2", "root-3", "targets-1"]
    assert len(files) == 8
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert keys.main(["list", "--keys", str(ring.folder), "--json"]) == 0
    printed = capsys.readouterr().out
    assert len(json.loads(printed)["keys"]) == 8
    assert "PRIVATE" not in printed + (ring.folder / "keys.json").read_text()


def test_creating_again_changes_nothing_and_finishes_what_was_killed(ring):
    before = (ring.folder / "keys.json").read_text()
    create_keys(ring.folder)
    assert (ring.folder / "keys.json").read_text() == before
    content = json.loads(before)
    content["keys"] = content["keys"][:2]
    (ring.folder / "keys.json").write_text(json.dumps(content))
    assert len(create_keys(ring.folder).entries) == 8


def test_a_private_key_is_never_written_over(ring, tmp_path):
    before = {path: path.read_bytes() for path in ring.folder.rglob("*.pem")}
    index = (ring.folder / "keys.json").read_text()
    (ring.folder / "keys.json").write_text(json.dumps({"format": 1, "keys": json.loads(index)["keys"][:2]}))
    assert len(create_keys(ring.folder).entries) == 8
    assert {path: path.read_bytes() for path in before} == before
    (ring.folder / "keys.json").unlink()
    with pytest.raises(DeliveryError, match=r"root-1\.pem is there and .*keys\.json is not"):
        create_keys(ring.folder)
    with pytest.raises(DeliveryError, match=r"root-1\.pem is there and .*keys\.json is not"):
        create_keys(tmp_path / "others", offline=ring.folder / "offline")
    assert {path: path.read_bytes() for path in before} == before


def test_offline_keys_are_made_where_the_option_says(tmp_path, capsys):
    folder, stick = tmp_path / "keys", tmp_path / "stick"
    assert keys.main(["create", "--keys", str(folder), "--offline", str(stick), "--json"]) == 0
    assert all(row["at_hand"] for row in json.loads(capsys.readouterr().out)["keys"])
    assert sorted(path.name for path in stick.iterdir()) == ["root-1.pem", "root-2.pem", "root-3.pem", "targets-1.pem"]
    assert not (folder / "offline").exists()


def test_a_key_that_is_away_open_or_another_ones_is_said(ring):
    entry = ring.of_role("models")[0]
    path = ring.folder / "online" / "models-1.pem"
    path.chmod(0o644)
    with pytest.raises(DeliveryError, match="readable by others"):
        ring.signer(entry.keyid)
    os.replace(ring.folder / "online" / "rollouts-1.pem", path)
    with pytest.raises(DeliveryError, match="not the private half of models-1"):
        ring.signer(entry.keyid)
    path.unlink()
    assert not ring.can_sign(entry.keyid)
    with pytest.raises(DeliveryError, match="models-1 is not at"):
        ring.signer(entry.keyid)
    with pytest.raises(DeliveryError, match="is not among those of"):
        ring.signer("0" * 64)


def test_the_offline_keys_may_lie_elsewhere(ring, tmp_path):
    (ring.folder / "offline").rename(tmp_path / "stick")
    assert not KeyRing(ring.folder).can_sign(ring.of_role("root")[0].keyid)
    assert KeyRing(ring.folder, tmp_path / "stick").can_sign(ring.of_role("root")[0].keyid)


def test_wrong_calls_are_told(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("ADBREAK_DELIVERY_KEYS", raising=False)
    assert keys.main(["list"]) == 2
    assert "ADBREAK_DELIVERY_KEYS" in capsys.readouterr().err
    assert keys.main(["list", "--keys", str(tmp_path)]) == 1
    assert keys.main(["create", "--keys", str(tmp_path), "--uri", "root=awskms:x"]) == 2
    assert "expected one of models" in capsys.readouterr().err


def signing_key_of_a_service():
    made = boto3.client("kms").create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")
    return f"awskms:{made['KeyMetadata']['KeyId']}"


def test_a_key_of_a_service_is_asked_to_sign_and_its_signature_is_checked(s3_server, tmp_path, root):
    ring = create_keys(tmp_path / "keys", {"models": signing_key_of_a_service()})
    assert not list((tmp_path / "keys").rglob("models*.pem"))
    entry = KeyRing(ring.folder).of_role("models")[0]
    assert entry.public["scheme"] == "ecdsa-sha2-nistp256"
    assert ring.can_sign(entry.keyid)
    assert ring.signer(entry.keyid).sign(b"metadata").keyid == entry.keyid
    with pytest.raises(DeliveryError, match="does not verify"):  # moto hashes a digest once more
        initialize(Publisher(DeliveryStore(root), ring))
    assert not (tmp_path / "data/delivery/metadata/timestamp.json").exists()


@pytest.fixture
def moto_signs(monkeypatch):
    """Give moto the whole message to sign, as it hashes a digest once more."""

    def sign(self, payload):
        wish = {"MessageType": "RAW", "SigningAlgorithm": "ECDSA_SHA_256"}
        answer = self.client.sign(KeyId=self.aws_key_id, Message=payload, **wish)
        return Signature(self.public_key.keyid, answer["Signature"].hex())

    monkeypatch.setattr(AWSSigner, "sign", sign)


@pytest.mark.parametrize("role", ["models", "timestamp"])
def test_a_key_of_a_service_is_followed_by_another_of_the_service(s3_server, moto_signs, tmp_path, root, role):
    first, second = signing_key_of_a_service(), signing_key_of_a_service()
    publisher = Publisher(DeliveryStore(root), create_keys(tmp_path / "keys", {role: first}))
    initialize(publisher)
    with pytest.raises(UsageError, match=f"the key of {role} is in a key service: .* --uri"):
        rotate(publisher, role)
    with pytest.raises(UsageError, match=f"is a key of {role} already"):
        rotate(publisher, role, uri=first)
    assert (
        repository.main(
            ["rotate", "--role", role, "--uri", second, "--data-dir", root, "--keys", str(tmp_path / "keys")]
        )
        == 0
    )
    ring = KeyRing(tmp_path / "keys")
    assert [entry.uri for entry in ring.of_role(role)] == [second]
    assert read_state(publisher.store).role(role).keyids == [ring.of_role(role)[0].keyid]
    assert not list((tmp_path / "keys").rglob(f"{role}*.pem"))
    with pytest.raises(UsageError, match=f"is a key of {role} already"):
        rotate(Publisher(publisher.store, ring), role, uri=first)  # the stolen one


def test_a_file_key_may_be_followed_by_one_of_a_service_and_an_offline_one_not(s3_server, moto_signs, publisher):
    made = signing_key_of_a_service()
    rotate(publisher, "rollouts", uri=made)
    assert [entry.uri for entry in publisher.ring.of_role("rollouts")] == [made]
    with pytest.raises(UsageError, match="a key of models, rollouts, snapshot, timestamp, received root="):
        rotate(publisher, "root", uri=made)


def test_a_key_service_that_cannot_be_used_is_said(tmp_path, monkeypatch, s3_server):
    with pytest.raises(DeliveryError, match="the key service does not give awskms:alias/none"):
        create_keys(tmp_path / "keys", {"models": "awskms:alias/none"})
    from securesystemslib.signer import _aws_signer

    monkeypatch.setattr(_aws_signer, "AWS_IMPORT_ERROR", "no boto3")
    with pytest.raises(DeliveryError, match="needs boto3 and cryptography"):
        create_keys(tmp_path / "more", {"models": "awskms:alias/none"})
