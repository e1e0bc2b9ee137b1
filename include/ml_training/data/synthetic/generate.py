"""Make a night of synthetic recordings: the bucket layout, a sidecar beside each recording, and ``labels.json``.

    generate(Request(Path("data"), recordings=16, minutes=3.5, channels=10, seed=7, night=1, workers=2))

What is finished is found again: a recording whose file, sidecar and labels are there is not made twice.
"""

import hashlib
import json
import logging
import multiprocessing
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2

from ml_training.data.synthetic.ablation import checked
from ml_training.data.synthetic.encode import write_recording
from ml_training.data.synthetic.formats import SUFFIXES, TICKS_PER_SECOND
from ml_training.data.synthetic.schedule import Plan, plan_recording
from ml_training.data.synthetic.sources import SUFFIXES as MEDIA
from ml_training.data.synthetic.sources import media_files
from ml_training.utils.errors import DataError, UsageError
from ml_training.utils.records import Sidecar

LABELS_FILE = "labels.json"
SETTINGS_FILE = "generator.json"
SHORTEST_MINUTES = 0.25

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Request:
    """What to make: how many recordings of how many minutes from how many channels, which world, which night.

    ``media`` is a folder of clips, pictures and sound of one's own; ``ablate`` names cues to take away (`ablation.py`);
    ``only`` these channels are made, as they would be among all.
    """

    output_dir: Path
    recordings: int = 16
    minutes: float = 3.5
    channels: int = 10
    seed: int = 7
    night: int = 1
    workers: int = 2
    media: Path | None = None
    ablate: tuple[str, ...] = ()
    only: tuple[str, ...] = ()

    def settings(self) -> dict[str, Any]:
        """Return what pictures, sound and labels depend on, besides the number of a recording and its night."""
        own = [media_files(str(self.media), pool) for pool in sorted(MEDIA)] if self.media else []
        sizes = [(Path(name).name, Path(name).stat().st_size) for names in own for name in names]
        media = hashlib.sha256(json.dumps(sizes).encode()).hexdigest()[:16] if self.media else None
        wanted = {"seed": self.seed, "channels": self.channels, "minutes": self.minutes}
        return wanted | {"media": media, "ablate": list(checked(self.ablate))}

    def plan(self, number: int) -> Plan:
        """Plan the ``number``-th recording."""
        return plan_recording(
            seed=self.seed,
            channels=self.channels,
            number=number,
            night=self.night,
            minutes=self.minutes,
            media=str(self.media) if self.media else None,
            ablate=self.ablate,
        )

    def plans(self) -> dict[int, Plan]:
        """Return the plans to make, by number. Raises UsageError when a channel of ``only`` has no recording."""
        plans = {number: self.plan(number) for number in range(self.recordings)}
        unknown = sorted(set(self.only) - {plan.profile.channel for plan in plans.values()})
        if unknown:
            raise UsageError(f"--only names {', '.join(unknown)}, which have no recording among {self.recordings}")
        return {n: plan for n, plan in plans.items() if not self.only or plan.profile.channel in self.only}

    def path(self, plan: Plan) -> Path:
        """Return where a recording belongs."""
        name = f"{plan.recording_id}.{plan.profile.form.container}"
        return self.output_dir / "recordings" / plan.profile.channel / plan.date / name


def generate(request: Request) -> dict[str, Any]:
    """Make what is missing; return counts, the share of ads and the speed in times real time.

    Raises:
        UsageError: a number is out of range.
        DataError: the folder holds recordings of the same names from another seed or length.
    """
    _check(request)
    _settle(request)
    started = time.monotonic()
    wanted = request.plans()
    plans = list(wanted.values())
    missing = _missing(request, wanted)
    made_seconds = sum(wanted[n].ticks for n in missing) / TICKS_PER_SECOND
    progress = _Progress(made_seconds)
    for number in _make_all(request, missing):
        _add_labels(request.output_dir, wanted[number])
        progress.step(wanted[number].ticks / TICKS_PER_SECOND, wanted[number].recording_id)
    elapsed = time.monotonic() - started
    return {
        "output_dir": str(request.output_dir),
        "labels": str(request.output_dir / LABELS_FILE),
        "recordings": [plan.recording_id for plan in plans],
        "made": len(missing),
        "found": len(plans) - len(missing),
        "hours": round(sum(plan.ticks for plan in plans) / TICKS_PER_SECOND / 3600, 3),
        "ad_share": round(ad_share(plans), 3),
        "seconds": round(elapsed, 1),
        "times_real_time": round(made_seconds / elapsed, 1),
    }


def ad_share(plans: list[Plan]) -> float:
    """Return the share of the seconds that are ads."""
    ads = sum(item.ticks for plan in plans for item in plan.items if item.label == "ad")
    return ads / sum(plan.ticks for plan in plans)


def _check(request: Request) -> None:
    for name in ("recordings", "channels", "night", "workers"):
        if getattr(request, name) < 1:
            raise UsageError(f"--{name} must be at least 1, received {getattr(request, name)}")
    if request.minutes < SHORTEST_MINUTES:
        raise UsageError(
            f"--minutes must be at least {SHORTEST_MINUTES} (ads and programme must fit), received {request.minutes}"
        )
    checked(request.ablate)
    if request.media and not any(media_files(str(request.media), pool) for pool in MEDIA):
        raise UsageError(f"--media {request.media} holds no clip, picture or sound that can be used")
    most = 4 * request.channels
    if request.recordings > most:
        raise UsageError(f"--recordings must be at most {most} (4 a channel and night), received {request.recordings}")


def _settle(request: Request) -> None:
    """Note what the folder's recordings are drawn from, or refuse a folder of another world, ablation or media."""
    path, settings = request.output_dir / SETTINGS_FILE, request.settings()
    if path.exists() and json.loads(path.read_text()) != settings:
        raise DataError(f"{request.output_dir} is from another seed, length, media or ablation: expected {settings}, "
                        f"found {path.read_text()}; choose another --output-dir", path=str(path))  # fmt: skip
    request.output_dir.mkdir(parents=True, exist_ok=True)
    _write(path, json.dumps(settings))


def recordings_below(folder: Path) -> list[Path]:
    """Return the recordings that `generate` has written below ``folder``, in order of their names."""
    return sorted(path for suffix in SUFFIXES for path in folder.rglob(f"*{suffix}"))


def _missing(request: Request, plans: dict[int, Plan]) -> list[int]:
    known = _read_labels(request.output_dir)
    missing = []
    for number, plan in plans.items():
        path = request.path(plan)
        there = path.exists() and path.with_suffix(".json").exists() and plan.recording_id in known
        if there and known[plan.recording_id] != plan.labels():
            raise DataError(f"{path} is from another seed or length: expected the labels of --seed {request.seed} "
                            f"--minutes {request.minutes}; choose another --output-dir", path=str(path))  # fmt: skip
        if not there:
            missing.append(number)
    return missing


def _make_all(request: Request, numbers: list[int]) -> Iterator[int]:
    """Make recordings in processes of their own; yield each number when it is done."""
    if request.workers == 1 or len(numbers) < 2:
        yield from (_make(request, number) for number in numbers)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(request.workers, mp_context=context, initializer=_start_worker) as pool:
        futures = [pool.submit(_make, request, number) for number in numbers]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.terminate()
            raise


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its workers
    cv2.setNumThreads(1)


def _make(request: Request, number: int) -> int:
    plan = request.plan(number)
    path = request.path(plan)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_recording(plan, path)
    sidecar = Sidecar(
        channel=plan.profile.channel,
        show=plan.show.title,
        genre=plan.show.genre,
        sport="football" if plan.show.genre == "sport" else None,
        start_time=plan.start_time,
    )
    _write(path.with_suffix(".json"), sidecar.model_dump_json(indent=1, exclude_none=True))
    return number


def _read_labels(output_dir: Path) -> dict[str, Any]:
    path = output_dir / LABELS_FILE
    return json.loads(path.read_text()) if path.exists() else {}


def _add_labels(output_dir: Path, plan: Plan) -> None:
    labels = _read_labels(output_dir) | {plan.recording_id: plan.labels()}
    _write(output_dir / LABELS_FILE, json.dumps(dict(sorted(labels.items())), indent=1))


def _write(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.part")
    partial.write_text(text)
    partial.replace(path)


class _Progress:
    """Recorded seconds made, rate and time left: a line that is rewritten on a terminal, log lines elsewhere."""

    def __init__(self, total_seconds: float) -> None:
        self.total, self.done, self.started = total_seconds, 0.0, time.monotonic()

    def step(self, seconds: float, recording_id: str) -> None:
        self.done += seconds
        rate = self.done / max(time.monotonic() - self.started, 1e-6)
        left = (self.total - self.done) / rate
        made = f"{self.done / 60:.1f} of {self.total / 60:.1f} min"
        text = f"{made}, {rate:.1f} x real time, {left:.0f} s left ({recording_id})"
        if sys.stderr.isatty():
            print(f"\r{text:<100}", end="\n" if self.done >= self.total - 1e-6 else "", file=sys.stderr, flush=True)
        else:
            logger.info("made %s", text)
