"""Server-sent events to a viewer whose right to them is asked about again and again."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from aiohttp import web

from scanplan.client.errors import QueueUnavailable
from scanplan.web.ui.events import event

HEARTBEAT_SECONDS = 15.0
"""Seconds between two heartbeats of a stream. At each one the right to watch is checked again."""
_HEARTBEAT = b": here\n\n"
_HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
    "X-Content-Type-Options": "nosniff",
}


async def stream(
    request: web.Request, events: asyncio.Queue[bytes | None], check: Callable[[], Awaitable[None]]
) -> web.StreamResponse:
    """Send encoded events until None comes, the viewer leaves, or the right ends.

    Args:
        check: asks whether the viewer may still watch. No event is sent while it asks. It may take longer than a heartbeat: were
            it ended then, it would begin anew each time, and a right would never end. Raises web.HTTPException if not, and
            QueueUnavailable where Kubernetes does not answer.
    """
    response = web.StreamResponse(headers=_HEADERS)
    await response.prepare(request)
    # Who has gone away is noticed when it is written to; where Kubernetes doesn't answer, the browser connects again.
    with contextlib.suppress(ConnectionError, QueueUnavailable):
        await _send(response, events, check)
    return response


async def _send(
    response: web.StreamResponse, events: asyncio.Queue[bytes | None], check: Callable[[], Awaitable[None]]
) -> None:
    while True:
        try:
            await _with_heartbeats(response, check())
        except web.HTTPException as refused:
            await response.write(event("refused", {"status": refused.status, "detail": refused.text}))
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HEARTBEAT_SECONDS):
                while (what := await events.get()) is not None:
                    await response.write(what)
                return
        await response.write(_HEARTBEAT)


async def _with_heartbeats(response: web.StreamResponse, work: Awaitable[None]) -> None:
    """Wait for some work, and write a heartbeat whenever one is due."""
    task = asyncio.ensure_future(work)
    try:
        while not (await asyncio.wait({task}, timeout=HEARTBEAT_SECONDS))[0]:
            await response.write(_HEARTBEAT)
        await task
    finally:
        task.cancel()
