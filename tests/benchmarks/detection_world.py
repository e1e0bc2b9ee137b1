"""The recordings of the benchmark of detection: nights of many channels, some without ads, some without a cue.

    world = World(folder, steps, NORMAL)
    world.build()                              # generate, extract, import, catalogue, dataset version
    world.held_out                             # recordings of the channels that no training sees
    world.without_ads(), world.ablated("logos")

All of it is made by the generator and the package's own commands. A dataset version decides which channels are held out
for the test; recordings without ads and ablated ones are made of those channels only. Nothing is made easier: lengths,
spots and creatives are the generator's own.
"""

import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from detection_steps import StepFailed, Steps
from ml_training.data.synthetic.generate import recordings_below
from ml_training.data.synthetic.profiles import Profile, draw_profile

SEED = 21  # not the world that recordings are generated from by default, which people looked at while they built
SHARES = {"train": 0.6, "validation": 0.15, "test": 0.25}
SHARES_OF_MORE = {"train": 0.8, "validation": 0.2, "test": 0.0}  # what is judged stays the same
TriSpan = tuple[float, float, str]


class Scale(NamedTuple):
    """How much is made. ``quiet`` are the recordings without ads; ``each`` leaves genres and styles out one by one.

    ``more_channels`` air one night, and are learned from only.
    """

    channels: int
    nights: int
    minutes: float
    quiet_nights: int
    ablated_nights: int
    each: bool
    more_channels: int = 0


NORMAL = Scale(channels=14, nights=2, minutes=3.0, quiet_nights=2, ablated_nights=1, each=False)
WIDE = NORMAL._replace(more_channels=30)
TINY = Scale(channels=6, nights=2, minutes=1.1, quiet_nights=1, ablated_nights=1, each=False)  # to see that it runs
FULL = Scale(channels=24, nights=3, minutes=5.0, quiet_nights=3, ablated_nights=1, each=True)
SCALES = {"": NORMAL, "wide": WIDE, "tiny": TINY, "full": FULL}


@dataclass(frozen=True)
class Recorded:
    """A recording with its labels; ``labels`` are (start, end, label), ``creatives`` those of its ads, in order."""

    recording_id: str
    path: Path
    channel: str
    genre: str
    labels: list[TriSpan]
    creatives: list[tuple[float, float, str]]

    @property
    def duration(self) -> float:
        """Where its last label ends, in seconds."""
        return max(end for _, end, _ in self.labels)


class World:
    """A data root with everything in it; ``build`` comes first."""

    def __init__(self, folder: Path, steps: Steps, scale: Scale) -> None:
        self.folder, self.steps, self.scale = folder, steps, scale
        self.root, self.more = folder / "root", folder / "more"
        self.dataset_id, self.shares = "", SHARES

    def build(self) -> None:
        """Make the recordings of all nights and a dataset version of them."""
        for night in range(1, self.scale.nights + 1):
            self._generate(self.root, night, self._sizes)
        self._ingest(self.root / "labels.json")
        self.dataset_id = self._dataset()
        if self.scale.more_channels:
            first, last = self.scale.channels + 1, self.scale.channels + self.scale.more_channels
            only = [f"channel-{number:02d}" for number in range(first, last + 1)]
            sizes = ["--recordings", last, "--channels", last, "--minutes", self.scale.minutes]
            self._generate(self.more, 1, [*sizes, "--only", *only])
            self._ingest(self.more / "labels.json", self.more / "recordings")
            self.shares = SHARES_OF_MORE
            self.dataset_id = self._dataset()

    def _dataset(self) -> str:
        options = ["--config", "base_model", "--data-dir", self.root, "--overrides", self.overrides()]
        return str(self.steps.command("data.dataset", "build", *options)["dataset_id"])

    def overrides(self, **more: Any) -> str:
        """Return the changes to a config that every training of this world has, as JSON."""
        return json.dumps({"data.split_shares": self.shares, **more})

    @property
    def recordings(self) -> list[Recorded]:
        """All recordings with ads and labels, in order of name."""
        folders = [self.root, self.more] if self.scale.more_channels else [self.root]
        return [recording for folder in folders for recording in recorded(folder, folder / "labels.json")]

    def split_of(self, channel: str) -> str:
        """Return the split of a channel, which is held out whole."""
        return str(json.loads((self.root / "splits" / "channels" / f"{channel}.json").read_text())["split"])

    @property
    def held_out(self) -> list[Recorded]:
        """The recordings of the channels of the test split."""
        return [recording for recording in self.recordings if self.split_of(recording.channel) == "test"]

    @property
    def seen_creatives(self) -> set[str]:
        """The creatives that a training or its validation saw air."""
        known = (r for r in self.recordings if self.split_of(r.channel) != "test")
        return {creative for recording in known for _, _, creative in recording.creatives}

    def profile(self, channel: str) -> Profile:
        """Return what the generator decided for a channel."""
        return draw_profile(SEED, int(channel.rpartition("-")[2]) - 1)

    def without_ads(self) -> list[Recorded]:
        """Make recordings of the held-out channels in which nothing is an ad, and take them into the archive."""
        first = self.scale.nights + 1
        nights = range(first, first + self.scale.quiet_nights)
        folders = [self.folder / "quiet" / str(night) for night in nights]
        options = [str(word) for word in (*self._sizes, *self._only_held_out())]
        makers = [
            subprocess.Popen([sys.executable, __file__, str(folder), str(night), *options], stdout=subprocess.DEVNULL)
            for folder, night in zip(folders, nights, strict=True)
        ]
        if sum(maker.wait() != 0 for maker in makers):
            raise StepFailed("the generator could not make recordings without ads")
        self._ingest(None, self.folder / "quiet")
        return [recording for folder in folders for recording in recorded(folder, folder / "labels.json")]

    def ablated(self, cue: str) -> list[Recorded]:
        """Make the held-out recordings of some nights again without a cue."""
        folder = self.folder / "ablated" / cue
        for night in range(1, self.scale.ablated_nights + 1):
            self._generate(folder, night, [*self._sizes, "--ablate", cue, *self._only_held_out()])
        return recorded(folder, folder / "labels.json")

    @property
    def _sizes(self) -> list[object]:
        scale = self.scale
        return ["--recordings", scale.channels, "--channels", scale.channels, "--minutes", scale.minutes]

    def _only_held_out(self) -> list[str]:
        return ["--only", *sorted({recording.channel for recording in self.held_out})]

    def _generate(self, folder: Path, night: int, options: Sequence[object]) -> None:
        where = ["--output-dir", folder, "--seed", SEED, "--night", night]
        self.steps.command("data.synthetic", "generate", *where, *options)

    def _ingest(self, labels: Path | None, source: Path | None = None) -> None:
        data = ["--data-dir", self.root]
        source = source or self.root / "recordings"
        frames = ["--output-dir", self.root / "frames"]
        self.steps.command("data.collectors", "extract", "--video-source", source, *frames)
        if labels:
            told = ["--labels", labels, "--source", "generator", "--author", "bench"]
            self.steps.command("data.labels", "import", *data, *told)
        self.steps.command("data.creatives", "update", *data)


def recorded(folder: Path, labels: Path) -> list[Recorded]:
    """Return the generated recordings of a folder."""
    known = json.loads(labels.read_text())
    found = []
    for path in recordings_below(folder / "recordings"):
        sidecar, items = json.loads(path.with_suffix(".json").read_text()), known[path.stem]
        spans = [(item["start"], item["end"], item["label"]) for item in items]
        ads = [
            (item["start"], item["end"], item["creative"])
            for item in items
            if item["label"] == "ad" and item.get("creative")
        ]
        found.append(Recorded(path.stem, path, sidecar["channel"], sidecar["genre"], spans, ads))
    return found


def styles(world: World) -> dict[str, list[str]]:
    """Return the channels of each style: what a channel does with its logo, and what it puts between spots."""
    found: dict[str, list[str]] = defaultdict(list)
    for channel in sorted({recording.channel for recording in world.recordings}):
        profile = world.profile(channel)
        found[f"logo {profile.logo_policy}"].append(channel)
        found[f"separators {profile.separator}"].append(channel)
    return dict(found)


def make_quiet_night(folder: Path, night: int, options: list[str]) -> None:
    """Generate a night without ads: programme, promos, idents and sponsor cards between it, and openings."""
    from ml_training.data.synthetic import __main__ as command
    from ml_training.data.synthetic import schedule
    from ml_training.data.synthetic.randomness import chance

    def items(maker: Any, ticks: int) -> list[Any]:
        edges = [maker.edge(kind) for kind, share in (("promo", 0.8), ("ident", 0.6)) if chance(maker.rng, share)]
        half = (ticks - sum(item.ticks for item in edges)) // 2
        first = maker.programme(half, last=False, opening=chance(maker.rng, 0.5))
        rest = ticks - sum(item.ticks for item in [*first, *edges])
        return [*first, *edges, *maker.programme(rest, last=True)]

    schedule._items = items
    words = ["generate", "--output-dir", str(folder), "--seed", str(SEED), "--night", str(night), *options]
    sys.exit(command.main([*words, "--workers", "1"]))


if __name__ == "__main__":
    make_quiet_night(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
