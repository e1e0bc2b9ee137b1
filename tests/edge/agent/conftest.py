"""A delivery and a device for the tests of the agent."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import agent_world
import pytest
from ml_training.edge.delivery.keys import create_keys


@pytest.fixture(scope="session")
def agent_keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keys for every role, made once."""
    folder = tmp_path_factory.mktemp("agent-keys")
    create_keys(folder)
    return folder


@pytest.fixture
def world(tmp_path: Path, agent_keys: Path) -> Iterator[Any]:
    """A delivery without a model, served over HTTP."""
    with agent_world.World(tmp_path, agent_keys) as world:
        yield world
