"""Sends what is stored to the bucket by grants that allow writing below this device's own prefix, and nothing else.

    sent = upload_stored(home, store, network, budget, clock)
    sent.files, sent.message                          # 3, '' or why the rest stays

``uploads.json`` has for ``telemetry`` and ``hard_examples`` an address, the fields of a presigned form and the prefix.
A file's name there is its content's hash, and it is forgotten here only after the server said that it has it: what is
sent twice, because power went between, is one object.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ml_training.edge.agent.budget import Budget
from ml_training.edge.agent.clock import Clock
from ml_training.edge.agent.home import Home
from ml_training.edge.agent.network import Network
from ml_training.edge.agent.store import Item, Store
from ml_training.utils.errors import DeliveryUnreachable

DONE = (200, 201, 204)
FORM_BYTES = 3000  # about what the form adds to a file


@dataclass
class Sent:
    """What was sent; ``message`` says why the rest stays, if any does."""

    files: int = 0
    bytes: int = 0
    message: str = ""


def upload_stored(home: Home, store: Store, network: Network, budget: Budget, clock: Clock) -> Sent:
    """Send everything that the grants and the day's bytes allow. Never raises for the network: it is said."""
    sent = Sent()
    grants, sent.message = _read_grants(home, clock)
    if not grants:
        return sent
    for item in store.outgoing():
        grant = grants.get(item.kind)
        if grant is None:
            sent.message = sent.message or f"there is no grant for {item.kind}"
            continue
        try:
            data = item.path.read_bytes()
            budget.spend(len(data) + FORM_BYTES)
            status = network.post(grant["url"], _form(grant, item, data))
        except FileNotFoundError:  # it was dropped meanwhile, for want of room
            continue
        except DeliveryUnreachable as error:
            sent.message = error.message
            break
        if status not in DONE:
            sent.message = f"the bucket answers HTTP {status} to {item.kind}/{item.name}: is the grant still good?"
            del grants[item.kind]  # the next of its kind would be refused too
            continue
        store.sent(item)
        sent.files += 1
        sent.bytes += len(data)
    budget.close()
    return sent


def _form(grant: dict[str, Any], item: Item, data: bytes) -> dict[str, Any]:
    """Return the fields of S3's POST; the file must be the last one."""
    fields = {name: value for name, value in grant["fields"].items() if name not in ("key", "file")}
    return {**fields, "key": grant["prefix"] + item.name, "file": (item.path.name, data, "application/octet-stream")}


def _read_grants(home: Home, clock: Clock) -> tuple[dict[str, Any], str]:
    try:
        content = json.loads(home.grants_file.read_text(encoding="utf-8"))
        expires_at = datetime.fromisoformat(content["expires_at"])
        grants = {
            kind: {key: content[kind][key] for key in ("url", "fields", "prefix")}
            for kind in ("telemetry", "hard_examples")
            if content.get(kind)
        }
        expired = expires_at <= clock.now()
    except FileNotFoundError:
        return {}, "there is no uploads.json: what is stored stays here"
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return {}, f"uploads.json cannot be read ({error!r}): put a new one there"
    if expired:
        return {}, f"the grants expired at {content['expires_at']}: put a new uploads.json there"
    return grants, ""
