import itertools
from pathlib import Path

import cv2
import numpy as np
import pytest
from ml_training.data.synthetic.footage import draw_footage
from ml_training.data.synthetic.randomness import stream
from ml_training.data.synthetic.schedule import plan_recording
from ml_training.data.synthetic.sources import FACES, GROUPS, POOLS, Sources, _share, path_of
from ml_training.utils.errors import DataError, UsageError

OWNERS = ("national", *(f"channel-{n:02d}" for n in range(1, GROUPS)))


@pytest.mark.parametrize("pool", ["face", "photograph", "bed"])
def test_ten_channels_and_the_nation_share_nothing(pool: str) -> None:
    shares = [set(_share(7, owner, pool, None, "both")) for owner in OWNERS]
    assert all(shares)
    assert all(a.isdisjoint(b) for a, b in itertools.combinations(shares, 2))


def test_another_seed_deals_in_another_way() -> None:
    assert any(_share(7, owner, "bed", None, "both") != _share(8, owner, "bed", None, "both") for owner in OWNERS)


def test_an_owner_draws_mostly_its_own_and_at_times_what_is_national() -> None:
    rng, sources = stream("test"), Sources(7, "channel-03")
    drawn = [sources.draw(rng, "photograph") for _ in range(400)]
    own = np.mean([name in _share(7, "channel-03", "photograph", None, "both") for name in drawn])
    assert 0.7 < own < 0.9
    assert set(drawn) - set(_share(7, "channel-03", "photograph", None, "both")) == set(
        _share(7, "national", "photograph", None, "both")
    )


def test_every_source_is_installed() -> None:
    for name in (*itertools.chain(*FACES.values()), *POOLS["photograph"], *POOLS["clip"]):
        assert path_of(name).is_file(), name


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((90, 160, 3), 128, np.uint8))
    return path


def test_media_below_ads_and_content_are_for_one_class_only(tmp_path: Path) -> None:
    paths = [picture(tmp_path / name) for name in ("ads/a.png", "content/deep/c.png", "b.png")]
    drawn = {use: set() for use in ("ad", "content", "both")}
    for (use, names), channel in itertools.product(drawn.items(), OWNERS):
        names.update(_share(7, channel, "photograph", str(tmp_path), use))
    own = {use: {Path(n).name for n in names if n.startswith("/")} for use, names in drawn.items()}
    assert own == {"ad": {"a.png", "b.png"}, "content": {"c.png", "b.png"}, "both": {"b.png"}}
    assert all(path.exists() for path in paths)


def test_media_that_is_not_there_or_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--media"):
        plan_recording(seed=7, channels=2, number=0, night=1, minutes=0.5, media=str(tmp_path / "none"))
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    owner = next(o for o in OWNERS if any(n.startswith("/") for n in _share(7, o, "clip", str(tmp_path), "content")))
    with pytest.raises(DataError, match=r"broken\.mp4"):
        draws(Sources(7, owner, str(tmp_path)))


def draws(sources: Sources) -> None:
    for number in range(40):
        draw_footage(stream(number), sources, "content")
