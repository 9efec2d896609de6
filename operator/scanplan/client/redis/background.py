"""Work over a Redis connection that goes on beside the operator, and never holds up its end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import redis.asyncio


@asynccontextmanager
async def repeated(
    step: Callable[[], Awaitable[None]], connection: redis.asyncio.Redis, seconds: float
) -> AsyncIterator[None]:
    """Do `step` again and again, as long as the context lasts; then let go of the connection.

    Args:
        step: one turn; it handles its own errors.
        seconds: how long the turn that is under way, and the connection, each may take to end.
    """
    ending = False

    async def run() -> None:
        while not ending:
            await step()

    task = asyncio.create_task(run())
    try:
        yield
    finally:
        # The flag as well: redis-py can turn a cancellation in the middle of a command into an error of its own.
        ending = True
        task.cancel()
        await asyncio.wait({task}, timeout=seconds)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await connection.aclose()
