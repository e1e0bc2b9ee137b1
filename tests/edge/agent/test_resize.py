import cv2
import numpy as np
import pytest
from ml_training.edge.agent.resize import area_resize

DRAW = np.random.default_rng(1)


@pytest.mark.parametrize(
    "size", [(360, 640), (576, 720), (720, 1280), (1080, 1920), (448, 448), (672, 448), (225, 1001), (224, 640)]
)
def test_it_is_opencvs_area_averaging_to_the_last_bit(size):
    image = DRAW.integers(0, 256, (*size, 3)).astype(np.uint8)
    expected = cv2.resize(image, (224, 224), interpolation=cv2.INTER_AREA)
    assert np.array_equal(area_resize(image, 224, 224), expected)


@pytest.mark.parametrize("size", [(120, 160), (144, 640), (224, 200)])
def test_a_smaller_source_is_enlarged_as_opencv_does(size):
    image = cv2.GaussianBlur(DRAW.integers(0, 256, (*size, 3)).astype(np.uint8), (5, 5), 0)
    expected = cv2.resize(image, (224, 224), interpolation=cv2.INTER_AREA)
    assert np.abs(area_resize(image, 224, 224).astype(int) - expected).max() <= 1


def test_a_fitting_source_stays_as_it_is():
    image = DRAW.integers(0, 256, (224, 224, 3)).astype(np.uint8)
    assert area_resize(image, 224, 224) is image
