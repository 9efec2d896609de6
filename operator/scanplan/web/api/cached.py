"""Caches an expensive answer for some seconds. Callers at the same time share one request for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Cached(Generic[T]):
    """One answer, or the error instead of it, for everybody."""

    def __init__(self, ask: Callable[[], Awaitable[T]], seconds: float) -> None:
        """`seconds`: how long it is kept."""
        self._ask = ask
        self._seconds = seconds
        self._until = 0.0
        self._asking: asyncio.Task[T] | None = None

    async def get(self) -> T:
        """The answer, or what `ask` has raised instead."""
        if self._asking is None or (self._asking.done() and time.monotonic() >= self._until):
            self._asking = asyncio.create_task(self._once())
        return await asyncio.shield(self._asking)  # who goes away takes it from nobody else

    async def _once(self) -> T:
        try:
            return await self._ask()
        finally:
            self._until = time.monotonic() + self._seconds
