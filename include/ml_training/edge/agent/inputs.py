"""What a run works through: files, the videos of folders, and streams, each with the name of what it writes.

for one in inputs_of(["recordings", "udp://239.0.0.1:1234"]):
    one.location, one.name                        # 'recordings/monday/news.ts', 'monday/news'
"""

from pathlib import Path
from typing import NamedTuple

from ml_training.utils.errors import ConfigError

VIDEO_ENDINGS = (".ts", ".mp4", ".mkv", ".m2ts", ".mov", ".avi", ".mpg", ".webm")


class Input(NamedTuple):
    """Something that ffmpeg can open; ``name`` is the place of its files below the output, without an ending."""

    location: str
    name: str


def is_stream(location: str) -> bool:
    """Tell what is opened again when it ends: an address, or a device of this machine."""
    return ("://" in location and not location.startswith("file://")) or location.startswith("/dev/")


def inputs_of(locations: list[str]) -> list[Input]:
    """Return all inputs. Raises ConfigError for a place without a video, and where two would write the same files."""
    found = [one for location in locations for one in _expand(location)]
    places: dict[str, str] = {}
    for one in found:
        other = places.setdefault(one.name, one.location)
        if other != one.location and not is_stream(one.location):
            raise ConfigError(
                f"{other} and {one.location} would both write {one.name}.edl: rename one, or run them apart, each with "
                "an --output of its own"
            )
    return found


def _expand(location: str) -> list[Input]:
    if is_stream(location):
        return [Input(location, "stream")]
    path = Path(location.removeprefix("file://"))
    if path.is_file():
        return [Input(str(path), path.stem)]
    if not path.is_dir():
        raise ConfigError(f"there is no file {path}")
    found = sorted(file for file in path.rglob("*") if file.suffix.lower() in VIDEO_ENDINGS)
    if not found:
        raise ConfigError(f"{path} has no video: expected files that end in {', '.join(VIDEO_ENDINGS)}")
    return [Input(str(file), file.relative_to(path).with_suffix("").as_posix()) for file in found]
