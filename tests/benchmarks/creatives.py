"""Creatives found in generated recordings, and what an hour costs in an archive of 1,000 simulated hours.

    make bench NAME=creatives                # SCALE=full: three times the recordings

Recordings come from the generator, with few creatives a channel so that most air again, and from
`creatives_reaired.py`, which airs spots of them once more: with another encode, scale, logo, loudness, cut short, or
squeezed. The archive is simulated: `creatives_archive.py` says how.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from creatives_archive import measure_archive
from creatives_reaired import make_reaired
from ml_training.data.collectors import extract
from ml_training.data.creatives.catalogue import read_airings
from ml_training.data.creatives.update import update

HOURS = 1000
RECORDINGS, MINUTES, CHANNELS = 6, 2.5, 2  # a night; two nights are made side by side
SHORTEST = 4.0  # seconds: see docs/creatives.md, "What it does not see"
SAME = 0.7  # intersection over union of an airing that counts as found
SCALE = 3 if os.environ.get("SCALE") == "full" else 1


def make_night(folder: Path, night: int) -> None:
    """Generate one night of a world in which few creatives share the breaks. Runs in a process of its own."""
    from ml_training.data.synthetic import creatives, schedule
    from ml_training.data.synthetic.generate import Request, generate

    creatives.POOL_SIZE, creatives.NEW_PER_NIGHT, creatives.NATIONAL_SHARE = 4, 1, 0.35
    schedule.SPOT_SECONDS = (10.0, 15.0)
    generate(Request(folder, RECORDINGS * SCALE, MINUTES, CHANNELS * SCALE, seed=5, night=night, workers=1))


def make_recordings(root: Path) -> dict[str, Any]:
    """Generate both nights, air some spots again, extract all; return the labels."""
    nights = [root / f"night-{number}" for number in (1, 2)]
    makers = [
        subprocess.Popen([sys.executable, __file__, "--make", str(night), str(number)])
        for number, night in enumerate(nights, start=1)
    ]
    if sum(maker.wait() for maker in makers):
        sys.exit("the generator failed")
    labels: dict[str, Any] = {}
    for night in nights:
        labels |= json.loads((night / "labels.json").read_text())
    labels |= make_reaired(nights, labels, root / "again")
    for folder in (*nights, root / "again"):
        extract(str(folder / "recordings"), str(root / "frames"))
    return labels


def judge(root: Path, labels: dict[str, Any]) -> dict[str, float]:
    """Compare the catalogue with the labels, airing by airing."""
    true = [
        (item["creative"], name, item["start"], item["end"], item.get("kind") or kind_of(item))
        for name, items in labels.items()
        for item in items
        if item.get("creative")
    ]
    times = Counter(airing[0] for airing in true)
    found: set[Any] = set()
    errors: list[float] = []
    right = total = merges = 0
    for airings in _by_creative(root).values():
        matched = [(_best(airing, true), airing) for airing in airings]
        main = Counter(best[0] for best, _ in matched if best).most_common(1)
        merges += len({best[0] for best, _ in matched if best}) > 1
        for best, airing in matched:
            total += 1
            if best and best[0] == main[0][0]:
                right += 1
                found.add(best)
                errors += [abs(airing["start_seconds"] - best[2]), abs(airing["end_seconds"] - best[3])]
            else:
                print(f"  no airing of {main[0][0] if main else 'anything that repeats'}: {airing}")
    again = [airing for airing in true if times[airing[0]] > 1 and airing[3] - airing[2] >= SHORTEST]
    brief = sum(times[airing[0]] > 1 for airing in true) - len(again)
    print(f"  {brief} airings of less than {SHORTEST:.0f} seconds (idents, cards) are not looked for")
    for kind in sorted({airing[4] for airing in again}):
        own = [airing for airing in again if airing[4] == kind]
        print(f"  {kind:<28} {sum(airing in found for airing in own):>3} of {len(own)} airings found")
    for airing in again:
        if airing not in found:
            print(f"  not found: {airing}")
    return {
        "precision": right / max(1, total),
        "recall": sum(airing in found for airing in again) / len(again),
        "bounds": float(np.median(errors)) if errors else 99.0,
        "airings": len(again),
        "merged": merges,
    }


def kind_of(item: dict[str, Any]) -> str:
    """Return what a generated stretch is: its label, or a title sequence, which is content that repeats."""
    return "title sequence" if item["label"] == "content" else f"{item['label']}, as generated"


def _by_creative(root: Path) -> dict[str, list[dict[str, Any]]]:
    creatives = defaultdict(list)
    for row in read_airings(str(root)).to_pylist():
        creatives[row["creative_id"]].append(row)
    return creatives


def _best(airing: dict[str, Any], true: list[Any]) -> Any:
    def overlap(other: Any) -> float:
        low, high = max(airing["start_seconds"], other[2]), min(airing["end_seconds"], other[3])
        whole = max(airing["end_seconds"], other[3]) - min(airing["start_seconds"], other[2])
        return max(0.0, high - low) / whole

    own = [other for other in true if other[1] == airing["recording_id"]]
    best = max(own, key=overlap, default=None)
    return best if best and overlap(best) > SAME else None


def main() -> int:
    """Print tables and the figures beside their bars."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(os.environ.get("CREATIVES_FOLDER", folder))
        labels = make_recordings(root)
        started = time.monotonic()
        print(update(str(root), rebuild=True) | {"added": "..."})
        print(f"catalogue of {len(labels)} recordings in {time.monotonic() - started:.0f} s")
        quality = judge(root, labels)
        archive = measure_archive(root, Path(folder) / "archive", HOURS)
    figures = [
        ("precision", quality["precision"], ">=", 0.98, quality["precision"] >= 0.98),
        ("recall", quality["recall"], ">=", 0.95, quality["recall"] >= 0.95),
        ("bounds, median (s)", quality["bounds"], "<=", 0.2, quality["bounds"] <= 0.2),
        (f"an hour into {HOURS} simulated hours, one core (s)", archive["seconds"], "<", 60.0, archive["seconds"] < 60),
    ]
    print(
        f"{quality['airings']} airings of repeated creatives, {quality['merged']} wrongly merged; simulated archive: "
        f"{archive['bytes_per_hour'] / 1e6:.2f} MB of fingerprints and {archive['index_bytes_per_hour'] / 1e6:.2f} MB "
        f"of index an hour, {archive['found']} of {archive['planted']} planted airings found, {archive['wrong']} wrong "
        f"matches of one hour with {HOURS} simulated hours, of {archive['candidates']} candidates"
    )
    for name, value, sign, bar, kept in figures:
        print(f"{name:<50} {value:>10.4g} {sign} {bar:<6g} {'kept' if kept else 'MISSED'}")
    print("; ".join(f"{name} {value:.4g} {sign} {bar:g}" for name, value, sign, bar, _ in figures))
    return 0 if all(kept for *_, kept in figures) else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["--make"]:
        make_night(Path(sys.argv[2]), int(sys.argv[3]))
        sys.exit(0)
    sys.exit(main())
