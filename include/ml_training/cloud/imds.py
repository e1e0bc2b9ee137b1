"""What a machine knows of itself: the instance metadata service, version 2.

    metadata = Metadata()
    metadata.get("instance-id")         # 'i-0abc...', None where there is no such service
    metadata.notice()                   # SpotNotice(action='terminate', at=...) two minutes before it is taken away
    metadata.rebalance()                # when EC2 said that it may be soon

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html
"""

import json
import time
import urllib.error
import urllib.request
from datetime import datetime
from typing import NamedTuple

from ml_training.config.settings import read_settings

TIMEOUT_SECONDS = 2.0
TOKEN_SECONDS = 600
MISSING = "none"  # the name of a machine that has no metadata service


class SpotNotice(NamedTuple):
    """EC2 takes the machine back at this time."""

    action: str  # terminate, stop or hibernate
    at: datetime


class MachineFacts(NamedTuple):
    """What a record says of a machine; None where nobody answers."""

    instance_id: str
    instance_type: str | None
    zone: str | None
    market: str | None  # spot or on-demand


class Metadata:
    """Asks the metadata service; None is always "it has not said so", never "it is not so"."""

    def __init__(self, endpoint: str | None = None) -> None:
        self._endpoint = (endpoint or read_settings().metadata_endpoint).rstrip("/")
        self._open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
        self._token, self._token_ends = "", 0.0

    def get(self, path: str) -> str | None:
        """Return what stands at a path below ``meta-data``, None where nothing does or nobody answers."""
        try:
            headers = {"X-aws-ec2-metadata-token": self._fresh_token()}
            return self._ask("GET", f"meta-data/{path}", headers)
        except urllib.error.HTTPError as error:
            if error.code == 401:
                self._token_ends = 0.0
            return None
        except (OSError, ValueError):
            return None

    def facts(self) -> MachineFacts:
        """Return what this machine is."""
        return MachineFacts(
            self.get("instance-id") or MISSING,
            self.get("instance-type"),
            self.get("placement/availability-zone"),
            self.get("instance-life-cycle"),
        )

    def notice(self) -> SpotNotice | None:
        """Return EC2's word that it takes the machine back."""
        said = _object(self.get("spot/instance-action"))
        try:
            return SpotNotice(str(said["action"]), datetime.fromisoformat(str(said["time"])))
        except (KeyError, ValueError):
            return None

    def rebalance(self) -> str | None:
        """Return when EC2 said that the machine is more likely than before to be taken back."""
        return _object(self.get("events/recommendations/rebalance")).get("noticeTime")

    def _fresh_token(self) -> str:
        if time.monotonic() >= self._token_ends:
            asked = {"X-aws-ec2-metadata-token-ttl-seconds": str(TOKEN_SECONDS)}
            self._token = self._ask("PUT", "api/token", asked)
            self._token_ends = time.monotonic() + TOKEN_SECONDS / 2
        return self._token

    def _ask(self, method: str, path: str, headers: dict[str, str]) -> str:
        request = urllib.request.Request(f"{self._endpoint}/latest/{path}", headers=headers, method=method)
        with self._open(request, timeout=TIMEOUT_SECONDS) as answer:
            return str(answer.read().decode())


def _object(text: str | None) -> dict[str, str]:
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
