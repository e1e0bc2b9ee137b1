"""The promotion ledger: who put which model in front of the devices, when and why. Only ever added to.

    append_event("s3://adbreak", event)
    [event.semver for event in read_ledger("s3://adbreak", "base-general")]      # oldest first

One immutable file an event, ``ledger/promotions/<time>-<hash>.json``. MLflow's aliases follow the ledger: an event is
written before the aliases move, so that a promotion that was killed half-way can be finished from it.
"""

import contextlib
from datetime import UTC, datetime, timedelta
from typing import Literal

from pydantic import AwareDatetime, ValidationError

from ml_training.cloud import storage
from ml_training.utils.errors import ObjectExists, RegistryError
from ml_training.utils.hashing import short_hash
from ml_training.utils.records import Record

TIME_FORMAT = "%Y%m%dT%H%M%S.%fZ"


class VersionReference(Record):
    """One version of a model: its number in MLflow, its semantic version and the content of its file."""

    version: str
    semver: str
    sha256: str


class PromotionEvent(Record):
    """``model`` became the champion in place of ``replaced``, by promotion or by rolling back to it."""

    version: Literal[1] = 1
    event: Literal["promoted", "rolled_back"]
    name: str
    model: VersionReference
    replaced: VersionReference | None
    approved_by: str
    reason: str | None = None
    forced: bool = False  # promoted against its gates' verdict or after a rollback; then ``reason`` says why
    created_at: AwareDatetime


def event_time(root: str, now: datetime | None = None) -> datetime:
    """Return a time for a new event that is later than every event's, also when this machine's clock is behind."""
    now = now or datetime.now(UTC)
    latest = max((event.created_at for event in read_ledger(root)), default=None)
    return now if latest is None or now > latest else latest + timedelta(microseconds=1)


def append_event(root: str, event: PromotionEvent) -> str:
    """Write ``event`` and return its address; an event that is there already is left as it is."""
    content = event.model_dump(mode="json")
    moment = event.created_at.astimezone(UTC).strftime(TIME_FORMAT)
    uri = storage.join(_folder(root), f"{moment}-{short_hash(content)}.json")
    with contextlib.suppress(ObjectExists):  # the same content under the same name
        storage.write_json(uri, content, if_absent=True)
    return uri


def read_ledger(root: str, name: str | None = None) -> list[PromotionEvent]:
    """Return the events, of one model or of all, oldest first. Raises RegistryError for a file that is no event."""
    files = [item.uri for item in storage.list_objects(_folder(root)) if item.uri.endswith(".json")]
    events = [_read(uri) for uri in sorted(files)]
    return [event for event in events if name in (None, event.name)]


def _folder(root: str) -> str:
    return storage.join(root, "ledger", "promotions") + "/"


def _read(uri: str) -> PromotionEvent:
    try:
        return PromotionEvent.model_validate(storage.read_json(uri))
    except ValidationError as error:
        raise RegistryError(f"{uri} is no promotion event: {error.errors()[0]['msg']}", uri=uri) from error
