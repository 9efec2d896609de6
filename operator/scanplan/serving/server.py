"""Serves an aiohttp application within bounds."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

from aiohttp import web
from aiohttp.http import HttpProcessingError

from scanplan.serving.connections import Connection, Connections, Limits

SHUTDOWN_SECONDS = 20.0
"""Seconds for answers in progress when the server ends."""
EVERYWHERE = "*"
"""Stands for all addresses: pods of an IPv6-only cluster have none of IPv4."""
_NO_FAMILY = {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT}
"""Errors of a machine without one of the families."""
MAX_BODY_BYTES = 32 << 10
_MAX_HEADERS = 64

_log = logging.getLogger("scanplan.http")
# Any client can send invalid HTTP at any rate. It is answered, without a traceback in the log.
_log.addFilter(lambda record: not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError)))


def _everywhere(port: int) -> list[socket.socket]:
    """A bound socket for each family: behind one of both, all IPv4 clients would look like one IPv6 network."""
    found: list[socket.socket] = []
    refusal: OSError | None = None
    for family, everything in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):  # noqa: S104
        try:
            found.append(socket.create_server((everything, port), family=family))
        except OSError as error:
            if error.errno not in _NO_FAMILY:
                for each in found:
                    each.close()
                raise
            refusal = error
        else:
            port = found[0].getsockname()[1]
    if not found and refusal is not None:
        raise refusal
    return found


@asynccontextmanager
async def serving(
    application: web.Application, host: str, port: int, limits: Limits | None = None
) -> AsyncIterator[int]:
    """Serve the application for as long as the context lasts; gives the port.

    Args:
        application: made with `client_max_size=MAX_BODY_BYTES` where it reads bodies.
        host: address to listen on; `EVERYWHERE`: all, of IPv4 and IPv6.
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
        places: list[dict[str, Any]] = (
            [{"sock": each} for each in _everywhere(port)] if host == EVERYWHERE else [{"host": host, "port": port}]
        )
        servers = [
            await loop.create_server(lambda: Connection(connections, protocols()), **place, backlog=limits.connections)
            for place in places
        ]
        try:
            yield servers[0].sockets[0].getsockname()[1]
        finally:
            for server in servers:
                server.close()
    finally:
        await runner.cleanup()
