"""Runs background work over a Redis connection. It never delays the end of the operator."""

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
    """Repeat `step` while the context lasts, then close the connection.

    Args:
        step: one turn; it handles its own errors.
        seconds: time limit for the last turn to end, and for the connection to close.
    """
    stopping = False

    async def run() -> None:
        while not stopping:
            await step()

    task = asyncio.create_task(run())
    try:
        yield
    finally:
        # Check the flag too: redis-py can turn a cancellation during a command into an error of its own.
        stopping = True
        task.cancel()
        await asyncio.wait({task}, timeout=seconds)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await connection.aclose()
