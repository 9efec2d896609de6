"""Serves the operator's metrics on their own port. They hold numbers only, and need no token."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from scanplan.controller.engine import http


def serving(collector: Collector, port: int) -> AbstractAsyncContextManager[None]:
    """Serve GET /metrics on all addresses while the context lasts. Port 0 turns it off.

    Raises:
        CannotListen: the port is taken.
    """
    registry = CollectorRegistry()
    registry.register(collector)

    async def scrape(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return http.serving([web.get("/metrics", scrape)], port, "SCANPLAN_METRICS_PORT")
