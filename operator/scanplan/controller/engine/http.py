"""Small HTTP servers inside the operator's process: probes and metrics."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence

from aiohttp import web

from scanplan.serving import server
from scanplan.serving.connections import Limits

_LIMITS = Limits(connections=64, per_address=32, request_bytes=8 << 10)


class CannotListen(Exception):
    """A port is taken, or may not be listened on; the message names the setting."""


@contextlib.asynccontextmanager
async def serving(routes: Sequence[web.RouteDef], port: int, setting: str) -> AsyncIterator[None]:
    """Answer these routes on all addresses while the context lasts; port 0: don't.

    Args:
        routes: what is answered.
        port: 0 to 65535.
        setting: the environment variable that has the port, for the message.

    Raises:
        CannotListen: the port is taken, or too low for this user.
    """
    if not port:
        yield
        return
    application = web.Application()
    application.add_routes(routes)
    async with contextlib.AsyncExitStack() as stack:
        try:  # kubelet and Prometheus are outside of the pod
            await stack.enter_async_context(server.serving(application, server.EVERYWHERE, port, _LIMITS))
        except OSError as error:
            raise CannotListen(f"{setting}: port {port} can't be listened on: {error.strerror}") from error
        yield
