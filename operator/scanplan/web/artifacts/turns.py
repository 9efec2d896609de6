"""Turns of one user at what all users share, such as the few pods that read claims."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

AT_ONCE = 2
MAX_WAITING = 8
"""Of one user, those included that have their turn."""


class TooMany(Exception):
    """The user waits for too much already."""


class Turns:
    """Each user has a few turns at the same time, and a few more that wait; for one event loop."""

    def __init__(self) -> None:
        self._waiting: Counter[str] = Counter()
        self._turns: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    @asynccontextmanager
    async def of(self, user: str) -> AsyncIterator[None]:
        """Wait for a turn of this user.

        Raises:
            TooMany: so much waits already that this can't.
        """
        if self._waiting[user] >= MAX_WAITING:
            raise TooMany
        self._waiting[user] += 1
        turns = self._turns.setdefault(user, asyncio.Semaphore(AT_ONCE))
        try:
            async with turns:
                yield
        finally:
            self._waiting[user] -= 1
            if not self._waiting[user]:
                del self._waiting[user]
