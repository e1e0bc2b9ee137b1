"""An archive of simulated hours, and what it costs to add one more. Nothing here was broadcast.

    figures = measure_archive(root, Path("archive"), hours=1000)

An hour is made of the spectrograms and pictures of generated recordings: pieces of two to six seconds in random order,
each stretched by up to a quarter, moved by up to three bands and with noise added, so that codes are spread as those of
real sound and no hour repeats another. Into each, twenty spots of the generated recordings are planted as they are,
with the noise of another encode; so into the hour that is added. Of twenty hours, nineteen are the codes of one with
35 % of their bits turned over and nothing planted: as far from it as unlike sound is, but spread like it.
"""

import os
import time
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import chain, combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ml_training.data.audio.sound import load_sound
from ml_training.data.creatives.archive import Archive, member_of, write_archive, write_index
from ml_training.data.creatives.catalogue import read_airings
from ml_training.data.creatives.fingerprints import (
    Fingerprints,
    assemble,
    fingerprints_uri,
    load_fingerprints,
    make_fingerprints,
    store_fingerprints,
)
from ml_training.data.creatives.index import ArchiveIndex
from ml_training.data.creatives.matching import Match
from ml_training.data.creatives.picture_prints import PicturePrints, is_plain
from ml_training.data.creatives.sound_prints import (
    FRAME_RATE,
    SoundPrints,
    codes_at,
    landmarks,
    spectrogram,
    sub_fingerprints,
)
from ml_training.data.creatives.update import add_to_archive, write_catalogue
from ml_training.data.frames import read_extraction

FRAMES, PICTURES = round(3600 * FRAME_RATE), 3600
PLANTED = 20
VARIANTS, TURNED = 20, 0.35
NOISE = 0.35  # nats on each band: the bits of two airings then differ as those of two encodes do, in 10 to 15 %
EDGE = 3.0  # seconds: a found airing may be so far from where it was planted


class Base(NamedTuple):
    """What hours are made of: spectrogram, levels and pictures, and where spots lie in it (start, end in seconds)."""

    energies: np.ndarray
    level: np.ndarray
    thumbs: np.ndarray
    spots: list[tuple[int, int]]


def read_base(root: Path) -> Base:
    """Join the recordings of ``root``, each cut to whole seconds; a spot is any airing of the catalogue."""
    airings = defaultdict(list)
    seen: set[str] = set()
    for row in read_airings(str(root)).to_pylist():
        if row["creative_id"] not in seen:
            airings[row["recording_id"]].append((row["start_seconds"], row["end_seconds"]))
            seen.add(row["creative_id"])
    pieces, spots, at = [], [], 0
    for folder in sorted((root / "frames").iterdir()):
        extraction = read_extraction(str(root), folder.name)
        prints = load_fingerprints(str(root), folder.name, str(extraction["extraction_id"]))
        seconds = min(int(extraction["duration_seconds"]), len(prints.thumbs))
        energies, level = spectrogram(load_sound(str(root), extraction, 0, seconds))
        pieces.append((energies, level, prints.thumbs[:seconds]))
        spots += [(at + round(low), at + round(high)) for low, high in airings[folder.name] if high <= seconds]
        at += seconds
    energies, level, thumbs = (np.concatenate(part) for part in zip(*pieces, strict=True))
    return Base(energies, level, thumbs, spots)


def simulate_hour(base: Base, number: int, planted: int) -> tuple[Fingerprints, list[tuple[int, int]]]:
    """Return the fingerprints of a simulated hour and (spot, second) of what was planted."""
    rng = np.random.default_rng([71, number])
    frames, bands, pictures = _shuffled(base, rng)
    energies = np.take_along_axis(base.energies[frames], bands, axis=1)
    level, thumbs = base.level[frames], base.thumbs[pictures]
    places = [
        (int(spot), int(60 + slot * (3400 // planted)))
        for slot, spot in enumerate(rng.choice(len(base.spots), planted))
    ]
    for spot, second in places:
        low, high = base.spots[spot]
        frame, rate = slice(round(second * FRAME_RATE), round((second + high - low) * FRAME_RATE)), round(FRAME_RATE)
        energies[frame], level[frame] = base.energies[low * rate : high * rate], base.level[low * rate : high * rate]
        thumbs[second : second + high - low] = base.thumbs[low:high]
    noise = rng.normal(0, NOISE, (6007, energies.shape[1])).astype(np.float32)
    energies += np.resize(noise, energies.shape)
    marks = landmarks(energies, level)
    sound = SoundPrints(sub_fingerprints(energies), level, codes_at(energies, marks), marks)
    name = f"simulated-{number:05d}"
    facts = {
        "recording_id": name,
        "extraction_id": "simulated",
        "channel": f"channel-{number % 20:02d}",
        "duration_seconds": 3600,
    }
    return assemble(
        facts, sound, np.arange(PICTURES, dtype=np.float64), PicturePrints(thumbs, is_plain(thumbs))
    ), places


def _shuffled(base: Base, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return, for an hour, which frame of the base to take, which of its bands as each band, and which picture."""
    frames, shifts, pictures = [], [], []
    filled = 0
    while filled < FRAMES:
        length = int(rng.integers(100, 300))
        taken = np.arange(length) * rng.uniform(0.8, 1.25)
        frames.append(int(rng.integers(0, len(base.energies) - 400)) + taken.astype(np.int64))
        shifts.append(np.full(length, int(rng.integers(-3, 4))))
        filled += length
    while sum(map(len, pictures)) < PICTURES:
        pictures.append(int(rng.integers(0, len(base.thumbs) - 8)) + np.arange(int(rng.integers(2, 7))))
    count = base.energies.shape[1]
    bands = np.clip(np.concatenate(shifts)[:FRAMES, None] + np.arange(count), 0, count - 1)
    return np.concatenate(frames)[:FRAMES], bands, np.concatenate(pictures)[:PICTURES]


_BASE: list[Base] = []


def _prepare(root: Path) -> None:
    _BASE.append(read_base(root))


def _store_hours(folder: Path, first: int, hours: int) -> list[tuple[int, list[tuple[int, int]]]]:
    """Store one simulated hour and its variants; return number and what was planted of each."""
    prints, places = simulate_hour(_BASE[0], first, PLANTED)
    store_fingerprints(str(folder), prints)
    stored = [(first, places)]
    for number in range(first + 1, min(first + VARIANTS, hours)):
        store_fingerprints(str(folder), _variant(prints, number))
        stored.append((number, []))
    return stored


def _variant(prints: Fingerprints, number: int) -> Fingerprints:
    rng = np.random.default_rng([72, number])
    turned = np.packbits(rng.random((4096, prints.codes.shape[1] * 8), np.float32) < TURNED, axis=1)
    bits = np.packbits(rng.random((4096, 32), np.float32) < TURNED, axis=1).view(np.uint32).ravel()
    return replace(
        prints,
        recording_id=f"simulated-{number:05d}",
        channel=f"channel-{number % 20:02d}",
        codes=prints.codes ^ turned[rng.integers(0, 4096, len(prints.codes))],
        bits=prints.bits ^ bits[rng.integers(0, 4096, len(prints.bits))],
        thumbs=np.roll(prints.thumbs, int(rng.integers(100, 3500)), axis=0),
    )


def build_archive(root: Path, folder: Path, hours: int) -> tuple[Archive, dict[str, list[tuple[int, int]]], Base]:
    """Write the archive of ``hours`` as if it had been made hour by hour; the matches of what was planted are known."""
    base, archive, index = read_base(root), Archive(), ArchiveIndex()
    planted: dict[str, list[tuple[int, int]]] = {}
    with ProcessPoolExecutor(2, initializer=_prepare, initargs=(root,)) as pool:
        firsts = range(0, hours, VARIANTS)
        stored = pool.map(_store_hours, [folder] * len(firsts), firsts, [hours] * len(firsts))
        for number, places in chain.from_iterable(stored):
            name = f"simulated-{number:05d}"
            prints = load_fingerprints.__wrapped__(str(folder), name, "simulated")
            index.add(name, prints.codes, prints.code_frames)
            archive.members[name], planted[name] = member_of(prints), places
    airings = defaultdict(list)
    for name, places in planted.items():
        for spot, second in places:
            airings[spot].append((name, float(second), float(second + base.spots[spot][1] - base.spots[spot][0])))
    for places in airings.values():
        for one, other in combinations(sorted(places), 2):
            if one[0] != other[0]:
                archive.matches.setdefault((one[0], other[0]), []).append(Match(*one[1:], *other[1:], 1000.0, 1.0))
    write_archive(str(folder), archive)
    write_index(str(folder), index, archive.members)
    return archive, planted, base


def measure_archive(root: Path, folder: Path, hours: int) -> dict[str, Any]:
    """Build the archive, add an hour on one core, and return seconds, bytes, what was found and what is wrong."""
    started = time.monotonic()
    archive, planted, base = build_archive(root, folder, hours)
    print(f"simulated {hours} hours in {time.monotonic() - started:.0f} s, {len(base.spots)} spots planted")
    prints, places = simulate_hour(base, hours, PLANTED)
    store_fingerprints(str(folder), prints)
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        fingerprinting = _fingerprint_seconds(root)
        started = time.monotonic()
        add_to_archive(str(folder), archive, {prints.recording_id: prints})
        matching = time.monotonic() - started
        write_archive(str(folder), archive)
        write_catalogue(str(folder), archive)
        seconds = time.monotonic() - started
    finally:
        os.sched_setaffinity(0, cores)
    print(f"fingerprints {fingerprinting:.1f} s, matching {matching:.1f} s, catalogue {seconds - matching:.1f} s")
    found, wrong, expected = _judge(archive, planted, places, prints.recording_id)
    files = [Path(fingerprints_uri(str(folder), name, "simulated")).stat().st_size for name in list(planted)[:20]]
    return {
        "seconds": fingerprinting + seconds,
        "bytes_per_hour": float(np.mean(files)),
        "index_bytes_per_hour": (folder / "creatives" / "index" / "sound.npz").stat().st_size / (hours + 1),
        "planted": expected,
        "found": found,
        "wrong": wrong,
        "candidates": sum(prints.recording_id in pair for pair in archive.matches),
    }


def _fingerprint_seconds(root: Path) -> float:
    """Return how long one real hour takes, from two extracted recordings."""
    names = [folder.name for folder in sorted((root / "frames").iterdir())][:2]
    started = time.monotonic()
    duration = sum(make_fingerprints(str(root), name).duration_seconds for name in names)
    return (time.monotonic() - started) * 3600 / duration


def _judge(
    archive: Archive, planted: dict[str, list[tuple[int, int]]], places: list[tuple[int, int]], new: str
) -> tuple[int, int, int]:
    """Return how many matches of the new hour are right, how many wrong, and how many there should be."""
    right = wrong = 0
    for (first, second), matches in archive.matches.items():
        if new not in (first, second) or first == second:
            continue
        for match in matches:
            times = (
                (match.first_start, match.second_start) if second == new else (match.second_start, match.first_start)
            )
            own = {spot for spot, at in places if abs(at - times[1]) < EDGE}
            theirs = {spot for spot, at in planted[first if second == new else second] if abs(at - times[0]) < EDGE}
            right, wrong = (right + 1, wrong) if own & theirs else (right, wrong + 1)
    expected = sum(spot == other for spot, _ in places for held in planted.values() for other, _ in held)
    return right, wrong, expected
