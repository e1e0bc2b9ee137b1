"""A small client of Airflow's REST API; the command line of Airflow takes 5 s a call, this takes 20 ms.

api = AirflowApi("http://127.0.0.1:8080", "admin", password)
run_id = api.trigger("ingest_recordings", {"source": "recordings"})
api.run("ingest_recordings", run_id)["state"]
"""

import http.client
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any

from local_stack.errors import StackError

FINISHED = {"success", "failed"}
ATTEMPTS = 4


class ApiError(StackError):
    """Airflow answered with an error; ``status`` is the HTTP status, 0 when nothing answered."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class AirflowApi:
    """Talks to one API server; fetches its own token."""

    def __init__(self, url: str, user: str, password: str) -> None:
        self.url = url.rstrip("/")
        self._credentials = {"username": user, "password": password}
        self._token: str | None = None

    def health(self) -> dict[str, Any]:
        """Return the state of the metadata database, scheduler, triggerer and DAG processor."""
        return dict(self._send("GET", "/api/v2/monitor/health", None, attempts=1))

    def dags(self) -> dict[str, bool]:
        """Return the id of every DAG with whether it is paused."""
        return {dag["dag_id"]: dag["is_paused"] for dag in self.call("GET", "dags?limit=500")["dags"]}

    def import_errors(self) -> dict[str, str]:
        """Return the trace of every DAG file that cannot be imported."""
        errors = self.call("GET", "importErrors?limit=100")["import_errors"]
        return {error["filename"]: error["stack_trace"] for error in errors}

    def unpause(self, dag_id: str) -> None:
        """Let a DAG's schedule start runs."""
        self.call("PATCH", f"dags/{dag_id}?update_mask=is_paused", {"is_paused": False})

    def set_pool(self, name: str, slots: int, description: str) -> None:
        """Create or change a pool."""
        body = {"name": name, "slots": slots, "description": description, "include_deferred": False}
        try:
            self.call("PATCH", f"pools/{name}", body)
        except ApiError as error:
            if error.status != 404:
                raise
            self.call("POST", "pools", body)

    def trigger(self, dag_id: str, conf: Mapping[str, Any]) -> str:
        """Start a run of a DAG and return its id."""
        return str(self.call("POST", f"dags/{dag_id}/dagRuns", {"logical_date": None, "conf": conf})["dag_run_id"])

    def backfill(self, dag_id: str, from_date: str, to_date: str, **options: Any) -> dict[str, Any]:
        """Start a backfill; ``options`` as in the REST API: run_backwards, max_active_runs, dag_run_conf, ...

        SQLite refuses (503) while the scheduler writes, and then nothing has been made: asked again.
        """
        body = _backfill(dag_id, from_date, to_date, options)
        for attempt in range(1, ATTEMPTS):
            try:
                return dict(self.call("POST", "backfills", body))
            except ApiError as error:
                if error.status != 503:
                    raise
                time.sleep(attempt)
        return dict(self.call("POST", "backfills", body))

    def backfill_dry_run(self, dag_id: str, from_date: str, to_date: str, **options: Any) -> list[str]:
        """Return the dates for which such a backfill would make a run."""
        answer = self.call("POST", "backfills/dry_run", _backfill(dag_id, from_date, to_date, options))
        return [run["logical_date"] for run in answer["backfills"]]

    def run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        """Return a run's state, dates and conf."""
        return dict(self.call("GET", f"dags/{dag_id}/dagRuns/{_quote(run_id)}"))

    def runs(
        self, dag_id: str = "~", *, states: tuple[str, ...] = (), after: str | None = None
    ) -> list[dict[str, Any]]:
        """Return the newest runs of a DAG (``~``: of all), of some states, that were to start after a time."""
        query = [("limit", "100"), ("order_by", "-run_after"), *(("state", state) for state in states)]
        if after:
            query.append(("run_after_gte", after))
        return list(self.call("GET", f"dags/{dag_id}/dagRuns?{urllib.parse.urlencode(query)}")["dag_runs"])

    def fail_run(self, dag_id: str, run_id: str, note: str) -> None:
        """Mark a run failed; Airflow ends its running tasks."""
        self.call("PATCH", f"dags/{dag_id}/dagRuns/{_quote(run_id)}", {"state": "failed", "note": note})

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Return the task instances of a run."""
        path = f"dags/{dag_id}/dagRuns/{_quote(run_id)}/taskInstances?limit=500"
        return list(self.call("GET", path)["task_instances"])

    def result(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> Any:
        """Return what a task instance returned, or None when it returned nothing."""
        path = f"dags/{dag_id}/dagRuns/{_quote(run_id)}/taskInstances/{_quote(task_id)}/xcomEntries/return_value"
        try:
            return self.call("GET", f"{path}?map_index={map_index}&deserialize=true")["value"]
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Call ``/api/v2/<path>`` with a token, a fresh one when it has expired. Raises ApiError."""
        if self._token is not None:
            try:
                return self._send(method, f"/api/v2/{path}", body)
            except ApiError as error:
                if error.status != 401:
                    raise
        self._token = self._send("POST", "/auth/token", self._credentials)["access_token"]
        return self._send(method, f"/api/v2/{path}", body)

    def _send(self, method: str, path: str, body: Any, attempts: int = ATTEMPTS) -> Any:
        for attempt in range(1, attempts + 1):
            try:
                return self._send_once(method, path, body)
            except ApiError as error:
                transient = error.status == 0 or error.status >= 500
                repeatable = method != "POST" or path == "/auth/token"
                if attempt == attempts or not (transient and repeatable):
                    raise
                time.sleep(attempt)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _send_once(self, method: str, path: str, body: Any) -> Any:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self._token and path.startswith("/api"):
            headers["Authorization"] = f"Bearer {self._token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, headers=headers, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=30) as response:
                return json.loads(response.read() or b"null")
        except urllib.error.HTTPError as error:
            detail = error.read().decode(errors="replace")[:500]
            raise ApiError(f"Airflow answered {error.code} to {method} {path}: {detail}", error.code) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ApiError(f"Airflow does not answer {method} {path}: {error}", 0) from error


def _backfill(dag_id: str, from_date: str, to_date: str, options: Mapping[str, Any]) -> dict[str, Any]:
    return {"dag_id": dag_id, "from_date": f"{from_date}T00:00:00Z", "to_date": f"{to_date}T00:00:00Z", **options}


def _quote(text: str) -> str:
    return urllib.parse.quote(text, safe="")
