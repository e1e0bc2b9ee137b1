from dataclasses import replace

import cv2
import numpy as np
import pytest
from ml_training.data.creatives.archive import Archive, member_of
from ml_training.data.creatives.index import ArchiveIndex
from ml_training.data.creatives.pictures_alone import match_by_pictures
from ml_training.data.creatives.sound_prints import sound_prints
from ml_training.data.creatives.update import match_recording

SPOT = (100, 12)


def matches(*recordings):
    """All matches of some fingerprints, found through the index in the order given."""
    archive, index, found = Archive(), ArchiveIndex(), {}
    known = {item.recording_id: item for item in recordings}
    for item in recordings:
        index.add(item.recording_id, item.codes, item.code_frames)
        archive.members[item.recording_id] = member_of(item)
        found |= match_recording(archive, index, item, set(found), known.__getitem__)
    return found


def one(found):
    assert len(found) == 1, found
    [(match,)] = found.values()
    return match


def test_an_airing_in_two_recordings_is_found_to_a_twentieth_of_a_second(prints):
    match = one(matches(prints("a", [(1, 20), SPOT, (2, 9)]), prints("b", [(3, 7), SPOT, (4, 15)])))
    assert match[:4] == pytest.approx((20, 32, 7, 19), abs=0.06)
    assert match.pictures == 1


def test_the_same_is_found_whichever_came_first(prints):
    a, b = prints("a", [(1, 20), SPOT, (2, 9)]), prints("b", [(3, 7), SPOT, (4, 15)])
    assert matches(a, b) == matches(b, a)


def test_an_airing_twice_in_one_recording_is_found(prints):
    match = one(matches(prints("a", [(1, 10), SPOT, (2, 15), SPOT, (3, 9)])))
    assert match[:4] == pytest.approx((10, 22, 37, 49), abs=0.06)


def quieter(sound):
    return np.round(np.tanh(sound / 9000) * 1500 + np.random.default_rng(1).normal(0, 12, len(sound))).astype(np.int16)


def logo(pictures):
    out = pictures.copy()
    out[:, 10:40, 180:215] = 250
    out[:, 204:] = (20, 40, 90)
    return out


def letterbox(pictures):
    out = np.zeros_like(pictures)
    out[:, 28:196] = [cv2.resize(picture, (224, 168), interpolation=cv2.INTER_AREA) for picture in pictures]
    return out


def squeezed(pictures):
    out = np.full_like(pictures, 90)
    out[:, :, :40] = 200
    out[:, 14:171, 56:213] = [cv2.resize(picture, (157, 157), interpolation=cv2.INTER_AREA) for picture in pictures]
    return out


@pytest.mark.parametrize(
    "change",
    [
        {"change_sound": quieter},
        {"change_pictures": logo},
        {"change_pictures": letterbox},
        {"change_pictures": squeezed},
    ],
    ids=["loudness", "logo and ticker", "letterbox", "squeezed"],
)
def test_another_chain_hides_nothing(prints, change):
    match = one(matches(prints("a", [(1, 8), SPOT, (2, 9)]), prints("b", [(3, 7), SPOT, (4, 8)], **change)))
    assert match[:4] == pytest.approx((8, 20, 7, 19), abs=0.15)


def test_a_cut_airing_is_found_up_to_where_it_was_cut(prints):
    whole, other = prints("a", [(1, 8), SPOT, (2, 9)]), prints("b", [(3, 7), SPOT, (4, 8)])
    elsewhere = prints("c", [(5, 27)]).bits
    cut = replace(other, bits=np.concatenate([other.bits[: 14 * 50], elsewhere[14 * 50 :]]))
    assert one(matches(whole, cut))[:4] == pytest.approx((8, 15, 7, 14), abs=0.1)


def test_sound_alone_is_no_airing(prints):
    other = prints("b", [(3, 7), SPOT, (4, 8)], change_pictures=lambda pictures: np.flip(pictures, axis=(1, 2)))
    assert not matches(prints("a", [(1, 8), SPOT, (2, 9)]), other)


def test_pictures_alone_are_no_airing(prints):
    other = prints("b", [(3, 7), SPOT, (4, 8)], change_sound=np.flip)
    assert not matches(prints("a", [(1, 8), SPOT, (2, 9)]), other)


def test_a_short_stretch_is_no_airing(prints):
    assert not matches(prints("a", [(1, 8), (100, 3), (2, 9)]), prints("b", [(3, 7), (100, 3), (4, 8)]))


def test_without_sound_pictures_must_agree_for_ten_seconds(prints):
    whole, silent = [(1, 8), (100, 15), (2, 9)], [(3, 7), (100, 15), (4, 8)]
    match = one(matches(prints("a", whole), prints("b", silent, has_sound=False)))
    assert match[:4] == pytest.approx((8, 23, 7, 22), abs=1)
    short = prints("c", [(3, 7), (100, 6), (4, 8)], has_sound=False)
    assert not match_by_pictures(prints("a", whole), short)


def test_silence_has_no_landmarks():
    assert not len(sound_prints(np.zeros(20 * 16_000, np.int16)).codes)
    assert not len(sound_prints(np.zeros(0, np.int16)).bits)


def test_a_stored_index_finds_the_same(prints):
    a = prints("a", [(1, 8), SPOT])
    index = ArchiveIndex()
    index.add("a", a.codes, a.code_frames)
    again = ArchiveIndex.from_bytes(index.to_bytes())
    for one_index in (index, again):
        [(name, there, here)] = one_index.search(a.codes, a.code_frames)
        assert name == "a"
        assert set(there[there == here]) == set(a.code_frames)
