"""Plain HTTP for the agent: metadata for the update client, files with resume, all counted and bounded.

    network = Network(limiter, budget)
    updater = Updater(..., fetcher=network, ...)      # metadata passes through here too
    network.download(url, length, path)               # goes on where an interrupted one stopped
    network.server_date                               # of the last answer

Nothing is read past the length that is signed, and nothing waits longer than ``TIMEOUT_SECONDS`` for a byte.
"""

import os
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import urllib3
from tuf.api.exceptions import DownloadHTTPError, SlowRetrievalError
from tuf.ngclient import FetcherInterface

from ml_training.edge.agent.budget import Budget, RateLimiter
from ml_training.utils.errors import DeliveryUnreachable, UpdateRefused

TIMEOUT_SECONDS = 30.0
CHUNK_BYTES = 16_384
USER_AGENT = "adbreak-agent/1"
# Retry-After is not believed: urllib3 would read that answer to its end, and wait for as long as the server likes.
RETRIES = urllib3.Retry(2, redirect=0, backoff_factor=0.2, respect_retry_after_header=False)


class Network(FetcherInterface):
    """One connection pool; ``requests``, ``received_bytes`` and ``sent_bytes`` count what passed."""

    def __init__(self, limiter: RateLimiter, budget: Budget, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._limiter, self._budget = limiter, budget
        self._timeout = urllib3.Timeout(timeout_seconds)
        self._pools: dict[str, Any] = {}
        self.server_date: str | None = None
        self.requests = self.received_bytes = self.sent_bytes = 0

    def _fetch(self, url: str) -> Iterator[bytes]:
        """Yield the body of a GET; the interface of tuf.ngclient."""
        answer = self._open("GET", url)
        if answer.status >= 400:
            self._dismiss(answer)
            raise DownloadHTTPError(f"{url} answers HTTP {answer.status}", answer.status)
        return self._body(answer)

    def download(self, url: str, length: int, path: Path) -> bool:
        """Fetch ``length`` bytes into ``path``; what an interrupted download left there is kept and gone on from.

        Returns whether it went on from such a part. Raises UpdateRefused when the server sends more than ``length``,
        DeliveryUnreachable when it sends less, or nothing.
        """
        have = path.stat().st_size if path.exists() else 0
        if have > length:
            path.unlink()
            have = 0
        if have == length:
            return True
        answer = self._get_from(url, have)
        if have and not (answer.status == 206 and _starts_at(answer, have)):
            have = 0
            if answer.status != 200:
                answer.close()
                answer = self._get_from(url, 0)
        if answer.status not in (200, 206):
            answer.close()
            raise DeliveryUnreachable(f"{url} answers HTTP {answer.status}: the file is not there, or not to be read")
        self._save(answer, path, have, length)
        return have > 0

    def post(self, url: str, fields: dict[str, Any]) -> int:
        """Send a form; returns the HTTP status. Raises DeliveryUnreachable when nothing answers."""
        body, content_type = urllib3.encode_multipart_formdata(fields)
        headers = {"Content-Type": content_type}
        answer = self._open("POST", url, headers=headers, body=body)
        self.sent_bytes += len(body)
        self._dismiss(answer)
        return int(answer.status)

    def close(self) -> None:
        """Close the connections, give back what was reserved of the day's bytes."""
        for pool in self._pools.values():
            pool.clear()
        self._budget.close()

    def _get_from(self, url: str, start: int) -> Any:
        return self._open("GET", url, headers={"Range": f"bytes={start}-"} if start else {})

    def _open(self, method: str, url: str, *, headers: dict[str, str] | None = None, body: bytes | None = None) -> Any:
        self.requests += 1
        try:
            answer = self._pool(url).request(
                method, url, body=body, headers={"User-Agent": USER_AGENT, **(headers or {})}, timeout=self._timeout,
                preload_content=False, retries=RETRIES, redirect=False, decode_content=False,
            )  # fmt: skip
        except urllib3.exceptions.HTTPError as error:
            raise DeliveryUnreachable(f"{_host(url)} does not answer: {_reason(error)}") from error
        self.server_date = answer.headers.get("Date", self.server_date)
        return answer

    def _dismiss(self, answer: Any) -> None:
        """Be done with an answer; only after a short one its connection serves again."""
        try:
            size = len(answer.read(CHUNK_BYTES))
        except urllib3.exceptions.HTTPError:  # which closed it
            size = 0
        self.received_bytes += size
        if size == CHUNK_BYTES:
            answer.close()
        answer.release_conn()

    def _body(self, answer: Any) -> Iterator[bytes]:
        try:
            while chunk := answer.read(CHUNK_BYTES):
                self._count(len(chunk))
                yield chunk
        except urllib3.exceptions.TimeoutError as error:
            raise SlowRetrievalError from error
        except urllib3.exceptions.HTTPError as error:
            raise DeliveryUnreachable(f"the connection broke: {_reason(error)}") from error
        finally:
            answer.release_conn()

    def _save(self, answer: Any, path: Path, have: int, length: int) -> None:
        try:
            with open(path, "ab" if have else "wb") as file:
                for chunk in self._body(answer):
                    have += len(chunk)
                    if have > length:
                        raise UpdateRefused(
                            f"{path.name} is longer than the {length} bytes that are signed: the rest was not read",
                            kind="longer",
                        )
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
        except UpdateRefused:
            answer.close()
            path.unlink()
            raise
        except SlowRetrievalError as error:
            raise DeliveryUnreachable(f"{path.name}: no byte came for {TIMEOUT_SECONDS:g} s") from error
        if have < length:
            raise DeliveryUnreachable(f"{path.name}: {have} of {length} bytes came; it goes on from there")

    def _count(self, size: int) -> None:
        self._budget.spend(size)
        self._limiter.wait_for(size)
        self.received_bytes += size

    def _pool(self, url: str) -> Any:
        parts = urlsplit(url)
        proxies = urllib.request.getproxies()
        proxy = None if urllib.request.proxy_bypass(parts.hostname or "") else proxies.get(parts.scheme)
        if (key := proxy or "") not in self._pools:
            self._pools[key] = urllib3.ProxyManager(proxy) if proxy else urllib3.PoolManager()
        return self._pools[key]


def _starts_at(answer: Any, start: int) -> bool:
    return str(answer.headers.get("Content-Range", "")).startswith(f"bytes {start}-")


def _host(url: str) -> str:
    return urlsplit(url).netloc


def _reason(error: Exception) -> str:
    inner = getattr(error, "reason", None) or error
    return str(inner).rsplit(">: ", maxsplit=1)[-1] or type(inner).__name__
