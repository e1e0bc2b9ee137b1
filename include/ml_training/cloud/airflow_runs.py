"""Asks Airflow's API whether a run has ended; what it does not say for certain is not known.

    runs = AirflowRuns("https://airflow.example", token="...")
    runs.ended_at("nightly_retraining", "scheduled__2026-11-23T02:00:00+00:00")    # a time, or None: alive, or unknown

Only an answer that names the run, its final state and the time of its end counts. No answer, an error, a login that is
refused, another Airflow that does not know the run: all of them are None.
"""

import json
import logging
import urllib.error
import urllib.request
from datetime import datetime
from typing import Any
from urllib.parse import quote

from ml_training.config.settings import read_settings

TIMEOUT_SECONDS = 10.0
FINAL_STATES = ("success", "failed")

logger = logging.getLogger(__name__)


class AirflowRuns:
    """The runs of one Airflow; after the first failure it is not asked again."""

    def __init__(
        self, url: str, *, token: str | None = None, user: str | None = None, password: str | None = None
    ) -> None:
        self._url = url.rstrip("/")
        self._token, self._user, self._password = token, user, password
        self.failure: str | None = None

    def ended_at(self, dag_id: str, run_id: str) -> datetime | None:
        """Return when a run ended; None while it lives, or when that cannot be known."""
        if self.failure:
            return None
        try:
            found = self._get(f"/api/v2/dags/{quote(dag_id, safe='')}/dagRuns/{quote(run_id, safe='')}")
            if found["dag_run_id"] != run_id or found["state"] not in FINAL_STATES:
                return None
            ended = datetime.fromisoformat(found["end_date"].replace("Z", "+00:00"))
        except urllib.error.HTTPError as error:
            if error.code != 404:  # another Airflow's run, or one that was deleted
                self._fail(error)
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            self._fail(error)
            return None
        return ended if ended.tzinfo else None

    def _fail(self, error: Exception) -> None:
        self.failure = f"Airflow at {self._url} cannot be asked: {type(error).__name__}: {error}"
        logger.warning("%s", self.failure)

    def _get(self, path: str) -> Any:
        if self._token is None and self._user:
            login = {"username": self._user, "password": self._password or ""}
            self._token = self._send("/auth/token", login)["access_token"]
        return self._send(path)

    def _send(self, path: str, content: Any = None) -> Any:
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        data = None if content is None else json.dumps(content).encode()
        with urllib.request.urlopen(
            urllib.request.Request(self._url + path, data=data, headers=headers), timeout=TIMEOUT_SECONDS
        ) as answer:
            return json.loads(answer.read())


def airflow_runs() -> AirflowRuns | None:
    """Return the Airflow that the environment names, None when it names none."""
    settings = read_settings()
    if not settings.airflow_url:
        return None
    return AirflowRuns(
        settings.airflow_url,
        token=settings.airflow_token,
        user=settings.airflow_user,
        password=settings.airflow_password,
    )
