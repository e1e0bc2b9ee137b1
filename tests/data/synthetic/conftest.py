"""One small set of generated recordings that all tests of the generator share."""

from pathlib import Path

import pytest
from ml_training.data.synthetic.generate import Request, generate


@pytest.fixture(scope="session")
def small_request(tmp_path_factory: pytest.TempPathFactory) -> Request:
    """Eight recordings of 24 seconds, one a channel, made by two workers."""
    request = Request(tmp_path_factory.mktemp("broadcasts"), recordings=8, minutes=0.4, channels=8, workers=2)
    assert generate(request)["made"] == 8
    return request


@pytest.fixture(scope="session")
def small_set(small_request: Request) -> Path:
    """The folder of the small set."""
    return small_request.output_dir
