"""A machine's own metadata service (version 2, with tokens) on a port of loopback.

    service = MetadataService(facts)
    service.start()
    service.endpoint               # AWS_EC2_METADATA_SERVICE_ENDPOINT of everything that runs on the machine
    service.put("spot/instance-action", {"action": "terminate", "time": "2026-11-23T02:14:00Z"})
    service.close()

It answers what EC2's answers under ``latest/meta-data``: one value a path, a listing where a path ends in a slash, 404
for what is not there, and 401 without a token where the machine was launched so.
"""

import json
import secrets
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from local_stack.ports import HOST

ROOT = "/latest/meta-data/"
TOKEN_PATH = "/latest/api/token"
TTL_HEADER = "X-aws-ec2-metadata-token-ttl-seconds"
TOKEN_HEADER = "X-aws-ec2-metadata-token"


class MetadataService:
    """The values of one machine, served until it is closed."""

    def __init__(self, values: dict[str, Any], *, tokens_required: bool = True) -> None:
        self.tokens_required = tokens_required
        self._values = dict(values)
        self._tokens: set[str] = set()
        self._lock = threading.Lock()
        self._server = _Server((HOST, 0), _Handler)
        self._server.service = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def endpoint(self) -> str:
        """Its address."""
        return f"http://{HOST}:{self._server.server_address[1]}"

    def start(self) -> None:
        """Serve from now on."""
        self._thread.start()

    def close(self) -> None:
        """Serve no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def put(self, path: str, value: Any) -> None:
        """Set the value at a path below ``latest/meta-data``; None removes it."""
        with self._lock:
            if value is None:
                self._values.pop(path, None)
            else:
                self._values[path] = value

    def get(self, path: str) -> str | None:
        """Return what stands at a path, as text."""
        with self._lock:
            if path in self._values:
                value = self._values[path]
                return value if isinstance(value, str) else json.dumps(value)
            folder = path if not path or path.endswith("/") else path + "/"
            below = [name.removeprefix(folder) for name in self._values if name.startswith(folder)]
        names = sorted({name.split("/")[0] + "/" * ("/" in name) for name in below})
        return "\n".join(names) or None

    def new_token(self) -> str:
        """Make a token that later requests may carry."""
        token = secrets.token_urlsafe(16)
        with self._lock:
            self._tokens.add(token)
        return token

    def admits(self, token: str | None) -> bool:
        """Tell whether a request with this token is answered."""
        with self._lock:
            return token in self._tokens or (token is None and not self.tokens_required)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    service: MetadataService

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a caller that was killed while it asked."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_PUT(self) -> None:
        if self.path == TOKEN_PATH and self.headers.get(TTL_HEADER, "").isdigit():
            self._answer(200, self.server.service.new_token(), {TTL_HEADER: self.headers[TTL_HEADER]})
        else:
            self._answer(400, "Bad Request")

    def do_GET(self) -> None:
        service = self.server.service
        if not service.admits(self.headers.get(TOKEN_HEADER)):
            self._answer(401, "Unauthorized")
        elif not self.path.startswith(ROOT) or (found := service.get(self.path.removeprefix(ROOT))) is None:
            self._answer(404, "Not Found")
        else:
            self._answer(200, found)

    def _answer(self, status: int, text: str, headers: dict[str, str] | None = None) -> None:
        body = text.encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), "Content-Type": "text/plain", **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Stay quiet."""
