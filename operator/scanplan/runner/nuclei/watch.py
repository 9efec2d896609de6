"""How web endpoints answer while Nuclei scans them: their status codes, by a request of ours now and then.

Nuclei's logs hold no status codes (decision 8). So a target that throttles the scan (429), is out of service (503), or blocks
the scanner (403) looks like one that answers. Each endpoint that has answered Nuclei by HTTP is asked for its root every few
seconds, and once more at the end of a run. The target guard holds here as it does in Nuclei.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from urllib.parse import urlsplit

from scanplan.core.planning.guard import Guard
from scanplan.runner.nuclei import knock
from scanplan.runner.nuclei.evidence import FORBIDDEN, Answers, address

INTERVAL_SECONDS = 1.0
"""At most one check in so long, while Nuclei runs."""
AGAIN_SECONDS = 5.0
"""An endpoint is not asked again sooner, while Nuclei runs."""
LAST_SECONDS = 5.0
"""So long the checks at the end of a run may take."""
_TIMEOUT_SECONDS = 5.0
_THREADS = 8
_HEADERS = {"User-Agent": "Mozilla/5.0 (compatible; ScanPlan)", "Accept": "*/*", "Connection": "close"}

Ask = Callable[[str, str], int | None]
"""Asks an endpoint for a path; its status code, or None where no answer came."""


class Watch:
    """Asks the endpoints of one run of Nuclei. Its threads end with `finish`."""

    def __init__(self, endpoints: Sequence[str], ask: Ask, *, during: bool) -> None:
        """With `during`, endpoints are asked while Nuclei runs, not only at its end."""
        self.answers: dict[str, Answers] = {}
        """By endpoint; those that were never asked, or gave no answer, are not in it."""
        self.requests = 0
        self._ask = ask
        self._during = during
        self._endpoints = list(endpoints)
        self._asked: dict[str, float] = {}
        self._due_at = 0.0
        self._paths: dict[str, str] = {}
        self._pending = 0
        self._wanted: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._come: queue.SimpleQueue[tuple[str, list[int | None]]] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []

    def tick(self, now: float, web: Collection[str]) -> None:
        """Ask the endpoint whose turn it is.

        Args:
            now: the monotonic clock.
            web: ``host:port`` of all that have answered Nuclei by HTTP.
        """
        self._collect()
        if not self._during or now < self._due_at:
            return
        waiting = [each for each in self._of(web) if now - self._asked.get(each, -AGAIN_SECONDS) >= AGAIN_SECONDS]
        if waiting:
            self._due_at = now + INTERVAL_SECONDS
            self._want(min(waiting, key=lambda each: self._asked.get(each, float("-inf"))), now)

    def finish(self, now: float, web: Collection[str]) -> None:
        """Ask all of them once more, those first that were asked longest ago; waits at most `LAST_SECONDS`."""
        for endpoint in sorted(self._of(web), key=lambda each: self._asked.get(each, float("-inf"))):
            self._want(endpoint, now)
        limit = now + LAST_SECONDS
        while self._pending and (left := limit - time.monotonic()) > 0:
            with contextlib.suppress(queue.Empty):
                self._take(*self._come.get(timeout=left))
        while True:  # what nobody has begun is left out
            try:
                self._wanted.get_nowait()
            except queue.Empty:
                break
        for _ in self._threads:
            self._wanted.put(None)

    def _of(self, web: Collection[str]) -> list[str]:
        return [endpoint for endpoint in self._endpoints if any(name in web for name, _ in _places(endpoint))]

    def _want(self, endpoint: str, now: float) -> None:
        self._asked[endpoint] = now
        self._pending += 1
        self._wanted.put(endpoint)
        if len(self._threads) < min(_THREADS, self._pending):
            self._threads.append(threading.Thread(target=self._work, daemon=True))
            self._threads[-1].start()

    def _work(self) -> None:
        while (endpoint := self._wanted.get()) is not None:
            path = self._paths.setdefault(endpoint, "/")
            statuses = [self._ask(endpoint, path)]
            if statuses == [FORBIDDEN] and path == "/":  # a root that nobody may list is no block
                self._paths[endpoint] = f"/{uuid.uuid4().hex[:12]}"
                statuses.append(self._ask(endpoint, self._paths[endpoint]))
            self._come.put((endpoint, statuses))

    def _collect(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                self._take(*self._come.get_nowait())

    def _take(self, endpoint: str, statuses: Sequence[int | None]) -> None:
        self._pending -= 1
        self.requests += len(statuses)
        if (status := statuses[-1]) is not None:
            self.answers.setdefault(endpoint, Answers()).take(status)


def asking(guard: Guard, headers: Mapping[str, str], timeout: float) -> Ask:
    """Asks by HTTP, as Nuclei would: with the plan's headers, without a look at certificates.

    Args:
        guard: what must not be dialled.
        timeout: seconds for each step of a connection.
    """
    import http.client  # noqa: PLC0415 - a runner that replays starts without
    import ssl  # noqa: PLC0415

    context = ssl._create_unverified_context()  # noqa: S323 - a scanner's targets have any certificate
    named = {name.lower() for name in headers}
    sent = {name: value for name, value in _HEADERS.items() if name.lower() not in named} | dict(headers)

    def ask(endpoint: str, path: str) -> int | None:
        for name, scheme in _places(endpoint):
            host, _, port = name.rpartition(":")
            try:
                plain = knock.connected(host.strip("[]"), int(port), guard, min(timeout, _TIMEOUT_SECONDS))
                if plain is None:
                    continue
                with plain:
                    secure = (
                        context.wrap_socket(plain, server_hostname=host.strip("[]")) if scheme == "https" else plain
                    )
                    with secure:
                        connection = http.client.HTTPConnection(host.strip("[]"), int(port))
                        connection.sock = secure
                        connection.request("GET", path, headers={"Host": _host_header(name, scheme)} | sent)
                        return connection.getresponse().status
            except (OSError, ValueError, http.client.HTTPException):
                continue
        return None

    return ask


def _places(endpoint: str) -> list[tuple[str, str]]:
    """Where an endpoint may answer by HTTP: ``host:port`` and scheme, the likelier one first."""
    if "://" in endpoint:
        return [(address(endpoint), urlsplit(endpoint).scheme)]
    name = address(endpoint)
    host, _, port = name.rpartition(":")
    if not (host and port.isdigit()):
        return [(f"{name}:443", "https"), (f"{name}:80", "http")]
    return [(name, "https"), (name, "http")] if port in {"443", "8443"} else [(name, "http"), (name, "https")]


def _host_header(name: str, scheme: str) -> str:
    return name.removesuffix(":443" if scheme == "https" else ":80")
