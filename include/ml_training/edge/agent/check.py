"""One look for updates: refresh, decide, download, try, swap, and send what is stored.

    result = check(home, Clock())
    result["outcome"]      # updated, current, kept, refused, unreachable or busy; result["message"] says more

Whatever happens, the model that runs goes on running. It is replaced only by one whose every file is as signed and
that passed its trial on this device.
"""

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ml_training.edge.agent.budget import Budget, RateLimiter
from ml_training.edge.agent.clock import Clock
from ml_training.edge.agent.facts import board_name, runtime_version
from ml_training.edge.agent.home import Busy, Config, Home, remove_leftovers
from ml_training.edge.agent.network import Network
from ml_training.edge.agent.safety import mend
from ml_training.edge.agent.state import Installed, Starts, State, changed_state, is_whole, read_state
from ml_training.edge.agent.store import Store
from ml_training.edge.agent.telemetry import model_fields, record
from ml_training.edge.agent.trial import Limits, try_model
from ml_training.edge.agent.updates import Delivery
from ml_training.edge.agent.upload import upload_stored
from ml_training.edge.fleet.rollout import Assignment, DeviceTraits, ModelReference, Rollout, decide
from ml_training.utils.errors import DeliveryUnreachable, UpdateRefused

Trial = Callable[[Path, Limits], dict[str, Any]]

GOOD_OUTCOMES = ("updated", "current", "kept", "busy")

logger = logging.getLogger(__name__)


def check(
    home: Home, clock: Clock, *, again: bool = False, upload: bool = True, trial: Trial = try_model
) -> dict[str, Any]:
    """Do all of it; returns the outcome, a message, what runs and what was sent. Raises ConfigError only.

    ``again`` tries versions that were refused before; ``trial`` judges a folder and raises UpdateRefused.
    """
    config = home.read_config()
    try:
        with home.lock("check"):
            return Check(home, config, clock, trial).run(again=again, upload=upload)
    except Busy as error:
        return {"outcome": "busy", "message": error.message}


class Check:
    """What one look has in hand."""

    def __init__(self, home: Home, config: Config, clock: Clock, trial: Trial) -> None:
        self._home, self._config, self._clock, self._trial = home, config, clock, trial
        downloads = Budget(home.budget_file, "download", limit_bytes=config.daily_download_bytes, clock=clock)
        self._network = Network(RateLimiter(config.rate_limit_bytes_per_second), downloads)
        self._store = Store(home.store, limit_bytes=config.store_bytes)
        self._revision: int | None = None

    def run(self, *, again: bool, upload: bool) -> dict[str, Any]:
        """Update, then send."""
        for folder in (self._home.folder, self._home.models):
            remove_leftovers(folder)
        mend(self._home, self._store, self._config, self._clock)
        before = read_state(self._home)
        try:
            result = self._update(again=again)
        except UpdateRefused as error:
            result = {"outcome": "refused", "kind": error.facts.get("kind"), "message": error.message}
        except DeliveryUnreachable as error:
            result = {"outcome": "unreachable", "message": error.message}
        self._note(result, before)
        if upload:
            limit = self._config.daily_upload_bytes
            budget = Budget(self._home.budget_file, "upload", limit_bytes=limit, clock=self._clock)
            sent = upload_stored(self._home, self._store, self._network, budget, self._clock)
            result["sent"] = {"files": sent.files, "bytes": sent.bytes, "message": sent.message}
        self._network.close()
        result["requests"], result["received_bytes"] = self._network.requests, self._network.received_bytes
        result["sent_bytes"] = self._network.sent_bytes
        return result

    def _update(self, *, again: bool) -> dict[str, Any]:
        state = read_state(self._home)
        self._clock.check(known_over=state.known_over)
        delivery = Delivery(self._home, self._config.delivery_url, self._network, self._clock)
        rollout = delivery.refresh()
        self._revision = rollout.revision
        decision = decide(rollout, self._traits())
        if decision.assignment is None:
            why = "; ".join(decision.passed_over) or "no model is assigned"
            return {
                "outcome": "kept",
                "message": f"nothing here for this device: {why}",
                "model": _label(state.current),
            }
        chosen = decision.assignment
        result = self._take(delivery, rollout, chosen, again=again)
        self._follow_shadow(delivery, chosen)
        self._prune()
        return result

    def _take(self, delivery: Delivery, rollout: Rollout, chosen: Assignment, *, again: bool) -> dict[str, Any]:
        wanted = self._installed(chosen.name, chosen.alias, chosen.model, chosen.reason)
        state = read_state(self._home)
        if state.current is not None and state.current.key == wanted.key:
            with changed_state(self._home) as changed:
                if changed.current is not None and (changed.current.alias, changed.current.version) != (
                    wanted.alias, wanted.version
                ):  # fmt: skip
                    changed.current = wanted
            return {"outcome": "current", "message": chosen.reason, "model": wanted.key}
        if wanted.key in state.refused and not again:
            why = state.refused[wanted.key]
            raise UpdateRefused(f"{wanted.key} was refused at {why['at']}: {why['reason']}", kind="refused_before")
        try:
            tried = self._install(delivery, wanted, chosen.model)
        except UpdateRefused as error:
            if error.facts.get("kind") == "trial":
                with changed_state(self._home) as changed:
                    changed.refuse(wanted, error.message, self._clock.text())
            raise
        with changed_state(self._home) as changed:
            changed.refused.pop(wanted.key, None)
            changed.swap(wanted)
            changed.starts = Starts(wanted.key)
        logger.info("%s runs now: %s", wanted.key, chosen.reason)
        return {"outcome": "updated", "message": chosen.reason, "model": wanted.key, "trial": tried}

    def _install(self, delivery: Delivery, wanted: Installed, model: ModelReference) -> dict[str, Any]:
        """Bring a version to its folder, verified and tried; a folder that is whole is only tried."""
        folder = self._home.model_folder(wanted.name, wanted.semver)
        incoming = self._home.incoming / wanted.key.replace("/", "-")
        place = folder if is_whole(folder, wanted.files) else incoming
        if place is incoming:
            delivery.fetch(wanted.name, model, into=incoming)
        tried = self._trial(place, Limits(self._config.threads, self._config.largest_latency_ms))
        if place is incoming:
            if folder.exists():
                shutil.rmtree(folder)  # damaged, or another content under the same number
            folder.parent.mkdir(parents=True, exist_ok=True)
            incoming.rename(folder)
        return tried

    def _follow_shadow(self, delivery: Delivery, chosen: Assignment) -> None:
        """Have the shadow model at hand; that it cannot be had changes nothing but the telemetry."""
        shadow, share = None, 0.0
        if chosen.shadow is not None:
            shadow, share = self._installed(chosen.name, "shadow", chosen.shadow, "shadow"), chosen.shadow_share
            state = read_state(self._home)
            try:
                if shadow.key in state.refused:
                    raise UpdateRefused(f"{shadow.key} was refused before", kind="refused_before")
                if state.shadow is None or state.shadow.key != shadow.key:
                    self._install(delivery, shadow, chosen.shadow)
            except (UpdateRefused, DeliveryUnreachable) as error:
                logger.warning("no shadow: %s", error.message)
                shadow, share = None, 0.0
        with changed_state(self._home) as state:
            if (state.shadow and state.shadow.key) != (shadow and shadow.key):
                state.shadow = shadow
            state.shadow_share = share

    def _installed(self, name: str, alias: str, model: ModelReference, reason: str) -> Installed:
        return Installed(name, model.semver, model.version, alias, dict(model.files), reason, self._clock.text())

    def _traits(self) -> DeviceTraits:
        return DeviceTraits(
            self._config.device_id, self._config.board or board_name(), runtime_version(), self._config.assigned
        )

    def _prune(self) -> None:
        """Remove versions that are neither current, previous nor shadow, and downloads of others."""
        state = read_state(self._home)
        kept = {
            self._home.model_folder(model.name, model.semver)
            for model in (state.current, state.previous, state.shadow)
            if model is not None
        }
        for folder in (*self._home.models.glob("[!.]*/*"), *self._home.incoming.glob("*")):
            if folder not in kept and folder.is_dir():
                shutil.rmtree(folder, ignore_errors=True)

    def _note(self, result: dict[str, Any], before: State) -> None:
        """Remember the outcome; store an event when it is news."""
        at = self._clock.text()
        last = {"at": at, "outcome": result["outcome"], "message": result["message"]}
        with changed_state(self._home) as state:
            state.last_check = last
            if self._revision is not None:
                state.revision = self._revision
                state.known_over = max(at, state.known_over or at)
            current = state.current
        was = before.last_check
        news = result["outcome"] == "updated" or (
            result["outcome"] == "refused" and was.get("message") != result["message"]
        )
        if news:
            event = record(
                "event", self._config.device_id, self._clock, event=result["outcome"], refused=result.get("kind"),
                message=result["message"], model=model_fields(current),
            )  # fmt: skip
            self._store.add_record(event, day=at[:10])


def _label(installed: Installed | None) -> str | None:
    return installed.key if installed is not None else None
