"""The simulated EC2's front door: moto behind it, and before moto what a test of launchers needs.

    with Api(backend, market, faults) as api:
        api.url                       # AWS_ENDPOINT_URL_EC2

It remembers ClientTokens, launches instant fleets, names prices, lets machines end in their own time, hides what is too
new to be seen, and injects faults. All else goes to moto, also other services (IAM, Systems Manager, S3).
``/_faults`` and what else is registered in ``controls`` are the test's own doors, not EC2's.
"""

import json
import logging
import re
import socket
import threading
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from http import HTTPStatus
from io import BytesIO
from types import TracebackType
from typing import Any

from moto.core.exceptions import ServiceException
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server
from werkzeug.test import run_wsgi_app

from local_stack.ec2 import fleet
from local_stack.ec2.backend import GONE, STATES, Backend
from local_stack.ec2.faults import Fault, Faults
from local_stack.ec2.market import Market
from local_stack.ec2.query import Refused, document, nested, refusal
from local_stack.ports import HOST

Control = Callable[[str, str, dict[str, Any]], Any]  # method, rest of the path, JSON: what to answer as JSON
Answer = tuple[int, bytes, list[tuple[str, str]]]
SERVICE = re.compile(r"Credential=[^,/]*/\d+/[^/]+/([a-z0-9-]+)/aws4_request")
XML = [("Content-Type", "text/xml;charset=UTF-8")]
USER_SHUTDOWN = ("Client.UserInitiatedShutdown", "User initiated shutdown")


class Api:
    """Serves until the context ends."""

    def __init__(self, backend: Backend, market: Market, faults: Faults, *, port: int = 0) -> None:
        self.controls: dict[str, Control] = {}
        self._backend, self._market, self._faults = backend, market, faults
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._answered: dict[tuple[str, str], tuple[dict[str, Any], Answer]] = {}
        self._own: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "CreateFleet": lambda params: fleet.launch(backend, market, params),
            "DeleteLaunchTemplate": self._delete_template,
            "DescribeSpotPriceHistory": self._prices,
            "TerminateInstances": self._terminate,
        }
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._server = make_server(HOST, port, self._serve, threaded=True, request_handler=MotoRequestHandler)
        self._server.daemon_threads = True  # type: ignore[attr-defined]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://{HOST}:{self._server.server_port}"

    def __enter__(self) -> "Api":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _serve(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path.startswith("/_"):
            status, body, headers = self._control(environ, path)
        elif (found := SERVICE.search(environ.get("HTTP_AUTHORIZATION", ""))) and found[1] == "ec2":
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            environ["wsgi.input"] = BytesIO(body)
            answer = self._with_faults(nested(body.decode()), environ)
            if answer is None:
                _hang_up(environ)
                start_response("200 OK", [])  # which nobody receives
                return []
            status, body, headers = answer
        else:
            chunks: Iterable[bytes] = self._moto.get_application(environ)(environ, start_response)
            return chunks
        start_response(f"{status} {HTTPStatus(status).phrase}", [*headers, ("Content-Length", str(len(body)))])
        return [body]

    def _with_faults(self, params: dict[str, Any], environ: dict[str, Any]) -> Answer | None:
        """Return the answer to a request to EC2; None when it is lost."""
        fault = self._faults.take(str(params.get("Action", "")))
        if fault is None:
            return self._answer(params, environ)
        if fault.kind == "lose_request":
            return None
        if fault.kind == "lose_answer":
            self._answer(params, environ)
            return None
        if fault.kind == "hang":
            time.sleep(fault.hang_seconds)
            return self._answer(params, environ)
        return _failed(fault)

    def _answer(self, params: dict[str, Any], environ: dict[str, Any]) -> Answer:
        """Do what is asked, once for each ClientToken."""
        key = (params.get("Action", ""), params.get("ClientToken", ""))
        with self._backend.as_seen_by_callers():
            if key[1] and key in self._answered:
                before, answer = self._answered[key]
                if before != params:
                    return _refused(Refused("IdempotentParameterMismatch", "The request uses the same client token"))
                return answer
            answer = self._do(params, environ)
            if key[1] and answer[0] == 200:
                self._answered[key] = params, answer
            return answer

    def _do(self, params: dict[str, Any], environ: dict[str, Any]) -> Answer:
        action = params.get("Action", "")
        if action not in self._own:
            chunks, status, headers = run_wsgi_app(self._moto.get_application(environ), environ, buffered=True)
            kept = [(name, value) for name, value in headers if name.lower() != "content-length"]
            return int(status.split()[0]), b"".join(chunks), kept
        try:
            return 200, document(action, self._own[action](params)), XML
        except Refused as error:
            return _refused(error)
        except ServiceException as error:
            return _refused(Refused(error.code, error.message))

    def _terminate(self, params: dict[str, Any]) -> dict[str, Any]:
        """Begin the end of machines; it has come when nothing of theirs runs any more."""
        ids = params.get("InstanceId", [])
        found = {instance_id: self._backend.instance(instance_id) for instance_id in ids}
        if missing := [instance_id for instance_id, instance in found.items() if instance is None]:
            raise Refused("InvalidInstanceID.NotFound", f"The instance IDs '{', '.join(missing)}' do not exist")
        changes = []
        for instance_id, instance in found.items():
            assert instance is not None
            before = instance.state
            if before not in GONE:
                self._backend.set_state(instance, "shutting-down", *USER_SHUTDOWN)
            now = instance.state
            changes.append({"instanceId": instance_id, "currentState": _state(now), "previousState": _state(before)})
        return {"instancesSet": changes}

    def _delete_template(self, params: dict[str, Any]) -> dict[str, Any]:
        """Delete a launch template; of one that is not there, moto says that a parameter is missing."""
        name, template_id = params.get("LaunchTemplateName", ""), params.get("LaunchTemplateId")
        known = self._backend.ec2.launch_template_name_to_ids
        if (name and name not in known) or (template_id and template_id not in known.values()):
            code = f"InvalidLaunchTemplate{'Name' if name else 'Id'}.NotFound{'Exception' if name else ''}"
            raise Refused(code, "At least one of the launch templates specified in the request does not exist.")
        template = self._backend.ec2.delete_launch_template(name, template_id)
        return {"launchTemplate": {"launchTemplateId": template.id, "launchTemplateName": template.name}}

    def _prices(self, params: dict[str, Any]) -> dict[str, Any]:
        """Name the spot prices of the types that were asked for, in every zone."""
        filters = {item["Name"]: item.get("Value", []) for item in params.get("Filter", [])}
        types = params.get("InstanceType") or filters.get("instance-type") or sorted(self._market.on_demand)
        zones = filters.get("availability-zone") or [params.get("AvailabilityZone") or ""]
        history = [
            {
                "instanceType": name,
                "productDescription": "Linux/UNIX",
                "spotPrice": f"{self._market.spot_price(name, zone):.6f}",
                "timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
                "availabilityZone": zone,
            }
            for name in types
            for zone in self._market.zones
            if zones == [""] or zone in zones
        ]
        return {"spotPriceHistorySet": history, "nextToken": ""}

    def _control(self, environ: dict[str, Any], path: str) -> Answer:
        name, _, rest = path[2:].partition("/")
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        if name not in self.controls:
            return 404, b'{"error": "there is nothing here"}', []
        try:
            content = self.controls[name](environ["REQUEST_METHOD"], rest, json.loads(body or b"{}"))
        except (LookupError, TypeError, ValueError) as error:
            return 400, json.dumps({"error": str(error)}).encode(), []
        return 200, json.dumps(content).encode(), [("Content-Type", "application/json")]


def _state(name: str) -> dict[str, Any]:
    return {"code": STATES[name], "name": name}


def _failed(fault: Fault) -> Answer:
    code, status, message = fault.answer()
    return _refused(Refused(code, message, status))


def _refused(error: Refused) -> Answer:
    return error.status, refusal(error), XML


def _hang_up(environ: dict[str, Any]) -> None:
    """Close the connection: the caller sees that it ended, and nothing else."""
    connection: socket.socket = environ["werkzeug.socket"]
    connection.shutdown(socket.SHUT_RDWR)
