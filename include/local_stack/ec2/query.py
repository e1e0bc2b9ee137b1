"""The form in which EC2 is asked and answers: flat names with numbers one way, XML the other.

params = nested("Filter.1.Name=state&Filter.1.Value.1=open")  # {"Filter": [{"Name": "state", "Value": ["open"]}]}
body = document("TerminateInstances", {"instancesSet": [{"instanceId": "i-1"}]})
"""

import secrets
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

NAMESPACE = "http://ec2.amazonaws.com/doc/2016-11-15/"


class Refused(Exception):
    """A request that is answered with an error."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


def nested(body: str) -> dict[str, Any]:
    """Return a request's parameters as dictionaries and lists."""
    tree: dict[str, Any] = {}
    for name, value in parse_qsl(body, keep_blank_values=True):
        *path, last = name.split(".")
        at = tree
        for part in path:
            at = at.setdefault(part, {})
        at[last] = value
    found: dict[str, Any] = _lists(tree)
    return found


def _lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if value and all(name.isdigit() for name in value):
        return [_lists(value[name]) for name in sorted(value, key=int)]
    return {name: _lists(inner) for name, inner in value.items()}


def document(action: str, content: dict[str, Any]) -> bytes:
    """Return an answer's body."""
    inner = _xml({"requestId": secrets.token_hex(16), **content})
    return f'<{action}Response xmlns="{NAMESPACE}">{inner}</{action}Response>'.encode()


def refusal(error: Refused) -> bytes:
    """Return the body of an error."""
    inner = _xml({"Errors": {"Error": {"Code": error.code, "Message": error.message}}, "RequestID": "simulated"})
    return f"<Response>{inner}</Response>".encode()


def _xml(value: Any) -> str:
    if isinstance(value, dict):
        return "".join(f"<{name}>{_xml(inner)}</{name}>" for name, inner in value.items() if inner is not None)
    if isinstance(value, list):
        return "".join(f"<item>{_xml(inner)}</item>" for inner in value)
    return escape(str(value))
