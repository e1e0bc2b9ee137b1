"""Keys change and signatures grow old, while a device that was set up on the first day follows."""

from dataclasses import replace
from datetime import timedelta

import pytest
from ml_training.cloud import storage
from ml_training.edge.delivery.keys import KeyRing
from ml_training.edge.delivery.publishing import follow_ledger
from ml_training.edge.delivery.roles import initialize, refresh, renew_root, revoke, rotate
from ml_training.edge.delivery.state import DeliveryStore, Publisher, read_state
from ml_training.edge.delivery.verification import status, verify
from ml_training.utils.errors import DeliveryError, UsageError
from tuf.api.exceptions import UnsignedMetadataError

from .conftest import NAME, dies_before_write, promote, store_model


@pytest.fixture
def published(publisher, root):
    """A repository with a champion."""
    promote(root, store_model(root, "1.0.0"), None)
    follow_ledger(publisher, root)
    return publisher


def champion(document):
    return document["models"][NAME]["champion"]["semver"]


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets", "models", "rollouts", "root"])
def test_a_device_follows_a_new_key_and_the_old_one_counts_no_more(published, device, role, root):
    assert champion(device()) == "1.0.0"
    before = list(read_state(published.store).role(role).keyids)
    changed = rotate(published, role)
    now = read_state(published.store).role(role).keyids
    assert changed["old_key"] not in now
    assert changed["new_key"] in now
    assert len(now) == len(before)
    assert champion(device()) == "1.0.0"
    assert verify(published.store)["problems"] == []
    assert [entry.keyid for entry in published.ring.entries if entry.retired_at] == [before[0]]
    promote(root, store_model(root, "1.1.0"), None)
    follow_ledger(published, root)
    assert champion(device()) == "1.1.0"


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "models", "root"])
def test_a_rotation_killed_at_any_write_leaves_what_a_device_accepts_and_brings_no_key_back(published, device, role):
    gone, number, keyids = set(), 0, set(read_state(published.store).role(role).keyids)
    killed = True
    while killed:
        killed = dies_before_write(
            number, lambda: rotate(replace(published, ring=KeyRing(published.ring.folder)), role)
        )
        assert champion(device()) == "1.0.0"
        now = set(read_state(published.store).role(role).keyids)
        gone |= keyids - now
        assert not gone & now
        keyids, number = now, number + 1
        assert number < 20
    assert number >= 3
    assert gone
    assert verify(published.store)["problems"] == []


def test_a_key_whose_revocation_was_killed_is_not_taken_for_a_new_one(published, device):
    stolen = published.ring.of_role("root")[2].keyid
    number = 0
    while dies_before_write(number, lambda: revoke(published, "root", stolen)):
        if stolen not in read_state(published.store).role("root").keyids:
            break
        number += 1
    rotate(replace(published, ring=KeyRing(published.ring.folder)), "root")
    assert stolen not in read_state(published.store).role("root").keyids
    assert champion(device()) == "1.0.0"


def test_what_a_revoked_key_signs_is_refused(published, device):
    assert champion(device()) == "1.0.0"
    old = rotate(published, "timestamp")["old_key"]
    assert champion(device()) == "1.0.0"
    state = read_state(published.store)
    state.timestamp.signed.version += 10
    state.timestamp.signatures.clear()
    state.timestamp.sign(published.ring.signer(old))
    storage.write_bytes(published.store.metadata_uri("timestamp"), state.timestamp.to_bytes())
    with pytest.raises(UnsignedMetadataError):
        device()
    refresh(published)
    assert champion(device()) == "1.0.0"


def test_a_device_that_missed_many_roots_follows_all(published, device):
    assert champion(device()) == "1.0.0"
    for role in ("root", "root", "root", "timestamp"):
        rotate(published, role)
    renew_root(published)
    assert champion(device()) == "1.0.0"
    assert read_state(published.store).root.version == 6


def test_two_of_three_root_keys_are_enough_and_one_is_not(published, device):
    offline = published.ring.folder / "offline"
    (offline / "root-1.pem").rename(offline / "lost")
    lost = published.ring.of_role("root")[0].keyid
    rotate(published, "root", lost[:12])
    assert champion(device()) == "1.0.0"
    (offline / "root-2.pem").rename(offline / "lost-too")
    (offline / "root-3.pem").rename(offline / "and-this")
    with pytest.raises(DeliveryError, match=r"root-2 is not at .*--offline"):
        rotate(published, "timestamp")


def test_a_key_of_root_can_be_taken_away_and_the_only_one_of_a_role_not(published, device):
    third = published.ring.of_role("root")[2].keyid
    revoke(published, "root", third)
    assert third not in read_state(published.store).role("root").keyids
    assert champion(device()) == "1.0.0"
    with pytest.raises(DeliveryError, match="rotate puts a new one"):
        revoke(published, "root", published.ring.of_role("root")[0].keyid)
    with pytest.raises(DeliveryError, match="rotate puts a new one"):
        revoke(published, "models", published.ring.of_role("models")[0].keyid)
    with pytest.raises(UsageError, match="expected the id of a key that signs for models"):
        rotate(published, "models", "ffff")


def test_refresh_signs_what_is_half_way_and_names_what_it_cannot(published, device):
    now = published.now()
    assert refresh(published)["signed"] == ["timestamp"]
    later = replace(published, now=lambda: now + timedelta(days=12))
    assert refresh(later)["signed"] == ["snapshot", "timestamp"]
    offline = published.ring.folder / "offline"
    offline.rename(offline.with_name("away"))
    result = refresh(replace(published, now=lambda: now + timedelta(days=300)))
    assert result["signed"] == ["models", "rollouts", "snapshot", "timestamp"]
    assert sorted(result["not_signed"]) == ["root", "targets"]
    days = status(published.store, KeyRing(published.ring.folder))["roles"]
    assert days["root"]["keys_at_hand"] == 0
    assert days["models"]["keys_at_hand"] == 1


def test_another_repository_is_not_taken_over(published, root, tmp_path):
    from ml_training.edge.delivery.keys import create_keys

    with pytest.raises(DeliveryError, match="repository of other keys"):
        initialize(Publisher(DeliveryStore(root), create_keys(tmp_path / "others")))
    with pytest.raises(DeliveryError, match="no published state"):
        read_state(DeliveryStore(str(tmp_path / "empty")))
