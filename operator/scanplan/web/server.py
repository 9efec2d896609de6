"""Runs the API as a process of its own, so that load on the API takes no memory or time from the operator."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from scanplan.client.settings import ClientSettings
from scanplan.serving.connections import Limits
from scanplan.serving.server import serving
from scanplan.web.application import build
from scanplan.web.settings import ApiSettings, Authentication

log = logging.getLogger("scanplan.api")


@asynccontextmanager
async def running(settings: ClientSettings, api_settings: ApiSettings) -> AsyncIterator[int]:
    """The API, for as long as the context lasts; gives the port.

    Raises:
        ClientError: the queue can't be made, or there is no cluster to decide about access.
        OSError: the address can't be listened on.
    """
    application = await asyncio.to_thread(build, settings, api_settings)
    limits = Limits(connections=api_settings.connections, per_address=api_settings.connections_per_address)
    async with serving(application, api_settings.host, api_settings.port, limits) as port:
        if api_settings.authentication is Authentication.NONE:
            log.warning("SCANPLAN_API_AUTHENTICATION=none: whoever reaches port %d reads everything", port)
        log.info("the API listens on %s, port %d, for the %s queue", api_settings.host, port, settings.queue_type.value)
        yield port


async def serve(settings: ClientSettings, api_settings: ApiSettings) -> None:
    """Run the API until SIGTERM or SIGINT. Raises as `running`."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, stop.set)
    async with running(settings, api_settings):
        await stop.wait()
