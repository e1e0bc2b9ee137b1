"""How well ads are found on channels that no training saw, beside tools that do not learn, and how fast.

    make bench NAME=detection                      # BENCH=DIR keeps everything there; SCALE=wide and full make more

Generates nights of many channels, holds some out whole, trains the models of frames and detection by the package's own
commands, and judges int8 files second by second and whole recordings as breaks: with the archive and alone, without
ads, without single cues, with a genre and a style of channel left out of training, and beside a rule on black and
silence and comskip. A part that something is missing for is left out aloud and counts as not measured.
"""

import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from detection_models import (
    Detected,
    Trained,
    detect,
    score_frames,
    train_detector,
    train_frames,
    train_multimodal,
    train_without,
)
from detection_scores import Seconds, break_f1_gain, f1_gain, false_minutes, of_breaks, of_scores, shown
from detection_steps import LeftOut, Steps
from detection_world import SCALES, Recorded, World, styles
from ml_training.data.synthetic.ablation import ABLATIONS
from ml_training.detection.baselines import black_silence, comskip
from ml_training.detection.baselines.outcome import Outcome
from ml_training.statistics.intervals import metric_intervals, paired_difference
from ml_training.utils.errors import UsageError

Figure = tuple[str, float | None, str, float]
TOOLS: dict[str, Callable[[Path], Outcome]] = {"black and silence": black_silence.detect, "comskip": comskip.detect}


class Bench:
    """All parts of the benchmark, in order; ``figures`` are what is judged, None where it was not measured."""

    def __init__(self, folder: Path) -> None:
        self.steps = Steps(folder)
        self.world = World(folder, self.steps, SCALES[os.environ.get("SCALE", "")])
        self.figures: dict[str, Figure] = {name: (name, None, sign, bar) for name, sign, bar in BARS}
        self.trained: dict[str, Trained] = {}
        self.detector: Path | None = None
        self.whole: dict[bool, Seconds] = {}
        self.alone: Detected | None = None
        self.others: dict[str, Detected] = {}

    def run(self) -> None:
        """Run every part; one that is left out or fails does not end the others."""
        with self.steps.part("recordings, frames, catalogue, dataset version"):
            self.world.build()
            self.describe()
        for title, part in (
            ("tools that do not learn", self.tools),
            ("models of frames", self.models),
            ("whole recordings", self.whole_recordings),
            ("beside other tools", self.beside_tools),
            ("recordings without ads", self.without_ads),
            ("recordings without a cue", self.without_cues),
            ("a genre and a style left out of training", self.left_out),
        ):
            with self.steps.part(title):
                part()

    def describe(self) -> None:
        """Say what is judged."""
        held = self.world.held_out
        if not held:
            raise LeftOut("no channel is held out for the test")
        print(f"{len(self.world.recordings)} recordings of {self.world.scale.minutes:g} minutes; held out:")
        for channel in sorted({recording.channel for recording in held}):
            profile, genres = self.world.profile(channel), sorted(r.genre for r in held if r.channel == channel)
            print(f"  {channel}: separators {profile.separator}, logo {profile.logo_policy}, {', '.join(genres)}")

    def judge(self, name: str, value: float) -> None:
        """Note a figure that has a bar."""
        _, _, sign, bar = self.figures[name]
        self.figures[name] = (name, value, sign, bar)

    @property
    def seen(self) -> frozenset[str]:
        """Creatives that training saw: of held-out channels only unseen ones are judged."""
        return frozenset(self.world.seen_creatives)

    def tools(self) -> None:
        """Run the tools that do not learn over the held-out recordings."""
        for name in TOOLS:
            if found := self.tool(name, self.world.held_out):
                self.others[name] = found

    def tool(self, name: str, recordings: Sequence[Recorded]) -> Detected | None:
        """Return what a tool found; None, said aloud, where it is not on the PATH."""

        def measure() -> dict[str, Any]:
            outcomes = {r.recording_id: TOOLS[name](r.path) for r in recordings}
            spans = {key: [(b.start_seconds, b.end_seconds) for b in o.breaks] for key, o in outcomes.items()}
            return {"breaks": spans, "wall_seconds": sum(o.wall_seconds for o in outcomes.values())}

        try:
            kept = self.steps.kept(f"tool-{name.split()[0]}", [str(r.path) for r in recordings], measure)
        except UsageError as missing:
            print(f"  {name}: SKIPPED, {missing.message}")
            return None
        found = Detected({k: [(s, e) for s, e in v] for k, v in kept["breaks"].items()}, kept["wall_seconds"])
        self.show(name, of_breaks(recordings, found.breaks), found, recordings)
        return found

    def show(self, name: str, judged: Seconds, found: Detected, recordings: Sequence[Recorded]) -> None:
        """Print what was found in some recordings."""
        breaks, speed = judged.breaks, sum(r.duration for r in recordings) / found.wall_seconds
        print(f"  {name:<28} F1 {shown(judged.f1)}  MCC {shown(judged.mcc)}  break F1 {shown(breaks.f1)}")
        print(f"  {'':<28} boundaries {shown(breaks.median_boundary_error_seconds, ' s')}  {speed:.0f} x real time")

    def models(self) -> None:
        """Train the models of frames and judge each on every second of the held-out recordings."""
        self.trained["base"] = train_frames(self.world, "base_model")
        base = self.frames("base", "base int8", self.trained["base"].shipped)
        self.judge("base int8, frame F1", base["f1"].value)
        with self.steps.part("temporal"):
            self.trained["temporal"] = train_frames(self.world, "temporal", trunk=self.trained["base"])
            found = self.frames("temporal", "temporal int8", self.trained["temporal"].shipped)
            self.judge("temporal int8, precision", found["precision"].value)
            self.judge("temporal int8, recall", found["recall"].value)
        with self.steps.part("multimodal"):
            self.multimodal()

    def frames(self, key: str, name: str, model: Path, *, sound: bool = True) -> dict[str, Any]:
        """Judge a model on single seconds: on creatives that training has not seen, and on all."""
        held = self.world.held_out
        scored = score_frames(self.world, model, held, sound=sound)
        tables = [
            of_scores(held, scored["scores"], scored["threshold"], seen=seen) for seen in (self.seen, frozenset())
        ]
        for table, which in zip(tables, ("unseen creatives", "all creatives"), strict=True):
            values = metric_intervals(table)
            said = "  ".join(f"{metric} {shown(values[metric])}" for metric in ("precision", "recall", "f1", "mcc"))
            print(f"  {name:<28} {which:<17} {said}")
        return {"table": tables[0], **metric_intervals(tables[0])}

    def multimodal(self) -> None:
        """Train the multimodal model and judge it with its sound and without."""
        self.trained["multimodal"] = train_multimodal(self.world, self.trained["base"])
        model = self.trained["multimodal"].shipped
        heard = self.frames("multimodal", "multimodal int8", model)
        deaf = self.frames("multimodal", "multimodal int8, no sound", model, sound=False)
        gain = paired_difference(heard["table"], deaf["table"], "f1")
        print(f"  {'gained by sound':<28} F1 {shown(gain)}")
        self.judge("multimodal beside its video alone, F1", gain.value)

    def whole_recordings(self) -> None:
        """Train the detector and judge whole recordings, with the archive and alone."""
        if "multimodal" not in self.trained:
            raise LeftOut("there is no model of frames")
        self.detector = train_detector(self.world, self.trained["multimodal"])
        held = self.world.held_out
        for archive, name in ((True, "with archive"), (False, "alone")):
            found = detect(self.world, self.detector, held, archive=archive)
            self.whole[archive] = of_breaks(held, found.breaks)
            self.show(f"{name}, all creatives", self.whole[archive], found, held)
            unseen = of_breaks(held, found.breaks, seen=self.seen)
            self.show(f"{name}, unseen creatives", unseen, found, held)
            self.judge(f"{name}, F1", unseen.f1.value)
            self.judge(f"{name}, MCC", unseen.mcc.value)
            self.judge(f"{name}, break F1", unseen.breaks.f1.value)
            if archive and unseen.breaks.median_boundary_error_seconds:
                error = unseen.breaks.median_boundary_error_seconds.value
                self.judge("with archive, median boundary error (s)", error)
            if not archive:
                self.alone = found

    def beside_tools(self) -> None:
        """Compare detection on one file alone with each tool, by what lies between the spots."""
        if self.alone is None:
            raise LeftOut("detection has judged nothing")
        for kind, bar in SEPARATOR_BARS.items():
            recordings = [r for r in self.world.held_out if self.world.profile(r.channel).separator == kind]
            print(f"  {bar}: {len(recordings)} recordings")
            for name, theirs in self.others.items():
                if recordings:
                    self.beside(name, bar, recordings, self.alone, theirs)
        for name, theirs in self.others.items():
            self.judge(f"speed beside {name}", theirs.wall_seconds / self.alone.wall_seconds)

    def beside(self, name: str, bar: str, recordings: Sequence[Recorded], ours: Detected, theirs: Detected) -> None:
        """Compare detection with a tool on the same recordings."""
        one, other = (of_breaks(recordings, side.breaks) for side in (ours, theirs))
        gain = f1_gain(one, other)
        print(f"    ours F1 {shown(one.f1)}, {name} {shown(other.f1)}, gained {shown(gain)}")
        print(f"    ours break F1 {shown(one.breaks.f1)}, gained {shown(break_f1_gain(one, other))}")
        self.judge(f"{bar}, F1 beside {name}", gain.value)

    def require_detector(self) -> Path:
        """Return the detector. Raises LeftOut where there is none."""
        if self.detector is None:
            raise LeftOut("there is no detector")
        return self.detector

    def without_ads(self) -> None:
        """Judge recordings in which nothing is an ad."""
        detector, quiet = self.require_detector(), self.world.without_ads()
        for archive, name in ((True, "with archive"), (False, "alone")):
            value = false_minutes(quiet, detect(self.world, detector, quiet, archive=archive).breaks)
            print(f"  {name:<28} {len(quiet)} recordings, {shown(value)} false minutes an hour")
            self.judge(f"without ads, {name}, false minutes an hour", value.value)

    def without_cues(self) -> None:
        """Judge the held-out recordings again without a cue, on one file alone."""
        detector = self.require_detector()
        plain = None
        for cue in ABLATIONS:
            recordings = self.world.ablated(cue)
            names = {recording.recording_id for recording in recordings}
            if plain is None and self.alone is not None:
                held = [recording for recording in self.world.held_out if recording.recording_id in names]
                plain = of_breaks(held, self.alone.breaks)
                print(f"  {'as they are':<28} F1 {shown(plain.f1)}  break F1 {shown(plain.breaks.f1)}")
            found = detect(self.world, detector, recordings, archive=False)
            judged = of_breaks(recordings, found.breaks)
            lost = f"lost {shown(f1_gain(plain, judged))}" if plain else ""
            print(f"  {'without ' + cue:<28} F1 {shown(judged.f1)}  break F1 {shown(judged.breaks.f1)}  {lost}")
            if cue == "separators":
                self.tool("black and silence", recordings)

    def left_out(self) -> None:
        """Train without a genre and a style of channel, and judge what was left out: together, or each alone."""
        self.require_detector()
        genres, by_style = Counter(r.genre for r in self.world.held_out), self.styles()
        if self.world.scale.each:
            for genre in sorted(genres):
                with self.steps.part(f"genre {genre}"):
                    self.judge_left_out(genre, None, train_without(self.world, genres=[genre]))
            for style, channels in by_style.items():
                with self.steps.part(f"style {style}"):
                    self.judge_left_out(None, style, train_without(self.world, channels=channels))
            return
        genre = max(sorted(genres), key=genres.__getitem__)
        style = next((name for name in PREFERRED_STYLES if name in by_style), next(iter(by_style)))
        self.judge_left_out(genre, style, train_without(self.world, genres=[genre], channels=by_style[style]))

    def styles(self) -> dict[str, list[str]]:
        """Return the styles that can be left out: without them, each split keeps a channel."""
        of_split: dict[str, set[str]] = {}
        for recording in self.world.recordings:
            of_split.setdefault(self.world.split_of(recording.channel), set()).add(recording.channel)
        found = styles(self.world)
        return {name: own for name, own in found.items() if all(kept - set(own) for kept in of_split.values())}

    def judge_left_out(self, genre: str | None, style: str | None, detector: Path) -> None:
        """Judge a detector that has seen neither the genre nor the style, on each of them."""
        channels = styles(self.world).get(style or "", [])
        sets = {
            f"genre {genre}": [r for r in self.world.held_out if r.genre == genre and r.channel not in channels],
            f"style {style}": [r for r in self.world.recordings if r.channel in channels and r.genre != genre],
        }
        for name, recordings in sets.items():
            for archive, how in ((True, "with archive"), (False, "alone")):
                if recordings:
                    found = detect(self.world, detector, recordings, archive=archive)
                    self.show(f"{name}, {how}", of_breaks(recordings, found.breaks), found, recordings)


PREFERRED_STYLES = ("logo always", "logo fades", "separators none")
SEPARATOR_BARS = {"none": "separators missing", "black": "separators there"}
BARS: list[tuple[str, str, float]] = [
    ("base int8, frame F1", ">=", 0.95),
    ("temporal int8, precision", ">", 0.97),
    ("temporal int8, recall", ">", 0.95),
    ("multimodal beside its video alone, F1", ">", 0.0),
    ("with archive, F1", ">=", 0.97),
    ("with archive, MCC", ">=", 0.94),
    ("with archive, break F1", ">=", 0.95),
    ("with archive, median boundary error (s)", "<=", 0.5),
    ("alone, F1", ">=", 0.92),
    ("alone, MCC", ">=", 0.88),
    ("alone, break F1", ">=", 0.88),
    ("without ads, with archive, false minutes an hour", "<", 0.2),
    ("without ads, alone, false minutes an hour", "<", 0.2),
    *(
        (name, ">=", bar)
        for tool in TOOLS
        if tool != "comskip" or shutil.which("comskip")
        for name, bar in (
            (f"separators missing, F1 beside {tool}", 0.10),
            (f"separators there, F1 beside {tool}", 0.0),
            (f"speed beside {tool}", 1.0),
        )
    ),
]


def report(bench: Bench) -> int:
    """Print notes and figures beside their bars, as the last line all of them; return 1 when one falls short."""
    print()
    for note in bench.steps.notes:
        print(note)
    kept = {name: is_kept(figure) for name, figure in bench.figures.items()}
    words: list[str] = []
    for name, value, sign, bar in bench.figures.values():
        text = "not measured" if value is None else f"{value:.3f}"
        words.append(f"{name} {text} {sign} {bar:g}")
        print(f"{name:<52} {text:>12} {sign:<2} {bar:<6g} {'kept' if kept[name] else 'MISSED'}")
    print("; ".join(words))
    return 0 if all(kept.values()) and not bench.steps.notes else 1


def is_kept(figure: Figure) -> bool:
    """Tell whether a figure keeps its bar; what was not measured does not."""
    _, value, sign, bar = figure
    if value is None:
        return False
    return {">=": value >= bar, ">": value > bar, "<=": value <= bar, "<": value < bar}[sign]


def main() -> int:
    """Run in the folder ``BENCH``, else in a temporary one."""
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    started = time.monotonic()
    if (scale := os.environ.get("SCALE", "")) not in SCALES:
        sys.exit(f"SCALE must be one of {', '.join(filter(None, SCALES))}, received {scale!r}")
    if scale in ("wide", "full") and "BENCH" not in os.environ:
        sys.exit(f"SCALE={scale} takes hours: say with BENCH=DIR where it is kept, so that it can be gone on with")
    with tempfile.TemporaryDirectory(prefix="bench-detection-") as temporary:
        bench = Bench(Path(os.environ.get("BENCH", temporary)).resolve())
        bench.run()
        print(f"\n{(time.monotonic() - started) / 60:.0f} minutes in all")
        return report(bench)


if __name__ == "__main__":
    raise SystemExit(main())
