"""A delivery, a server before it that can misbehave, and devices: what tests and benchmarks of the agent share.

with World(folder) as world:
    world.publish("1.0.0")
    home = world.device("pi5-kitchen")
    check(home, Clock())
"""

import io
import json
import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from ml_training.edge.agent.facts import runtime_name
from ml_training.edge.agent.home import Home
from ml_training.edge.agent.setup import set_up
from ml_training.edge.delivery.keys import create_keys
from ml_training.edge.delivery.model_files import ModelFiles
from ml_training.edge.delivery.publishing import publish_model
from ml_training.edge.delivery.roles import initialize
from ml_training.edge.delivery.rollout_changes import publish_rollout
from ml_training.edge.delivery.state import DeliveryStore, Publisher
from ml_training.utils.hashing import sha256_bytes

FILES = Path(__file__).resolve().parents[2] / "data_files"
COLOUR = FILES / "colour_int8.tflite"
NAME = "base-general"


def golden(model: bytes, n: int = 4) -> bytes:
    """Return a golden.npz of a single-frame model, as the conversion writes it."""
    interpreter = Interpreter(model_content=model, num_threads=1)
    interpreter.allocate_tensors()
    details, output = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    inputs = np.random.default_rng(1).integers(-128, 128, (n, *details["shape"][1:])).astype(np.int8)
    outputs = []
    for one in inputs:
        interpreter.set_tensor(details["index"], one[None])
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(output["index"])[0])
    file = io.BytesIO()
    np.savez(file, inputs=inputs, outputs=np.array(outputs))
    return file.getvalue()


def model_files(semver: str, *, model: bytes | None = None, size: int = 0, **changes: Any) -> dict[str, bytes]:
    """Return the files of a version: the model that calls red pictures ads, with bytes of its own behind it."""
    content = (model or COLOUR.read_bytes()) + semver.encode()
    content += bytes(max(0, size - len(content)))
    manifest = {
        "version": 1,
        "model_name": NAME,
        "sha256": sha256_bytes(content),
        "labels": ["content", "ad"],
        "threshold": 0.5,
        "runtime": runtime_name(),
        "golden": {"inputs": "golden.npz", "n": 4},
        **changes,
    }
    return {
        "manifest.json": json.dumps(manifest).encode(),
        "model.tflite": content,
        "golden.npz": golden(COLOUR.read_bytes()),
    }


class World:
    """A data root with a delivery, served over HTTP."""

    def __init__(self, folder: Path, keys: Path | None = None) -> None:
        self.folder = folder
        self.root = folder / "data"
        self.publisher = Publisher(DeliveryStore(str(self.root)), create_keys(keys or folder / "keys"))
        self.server = Server(self.root)

    def __enter__(self) -> Self:
        initialize(self.publisher)
        self.server.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.server.stop()

    def publish(self, semver: str, files: dict[str, bytes] | None = None, *, name: str = NAME, **wishes: Any) -> None:
        """Sign a version and make it the champion, or what ``wishes`` say."""
        contents = files or model_files(semver)
        manifest = json.loads(contents["manifest.json"])
        publish_model(self.publisher, ModelFiles(name, semver, manifest, contents, semver.split(".")[1]))
        publish_rollout(self.publisher, name, wishes or {"champion": semver})

    def device(self, device_id: str = "pi5-kitchen", **config: Any) -> Home:
        """Set a device up that trusts the first root."""
        home = Home(self.folder / "devices" / device_id)
        given = {"device_id": device_id, "delivery_url": f"{self.server.url}/delivery", **config}
        given.setdefault("rate_limit_bytes_per_second", None)
        set_up(home, given, self.root / "delivery" / "metadata" / "1.root.json")
        return home

    def grant(self, home: Home, *, expires_at: str = "2999-01-01T00:00:00+00:00") -> None:
        """Put upload grants on a device."""
        device_id = home.read_config().device_id
        grants = {
            kind: {"url": f"{self.server.url}/bucket", "fields": {"policy": "p"}, "prefix": f"{kind}/{device_id}/"}
            for kind in ("telemetry", "hard_examples")
        }
        home.grants_file.write_text(json.dumps({"expires_at": expires_at, **grants}))


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: devices that are killed break their connections."""


class Server:
    """Serves a folder with ranges, takes uploads, counts, and misbehaves as it is told.

    ``change``: pattern of a path -> function of its bytes; ``cut``: pattern -> bytes after which the connection ends;
    ``endless``: pattern of paths that never end; ``down``: every request is refused.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.change: dict[str, Callable[[bytes], bytes]] = {}
        self.cut: dict[str, int] = {}
        self.endless: list[str] = []
        self.down = False
        self.upload_status = 204
        self.date: str | None = None
        self.requests: list[tuple[str, str, int]] = []  # method, path, bytes sent
        self.ranges: list[str] = []
        self.objects: dict[str, bytes] = {}
        self.posts = 0
        self._lock = threading.Lock()
        self._server = _QuietServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def start(self) -> None:
        """Serve in a thread."""
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """End serving."""
        self._server.shutdown()
        self._server.server_close()

    def content(self, path: str) -> bytes | None:
        """Return what this server gives for a path."""
        file = self.folder / unquote(path).lstrip("/")
        if not file.is_file():
            return None
        data = file.read_bytes()
        for pattern, function in self.change.items():
            if re.search(pattern, path):
                data = function(data)
        return data

    def note(self, method: str, path: str, size: int) -> None:
        """Count a request."""
        with self._lock:
            self.requests.append((method, path, size))

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *args: Any) -> None:
                pass

            def date_time_string(self, timestamp: float | None = None) -> str:
                return server.date or super().date_time_string(timestamp)

            def do_GET(self) -> None:
                data = None if server.down else server.content(self.path)
                if data is None:
                    self.answer(503 if server.down else 404, b"")
                    return
                start = 0
                if asked := self.headers.get("Range"):
                    server.ranges.append(asked)
                    start = int(asked.removeprefix("bytes=").rstrip("-"))
                self.give(data, start)

            def give(self, data: bytes, start: int) -> None:
                body = data[start:]
                cut = next((n for pattern, n in server.cut.items() if re.search(pattern, self.path)), None)
                endless = any(re.search(pattern, self.path) for pattern in server.endless)
                self.send_response(206 if start else 200)
                if start:
                    self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
                self.send_header("Content-Length", str(len(body) + (1 << 40 if endless else 0)))
                self.end_headers()
                sent = body if cut is None else body[:cut]
                try:
                    self.wfile.write(sent)
                    while endless:
                        self.wfile.write(bytes(65536))
                except OSError:
                    self.close_connection = True
                server.note("GET", self.path, len(sent))
                if cut is not None:
                    self.close_connection = True

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                server.posts += 1
                key, data = _form(body)
                if server.down:
                    self.answer(503, b"")
                    return
                if server.upload_status < 300:
                    with server._lock:
                        server.objects[key] = data
                server.note("POST", key, len(body))
                self.answer(server.upload_status, b"")

            def answer(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                server.note("GET", self.path, len(body))

        return Handler


def _form(body: bytes) -> tuple[str, bytes]:
    boundary = body.split(b"\r\n", 1)[0]
    fields = {}
    for part in body.split(boundary)[1:-1]:
        head, _, value = part.partition(b"\r\n\r\n")
        name = re.search(rb'name="([^"]*)"', head)
        assert name is not None
        fields[name[1].decode()] = value[:-2]
    return fields["key"].decode(), fields["file"]


def crashing_model() -> bytes:
    """Return a valid file that takes the process with it: an IF whose branches are the graph that it stands in."""
    model = schema.ModelT.InitFromPackedBuf(COLOUR.read_bytes(), 0)
    graph = model.subgraphs[0]
    always = schema.BufferT()
    always.data = np.array([1], np.uint8)
    model.buffers.append(always)
    condition = schema.TensorT()
    condition.type, condition.shape, condition.name = schema.TensorType.BOOL, [1], "always"
    condition.buffer = len(model.buffers) - 1
    graph.tensors.append(condition)
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.IF
    code.version = 1
    model.operatorCodes.append(code)
    branch = schema.OperatorT()
    branch.opcodeIndex = len(model.operatorCodes) - 1
    branch.inputs, branch.outputs = [len(graph.tensors) - 1, *graph.inputs], list(graph.outputs)
    branch.builtinOptions, branch.builtinOptionsType = schema.IfOptionsT(), schema.BuiltinOptions.IfOptions
    graph.operators = [branch]
    builder = flatbuffers.Builder(8192)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())
