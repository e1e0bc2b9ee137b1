"""Serves the data docs of the bucket to a browser: the S3 server gives no content types, so pages would be downloads.

with serve_data_docs(bucket, 8090) as url: ...      # http://127.0.0.1:8090/
"""

import mimetypes
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from local_stack.bucket import Bucket
from local_stack.ports import HOST

PREFIX = "validation/data_docs/"
NOTHING_YET = b"<p>Nothing has been validated yet: the data docs appear with the first run of validate_dataset.</p>"


@contextmanager
def serve_data_docs(bucket: Bucket, port: int) -> Iterator[str]:
    """Serve ``validation/data_docs/`` on loopback while the context lasts; gives the address."""
    server = ThreadingHTTPServer((HOST, port), _handler(bucket))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, name="data docs", daemon=True)
    thread.start()
    try:
        yield f"http://{HOST}:{port}/"
    finally:
        server.shutdown()
        server.server_close()


def _handler(bucket: Bucket) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path).lstrip("/") or "index.html"
            content = bucket.read_bytes(PREFIX + path)
            if content is None:
                self._answer(404, "text/html", NOTHING_YET)
            else:
                self._answer(200, mimetypes.guess_type(path)[0] or "application/octet-stream", content)

        def _answer(self, status: int, content_type: str, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            return

    return Handler
