"""How web endpoints answer while Nuclei scans them: their status codes, by a request of ours now and then.

Nuclei's logs hold no status codes (decision 8). So a target that throttles the scan (429), is out of service (502 to 504), or
blocks the scanner (403) looks like one that answers. Each endpoint that has answered Nuclei by HTTP is asked for its root every
few seconds, and once more at the end of a run (`runner.nuclei.judging.probe`).
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
import uuid
from collections.abc import Callable, Collection, Sequence
from urllib.parse import urlsplit

from scanplan.runner.nuclei.judging.evidence import FORBIDDEN, Answers, address

INTERVAL_SECONDS = 1.0
"""At most one check in so long, while Nuclei runs."""
AGAIN_SECONDS = 5.0
"""An endpoint is not asked again sooner, while Nuclei runs."""
LAST_SECONDS = 5.0
"""So long the checks at the end of a run may take."""
_THREADS = 8

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
        self._due_at: float | None = None
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
        if not self._during or not web:
            return
        if self._due_at is None:  # what ends within a second is asked at the end
            self._due_at = now + INTERVAL_SECONDS
        if now < self._due_at:
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
        return [endpoint for endpoint in self._endpoints if any(name in web for name, _ in places(endpoint))]

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


def places(endpoint: str) -> list[tuple[str, str]]:
    """Where an endpoint may answer by HTTP: ``host:port`` and scheme, the likelier one first."""
    if "://" in endpoint:
        return [(address(endpoint), urlsplit(endpoint).scheme)]
    name = address(endpoint)
    host, _, port = name.rpartition(":")
    if not (host and port.isdigit()):
        return [(f"{name}:443", "https"), (f"{name}:80", "http")]
    return [(name, "https"), (name, "http")] if port in {"443", "8443"} else [(name, "http"), (name, "https")]
