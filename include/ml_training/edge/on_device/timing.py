"""Times a model on a board: latency at each thread count, then sustained work, and what the board did meanwhile.

    measured = measure(open_model, Board(), [1, 2], Plan(runs=200, warmup=20, seconds=10, sustained_seconds=600))
    measured["threads"]["1"]["p95"], measured["sustained"]["frames_per_second"], measured["throttled"]

A latency is the time from a frame in memory to a score in memory: set inputs, invoke, read outputs.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from ml_training.edge.on_device.board import Board, cool, was_throttled
from ml_training.edge.on_device.model import Model
from ml_training.edge.on_device.runtime import tell

BOARD_SECONDS, ELSEWHERE_SECONDS = 600.0, 10.0  # of sustained work, where nobody says how long
PERCENTILES = (50, 90, 95, 99)
SAMPLES = 60  # of temperature and clock during sustained work


class Plan(NamedTuple):
    """How much to measure; ``seconds`` holds for all thread counts together."""

    runs: int
    warmup: int
    seconds: float
    sustained_seconds: float
    cooling_seconds: float = 180.0


def measure(open_model: Callable[[int], Model], board: Board, threads: list[int], plan: Plan) -> dict[str, Any]:
    """Measure; when the board slowed itself down meanwhile, let it cool and measure once more.

    ``open_model`` gives the model at a number of threads.
    """
    measured = attempt(open_model, board, threads, plan)
    if not measured["throttled"]:
        return {**measured, "measurements": 1}
    tell(f"slowed down by {', '.join(measured['throttled_reasons'])}: cooling, then once more")
    cool(board, plan.cooling_seconds)
    return {**attempt(open_model, board, threads, plan), "measurements": 2}


def attempt(open_model: Callable[[int], Model], board: Board, threads: list[int], plan: Plan) -> dict[str, Any]:
    """Measure latency at each thread count, and sustained work at the first."""
    states, by_threads, peak = [board.state()], {}, 0
    for count in threads:
        tell(f"measuring with {count} thread(s)")
        model = open_model(count)
        by_threads[str(count)] = timed(model, plan, plan.seconds / len(threads))
        peak = peak or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        states.append(board.state())
    lasting: dict[str, Any] | None = None
    if plan.sustained_seconds > 0:
        tell(f"sustained work for {plan.sustained_seconds:g} s")
        lasting, more = sustained(open_model(threads[0]), board, plan.sustained_seconds)
        states += more
    return {
        "threads": by_threads,
        "sustained": lasting,
        "peak_memory_bytes": peak,
        **what_happened(states),
    }


def timed(model: Model, plan: Plan, seconds: float) -> dict[str, Any]:
    """Time up to ``plan.runs`` inferences, at least one, within about ``seconds`` including the warm-up."""
    end = time.perf_counter() + seconds
    for number in range(plan.warmup):
        model.step(number)
        if time.perf_counter() > end - seconds / 2:
            break
    times = []
    for number in range(plan.runs):
        times.append(model.step(number))
        if time.perf_counter() > end:
            break
    total = [sum(each) for each in times]
    by_part = {part.name: percentiles([each[place] for each in times]) for place, part in enumerate(model.parts)}
    result = {**percentiles(total), "runs": len(total), "throughput_per_second": len(total) / sum(total)}
    return {**result, "parts": by_part if len(by_part) > 1 else {}}


def percentiles(seconds: list[float]) -> dict[str, float]:
    """Return percentiles in milliseconds."""
    import numpy as np

    return {f"p{percent}": float(np.percentile(seconds, percent)) * 1000 for percent in PERCENTILES}


def sustained(model: Model, board: Board, seconds: float) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Judge frame after frame for ``seconds``; return how many a second, and the board's states meanwhile."""
    states, ends = [board.state()], [0.0]
    start = time.perf_counter()
    while ends[-1] < seconds:
        model.step(len(ends))
        ends.append(time.perf_counter() - start)
        if ends[-1] >= len(states) * seconds / SAMPLES:
            states.append(board.state())
    last, tenth, frames = ends[-1], ends[-1] / 10, ends[1:]
    known = [state for state in states if state["temperature_celsius"] is not None]
    result = {
        "seconds": last,
        "frames": len(frames),
        "frames_per_second": len(frames) / last,
        "first_tenth_per_second": sum(end <= tenth for end in frames) / tenth,
        "last_tenth_per_second": sum(end > last - tenth for end in frames) / tenth,
        "trace": [[round(s["at"] - states[0]["at"], 1), s["temperature_celsius"], s["clock_mhz"]] for s in known],
    }
    return result, states


def what_happened(states: list[dict[str, Any]]) -> dict[str, Any]:
    """Return temperature, clock and throttling over the states of one measurement."""
    degrees = [state["temperature_celsius"] for state in states]
    clocks = [state["clock_mhz"] for state in states if state["clock_mhz"] is not None]
    flags, reasons = states[-1]["flags"], was_throttled(states)
    return {
        "throttled": None if flags is None else bool(reasons),
        "throttled_reasons": reasons,
        "throttled_flags": None if flags is None else hex(flags),
        "temperature_celsius": {
            "before": degrees[0],
            "after": degrees[-1],
            "highest": max((value for value in degrees if value is not None), default=None),
        },
        "clock_mhz": {"lowest": min(clocks), "highest": max(clocks)} if clocks else {},
    }
