"""Small HTTP servers inside the operator's process: probes and metrics."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence

from aiohttp import web


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
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, "0.0.0.0", port).start()  # noqa: S104 - kubelet and Prometheus are outside of the pod
        except OSError as error:
            raise CannotListen(f"{setting}: port {port} can't be listened on: {error.strerror}") from error
        yield
    finally:
        await runner.cleanup()
