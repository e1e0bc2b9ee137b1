"""Stored frames: the shared resize, what a frame looks like in numbers, and reading them again."""

from pathlib import Path

import numpy as np
import pytest
from ml_training.data.frames import (
    decode_jpeg,
    encode_jpeg,
    load_images,
    measure,
    perceptual_hash,
    read_extraction,
    read_index,
    stretch_resize,
)
from ml_training.utils.errors import DataError, ObjectNotFound

RANDOM = np.random.default_rng(7)


def test_stretch_resize_averages_areas() -> None:
    image = np.zeros((448, 896, 3), np.uint8)
    image[::2] = 200  # every second line: each output pixel covers as much of both
    resized = stretch_resize(image)
    assert resized.shape == (224, 224, 3)
    assert resized.dtype == np.uint8
    assert np.all(resized == 100)


def test_stretch_resize_keeps_what_has_the_size_already() -> None:
    image = RANDOM.integers(0, 256, (224, 224, 3), np.uint8)
    assert np.array_equal(stretch_resize(image), image)


def test_jpeg_keeps_colours_in_place() -> None:
    image = np.zeros((224, 224, 3), np.uint8)
    image[..., 0] = 200
    assert np.abs(decode_jpeg(encode_jpeg(image)).astype(int) - image).max() <= 3


def test_measure_tells_black_from_dark() -> None:
    black = np.full((224, 224, 3), 8, np.uint8)
    dark_scene = black.copy()
    dark_scene[:40, :40] = 180
    first, seen = measure(black, None)
    second, _ = measure(dark_scene, seen)
    assert (first.is_black, first.motion, first.sharpness) == (True, 0.0, 0.0)
    assert not second.is_black
    assert second.motion == pytest.approx(172 * 40 * 40 / 224**2, rel=0.01)


def test_shot_change_is_the_share_of_the_picture_that_has_other_colours() -> None:
    image = RANDOM.integers(0, 60, (224, 224, 3), np.uint8)
    other = image.copy()
    other[:, :112] += 128
    one, seen = measure(image, None)
    two, half = measure(other, seen)
    same, _ = measure(other, half)
    assert (one.shot_change, same.shot_change) == (0.0, 0.0)
    assert two.shot_change == pytest.approx(0.5)
    assert measure(np.ascontiguousarray(other[:, ::-1]), half)[0].shot_change == pytest.approx(1.0)


def test_perceptual_hash_is_64_bits_and_changes_little_with_noise() -> None:
    ramp = np.add.outer(np.arange(224), np.sin(np.arange(224) / 20) * 60)
    image = np.clip(ramp, 0, 255).astype(np.uint8)
    noisy = np.clip(image + RANDOM.normal(0, 4, image.shape), 0, 255).astype(np.uint8)
    one, two = perceptual_hash(image), perceptual_hash(noisy)
    other = perceptual_hash(np.ascontiguousarray(image[::-1]))
    assert len(one) == 16
    assert (int(one, 16) ^ int(two, 16)).bit_count() <= 6
    assert (int(one, 16) ^ int(other, 16)).bit_count() >= 16


def test_reading_gives_the_pictures_that_were_stored(data_root: Path) -> None:
    index = read_index(str(data_root), "one-01")
    extraction = read_extraction(str(data_root), "one-01")
    assert index.column("pts_seconds").to_pylist() == pytest.approx([0, 1, 2, 3, 4, 5, 6, 7])
    shard = data_root / "frames" / "one-01" / extraction["extraction_id"] / index.column("shard")[0].as_py()
    images = load_images(str(shard), [5, 0])
    assert images.shape == (2, 224, 224, 3)
    assert np.median(images[0]) == pytest.approx(40, abs=3)  # the 50th picture is as bright as the first
    assert images[1].mean() == pytest.approx(index.column("luma")[0].as_py(), abs=3)


def test_what_is_not_there_says_what_to_do(data_root: Path) -> None:
    root = str(data_root)
    with pytest.raises(ObjectNotFound, match="collectors extract"):
        read_index(root, "nobody")
    with pytest.raises(ObjectNotFound, match="--fps 5"):
        read_extraction(root, "one-01", frames_per_second=5.0)
    shard = next((data_root / "frames" / "one-01").rglob("frames-00000.parquet"))
    with pytest.raises(DataError, match="rows 0 to 7, received 8"):
        load_images(str(shard), [8])
