"""Serves the operator's metrics on their own port. They hold numbers only, and need no token."""

from __future__ import annotations

import time
from contextlib import AbstractAsyncContextManager

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from scanplan.controller.engine import http

_KEPT_TIMES = 10.0
"""The text is kept for so many times as long as it took to make."""


def serving(collector: Collector, port: int) -> AbstractAsyncContextManager[None]:
    """Serve GET /metrics on all addresses while the context lasts. Port 0 turns it off.

    Raises:
        CannotListen: the port is taken.
    """
    page = _Page(collector)

    async def scrape(_: web.Request) -> web.Response:
        return web.Response(body=page.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return http.serving([web.get("/metrics", scrape)], port, "SCANPLAN_METRICS_PORT")


class _Page:
    """The metrics as text, kept for a while: whoever asks all the time takes little of the operator's."""

    def __init__(self, collector: Collector) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(collector)
        self._text = b""
        self._fresh_until = 0.0

    def text(self) -> bytes:
        began = time.monotonic()
        if began >= self._fresh_until:
            self._text = generate_latest(self._registry)
            ended = time.monotonic()
            self._fresh_until = ended + _KEPT_TIMES * (ended - began)
        return self._text
