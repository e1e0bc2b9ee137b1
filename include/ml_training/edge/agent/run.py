"""Classifies files or a stream with the model that this device is to run, and looks for updates meanwhile.

    result = Runner(home, Clock(), Options()).run(["recording.ts"])
    result["frames"], result["breaks"], result["model"]

The model is opened anew, between two frames, when a check has swapped it. A model that is not proven yet and is too
slow, or does not load, gives way to the one before.
"""

import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ml_training.edge.agent.breaks import BreakFiles
from ml_training.edge.agent.clock import Clock
from ml_training.edge.agent.device_model import DeviceModel, open_device_model
from ml_training.edge.agent.home import Home
from ml_training.edge.agent.inputs import Input, inputs_of, is_stream
from ml_training.edge.agent.loaded import Active
from ml_training.edge.agent.media import Source
from ml_training.edge.agent.observations import Observations
from ml_training.edge.agent.safety import forgive_start, mend, note_start, prove, roll_back
from ml_training.edge.agent.schedule import Checks
from ml_training.edge.agent.session import Session
from ml_training.edge.agent.state import Installed, State, read_state
from ml_training.utils.errors import AdbreakError, ConfigError, DeviceError, ModelError, RecordingUnreadable

LOOK_SECONDS = 5.0  # how often to look whether the model was swapped
PROOF_FRAMES = 100  # least, before a model is proven
REOPEN_SECONDS = 5.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """How to run: where breaks go, and whether to look for updates."""

    output: Path | None = None
    check: bool = True


class Runner:
    """One run of the service."""

    def __init__(self, home: Home, clock: Clock, options: Options) -> None:
        self._home, self._clock = home, clock
        self._config = home.read_config()
        self._output = options.output or home.breaks
        self._seen = Observations(home, self._config, clock)
        self._checks = Checks(home, self._config, clock) if options.check else None
        self._looked_at = time.monotonic()
        self._active: Active | None = None

    def run(self, inputs: list[str]) -> dict[str, Any]:
        """Work through the inputs; a stream is opened again when it ends.

        Raises ConfigError without an input, DeviceError without a model, RecordingUnreadable when no input gives a
        frame. A start that ends in order, or for want of an input or of room on the disk, is no crash of the model.
        """
        locations = inputs or ([self._config.input] if self._config.input else [])
        if not locations:
            raise ConfigError("expected an input: give one, or set it with setup --input")
        sources = inputs_of(locations)
        try:
            unreadable = self._work_through(sources)
        except BaseException as error:
            if not _is_crash(error):
                self._end_in_order()
            raise
        finally:
            if self._checks is not None:
                self._checks.stop()
        self._end_in_order()
        assert self._active is not None
        if len(unreadable) == len(sources):
            raise RecordingUnreadable("; ".join(unreadable))
        return {
            "frames": self._seen.frames,
            "breaks": self._seen.breaks,
            "model": self._active.installed.key,
            "unreadable": unreadable,
            "output": str(self._output),
        }

    def _work_through(self, sources: list[Input]) -> list[str]:
        """Judge one after the other; returns what is wrong with those that cannot be read."""
        self._active = self._open(starting=True)
        unreadable = []
        for source in sources:
            try:
                self._work(source)
            except RecordingUnreadable as error:
                logger.error("%s", error.message)
                unreadable.append(error.message)
        self._proof(at_end=True)
        return unreadable

    def _end_in_order(self) -> None:
        if self._active is not None:
            forgive_start(self._home, self._active.installed.key)
            self._seen.tell(self._active)

    def _work(self, source: Input) -> None:
        if not is_stream(source.location):
            self._classify(source)
            return
        while True:
            try:
                self._classify(source._replace(name=f"{source.name}-{self._clock.now():%Y%m%dT%H%M%S}"))
            except RecordingUnreadable as error:
                logger.warning("%s; it is opened again in %g s", error.message, REOPEN_SECONDS)
            if self._is_due():
                self._reopen()
            time.sleep(REOPEN_SECONDS)

    def _classify(self, judged: Input) -> None:
        """Judge one input to its end, or a stream until a model needs sound that is not decoded."""
        assert self._active is not None
        hears, session, streams = self._active.hears, None, is_stream(judged.location)
        files = BreakFiles(self._output, judged.name)
        with Source(judged.location, hears=hears, options=self._config.input_options) as source:
            for frame in source.frames():
                if session is None:  # not before there is a frame: only then it is known whether there is sound
                    session = Session(self._seen, self._active, source.sound, files)
                    if not streams:
                        files.write()
                session.see(frame)
                if self._is_due():
                    session.end()
                    session = None
                    self._reopen()
                    if streams and self._active.hears and not hears:
                        return
            if session is not None:
                session.end()

    def _is_due(self) -> bool:
        """Do what is due between two frames; returns whether other models are to be opened."""
        assert self._active is not None
        active = self._active
        if self._checks is not None:
            self._checks.step()
        self._seen.tell_if_due(active)
        if time.monotonic() - self._looked_at < LOOK_SECONDS:
            return False
        self._looked_at = time.monotonic()
        if self._proof():
            return True
        state = read_state(self._home)
        wanted = (state.current and state.current.key, state.shadow and state.shadow.key, state.shadow_share)
        own_shadow = active.shadow_installed and active.shadow_installed.key
        return wanted != (active.installed.key, own_shadow, active.shadow_share)

    def _proof(self, *, at_end: bool = False) -> bool:
        """Prove a model that has worked long enough, or go back from one that is too slow; whether it went back."""
        active = self._active
        assert active is not None
        long_enough = at_end or time.monotonic() - active.since >= self._config.probation_minutes * 60
        if active.proven or not long_enough or active.frames < PROOF_FRAMES:
            return False
        latency, allowed = active.latency_p95(), self._config.largest_latency_ms
        if latency >= allowed:
            reason = f"95 of 100 frames take up to {latency:.0f} ms, less than {allowed:g} are allowed"
            if roll_back(self._home, self._seen.store, self._config, self._clock, reason):
                return True
        prove(self._home, active.installed.key)
        active.proven = True
        return False

    def _reopen(self) -> None:
        self._end_in_order()
        self._active = None
        self._active = self._open()

    def _open(self, *, starting: bool = False) -> Active:
        """Open the current model; one that does not load gives way to the one before. Raises DeviceError.

        At the start a check that is due comes first: beside a model that crashes at once none would come to its end.
        """
        mend(self._home, self._seen.store, self._config, self._clock)
        needed = read_state(self._home).current is None
        if self._checks is not None and (needed or (starting and self._checks.is_due())):
            self._checks.now()
        note_start(self._home, self._seen.store, self._config, self._clock)
        state = read_state(self._home)
        if state.current is None:
            said = state.last_check.get("message", "nothing was checked yet")
            raise DeviceError(f"there is no model on this device ({said}): run check, and see what it says")
        try:
            model = self._load(state.current)
        except ModelError as error:
            reason = f"it does not load: {error.message}"
            if not roll_back(self._home, self._seen.store, self._config, self._clock, reason):
                raise
            return self._open()
        logger.info("%s runs, as %s: %s", state.current.key, state.current.alias, state.current.reason)
        active = Active(state.current, model, proven=state.starts.proven, shadow_share=state.shadow_share)
        self._open_shadow(active, state)
        return active

    def _open_shadow(self, active: Active, state: State) -> None:
        active.shadow_installed = state.shadow
        if state.shadow is None or state.shadow_share <= 0:
            return
        try:
            active.shadow = self._load(state.shadow)
        except ModelError as error:
            logger.warning("the shadow does not load: %s", error.message)

    def _load(self, installed: Installed) -> DeviceModel:
        folder = self._home.model_folder(installed.name, installed.semver)
        return open_device_model(folder, threads=self._config.threads)


def _is_crash(error: BaseException) -> bool:
    """Tell whether the model may have done it: not a stop, not the disk, not a missing ffmpeg."""
    others = isinstance(error, (AdbreakError, OSError)) and not isinstance(error, ModelError)
    return isinstance(error, Exception) and not others
