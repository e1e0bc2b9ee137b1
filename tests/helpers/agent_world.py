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

FILES = Path(__file__).resolve().parents[1] / "data_files"
COLOUR = FILES / "colour_int8.tflite"
NAME = "base-general"
ENDLESS_BYTES = 50_000_000  # then the connection breaks: whoever reads so far reads what has no end


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
        publish_model(self.publisher, ModelFiles(name, semver, contents, semver.split(".")[1]))
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
    ``endless``: pattern of paths whose answer, also that they are not there, goes on for ENDLESS_BYTES; ``down``: every
    request is refused; ``refusal_headers``: what refusals say besides.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.change: dict[str, Callable[[bytes], bytes]] = {}
        self.cut: dict[str, int] = {}
        self.endless: list[str] = []
        self.down = False
        self.refusal_headers: dict[str, str] = {}
        self.upload_status = 204
        self.date: str | None = None
        self.requests: list[tuple[str, str, int]] = []  # method, path, bytes sent
        self.ranges: list[str] = []
        self.objects: dict[str, bytes] = {}
        self.posts = 0
        self._lock = threading.Lock()
        self._server = _QuietServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"world": self}))
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
        if self.down or not file.is_file():
            return None
        data = file.read_bytes()
        for pattern, function in self.change.items():
            if re.search(pattern, path):
                data = function(data)
        return data

    def take(self, form: bytes) -> None:
        """Keep what is uploaded, if that is to succeed."""
        key, data = _form(form)
        with self._lock:
            self.posts += 1
            if not self.down and self.upload_status < 300:
                self.objects[key] = data
            self.requests.append(("POST", key, len(form)))

    def note(self, method: str, path: str, size: int) -> None:
        """Count a request."""
        with self._lock:
            self.requests.append((method, path, size))


class _Handler(BaseHTTPRequestHandler):
    """One connection to the server that it is made for."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    world: Server

    def log_message(self, *args: Any) -> None:
        pass

    def date_time_string(self, timestamp: float | None = None) -> str:
        return self.world.date or super().date_time_string(timestamp)

    def do_GET(self) -> None:
        data = self.world.content(self.path)
        if data is None:
            self.answer(503 if self.world.down else 404, b"", self.world.refusal_headers)
            return
        start = 0
        if asked := self.headers.get("Range"):
            self.world.ranges.append(asked)
            start = int(asked.removeprefix("bytes=").rstrip("-"))
        headers = {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"} if start else {}
        self.answer(206 if start else 200, data[start:], headers)

    def do_POST(self) -> None:
        self.world.take(self.rfile.read(int(self.headers["Content-Length"])))
        self.answer(503 if self.world.down else self.world.upload_status, b"", {})

    def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        cut = next((size for pattern, size in self.world.cut.items() if re.search(pattern, self.path)), None)
        more = ENDLESS_BYTES if any(re.search(pattern, self.path) for pattern in self.world.endless) else 0
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) + (1 << 40 if more else 0)))
        self.end_headers()
        size = self.write(body[:cut], more)
        self.close_connection = self.close_connection or cut is not None or more > 0
        if self.command == "GET":
            self.world.note("GET", self.path, size)

    def write(self, body: bytes, more: int) -> int:
        """Send the body, and so many bytes more until nobody reads; returns how many went."""
        sent = 0
        try:
            for piece in (body, *([bytes(65536)] * (more // 65536))):
                self.wfile.write(piece)
                sent += len(piece)
        except OSError:
            self.close_connection = True
        return sent


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
