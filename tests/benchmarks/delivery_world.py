"""The delivery, the server and the devices of the agent's tests, for the benchmarks of the delivery.

from delivery_world import World, model_files
"""

import importlib.util
from pathlib import Path
from typing import Any


def _load() -> Any:
    path = Path(__file__).resolve().parents[1] / "edge" / "agent" / "world.py"
    spec = importlib.util.spec_from_file_location("agent_world", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_world = _load()
World, model_files, crashing_model = _world.World, _world.model_files, _world.crashing_model
NAME, ENDLESS_BYTES = _world.NAME, _world.ENDLESS_BYTES
