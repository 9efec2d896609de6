"""Serves an aiohttp application within bounds."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

from aiohttp import web
from aiohttp.http import HttpProcessingError

from scanplan.serving.connections import Connection, Connections, Limits

SHUTDOWN_SECONDS = 20.0
"""Seconds for answers in progress when the server ends."""
MAX_BODY_BYTES = 32 << 10
_MAX_HEADERS = 64

_log = logging.getLogger("scanplan.http")
# Any client can send invalid HTTP at any rate. It is answered, without a traceback in the log.
_log.addFilter(lambda record: not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError)))


@asynccontextmanager
async def serving(
    application: web.Application, host: str, port: int, limits: Limits | None = None
) -> AsyncIterator[int]:
    """Serve the application for as long as the context lasts; gives the port.

    Args:
        application: made with `client_max_size=MAX_BODY_BYTES` where it reads bodies.
        host: address to listen on.
        port: 0 to 65535; 0: any.

    Raises:
        OSError: the address can't be listened on.
    """
    limits = limits or Limits()
    runner = web.AppRunner(
        application,
        access_log=None,
        logger=_log,
        shutdown_timeout=SHUTDOWN_SECONDS,
        keepalive_timeout=limits.idle_seconds,
        max_headers=_MAX_HEADERS,
        max_line_size=limits.request_bytes,  # `Connection` bounds the sum of headers, and answers without an exception
        max_field_size=limits.request_bytes,
        auto_decompress=False,
    )
    connections = Connections(limits)
    application.middlewares.insert(0, connections.noticed)
    await runner.setup()
    protocols = cast(web.Server, runner.server)
    try:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: Connection(connections, protocols()), host, port, backlog=limits.connections
        )
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
    finally:
        await runner.cleanup()
