"""What brings a device back to a model that works, without anybody's help.

    mend(home, store, config, clock)                  # a damaged file: the version before
    began = note_start(home, store, config, clock)    # too many crashes of a new model: the version before
    prove(home, key)                                  # it did its work: its crashes count no more

A model is new until it has worked for a while. Starts of a new model are counted on the disk before it is loaded, so a
file that takes the process with it, or the power, is counted too.
"""

import logging

from ml_training.edge.agent.clock import Clock
from ml_training.edge.agent.home import Config, Home
from ml_training.edge.agent.state import Installed, Starts, State, changed_state, is_whole, read_state
from ml_training.edge.agent.store import Store
from ml_training.edge.agent.telemetry import model_fields, record

logger = logging.getLogger(__name__)


def mend(home: Home, store: Store, config: Config, clock: Clock) -> None:
    """See to it that the current model's files are whole; if not, the version before is the current one again.

    A previous version that is damaged is forgotten; so is a current one without one before: it is fetched anew.
    """
    state = read_state(home)
    broken = [model for model in (state.current, state.previous) if model is not None and not _whole(home, model)]
    if not broken:
        return
    with changed_state(home) as state:
        if state.previous in broken:
            state.previous = None
        if state.current in broken:
            damaged, state.current, state.previous = state.current, state.previous, None
            state.starts = Starts(state.current.key if state.current else "", [], proven=True)
            message = f"{damaged.key if damaged else ''} is damaged on the disk: back to what was before"
            _tell(store, config, clock, state, "damaged", message)


def note_start(home: Home, store: Store, config: Config, clock: Clock) -> bool:
    """Count a start of ``run``; go back when a new model has had too many. Returns whether it went back."""
    with changed_state(home) as state:
        if state.current is None:
            return False
        if state.starts.key != state.current.key:
            state.starts = Starts(state.current.key)
        if state.starts.proven:
            return False
        if len(state.starts.times) >= config.crash_limit and state.previous is not None:
            message = f"{state.current.key} ended {len(state.starts.times)} times before it was proven"
            state.go_back(message, clock.text())
            _tell(store, config, clock, state, "rolled_back", message)
            return True
        state.starts.times = [*state.starts.times, clock.text()][-config.crash_limit :]
    return False


def prove(home: Home, key: str) -> None:
    """Trust the current model from now on, if it still is the one of ``key``."""
    with changed_state(home) as state:
        if state.current is not None and state.current.key == key:
            state.starts = Starts(key, [], proven=True)


def forgive_start(home: Home, key: str) -> None:
    """Take a start back that ended as it should: it was no crash."""
    with changed_state(home) as state:
        if state.starts.key == key and not state.starts.proven:
            state.starts.times = state.starts.times[:-1]


def roll_back(home: Home, store: Store, config: Config, clock: Clock, reason: str) -> bool:
    """Go back to the version before, by hand or because this one fails; False where none is whole."""
    with changed_state(home) as state:
        if state.previous is None or not _whole(home, state.previous) or not state.go_back(reason, clock.text()):
            return False
        _tell(store, config, clock, state, "rolled_back", reason)
    return True


def _whole(home: Home, model: Installed) -> bool:
    return is_whole(home.model_folder(model.name, model.semver), model.files)


def _tell(store: Store, config: Config, clock: Clock, state: State, event: str, message: str) -> None:
    logger.error("%s: %s", event, message)
    told = record(
        "event", config.device_id, clock, event=event, message=message, model=model_fields(state.current)
    )  # fmt: skip
    store.add_record(told, day=clock.text()[:10])
