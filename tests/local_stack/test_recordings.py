import json
import os

import pytest
from local_stack.errors import InputError
from local_stack.recordings import check_labels, find_recordings, fingerprint

BOTH = [{"start": 0, "end": 5, "label": "content"}, {"start": 5, "end": 9, "label": "ad"}]


def put(folder, name, content=b"video"):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def labels_file(tmp_path, content):
    text = content if isinstance(content, str) else json.dumps(content)
    return put(tmp_path, "labels.json", text.encode())


def test_places_in_the_bucket(tmp_path):
    folder = tmp_path / "video"
    put(folder, "one/2026-01-05/news.ts")
    flat = put(folder, "flat.MKV")
    os.utime(flat, (1767700000, 1767700000))
    put(folder, "deep/er/match.mp4")
    put(folder, "deep/er/match.json", b'{"channel": "sport one"}')
    put(folder, "notes.txt")
    found = find_recordings(folder)
    keys = {recording.recording_id: recording.key for recording in found.recordings}
    assert keys["news"] == "recordings/one/2026-01-05/news.ts"
    assert keys["flat"] == "recordings/unknown/2026-01-06/flat.mkv"
    assert keys["match"].startswith("recordings/sport_one/")
    assert [r.sidecar.name for r in found.recordings if r.sidecar] == ["match.json"]
    assert found.notes == []


def test_what_a_person_should_know_is_noted(tmp_path):
    put(tmp_path, "my film (1).ts")
    put(tmp_path, "song.wav")
    found = find_recordings(tmp_path)
    assert [recording.recording_id for recording in found.recordings] == ["my_film__1_"]
    assert found.notes == [
        "song.wav is left out: sound without picture",
        "my film (1).ts is called my_film__1_",
    ]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "no video in this folder .it is empty."),
        (["a.txt", "b.json"], "no video in this folder .it holds 2 other files.; expected files ending in"),
        (["x/a.ts", "y/a.mp4"], "have the same name"),
    ],
)
def test_folders_that_do_not_do(tmp_path, files, message):
    folder = tmp_path / "video"
    folder.mkdir()
    for name in files:
        put(folder, name)
    with pytest.raises(InputError, match=message):
        find_recordings(folder)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(InputError, match=r"RECORDINGS=.*nothing: there is no such folder"):
        find_recordings(tmp_path / "nothing")


@pytest.fixture
def found(tmp_path):
    put(tmp_path / "video", "a.ts")
    put(tmp_path / "video", "b b.ts")
    return find_recordings(tmp_path / "video")


def test_labels_are_kept_under_the_ids_and_the_rest_is_noted(tmp_path, found):
    labels = check_labels(labels_file(tmp_path, {"a": BOTH, "gone": BOTH}), found)
    assert labels.by_recording == {"a": BOTH}
    assert labels.notes == [
        "labels of recordings that are not there are left out: gone",
        "without labels, so not trained on: b_b",
    ]


def test_labels_may_use_the_files_own_name(tmp_path, found):
    assert check_labels(labels_file(tmp_path, {"b b": BOTH}), found).by_recording == {"b_b": BOTH}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ([1], "expected .*received a list"),
        ({"a": {"start": 0}}, "a: expected a list of segments"),
        ({"c": BOTH}, "names none of the recordings: it names c; there are a, b_b"),
        ({"a": BOTH[:1]}, "has no segment labelled 'ad' .it has: content.: a model needs both"),
        ({"a": BOTH[1:]}, "has no segment labelled 'content'"),
        ({"a": []}, "has no segment labelled 'ad' .it has: none."),
    ],
)
def test_labels_that_do_not_do(tmp_path, found, content, message):
    with pytest.raises(InputError, match=message):
        check_labels(labels_file(tmp_path, content), found)


def test_a_missing_file_of_labels_is_named(tmp_path, found):
    with pytest.raises(InputError, match=r"LABELS=.*none\.json cannot be read: No such file"):
        check_labels(tmp_path / "none.json", found)


def test_the_fingerprint_changes_with_recordings_and_labels_only(place, tmp_path, found):
    labels = check_labels(labels_file(tmp_path, {"a": BOTH}), found)
    first = fingerprint(place, found, labels)
    video = tmp_path / "video" / "a.ts"
    os.utime(video, (1, 1))
    again = find_recordings(tmp_path / "video")
    assert fingerprint(place, found, labels) == first
    assert fingerprint(place, found, None) != first
    put(tmp_path / "video", "a.ts", b"other")
    assert fingerprint(place, again, labels) != first
