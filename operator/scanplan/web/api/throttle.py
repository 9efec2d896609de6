"""Slows down callers who guess tokens, and locks nobody out.

An address may be a proxy in front of many users, so no address is refused. A valid token works whatever others have tried from
the same address. Unknown tokens are reviewed a few at a time. Those of all addresses with many failures share one turn, so
that they cost the API server little and hold up nobody else.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from scanplan.client.errors import QueueUnavailable

FAILURES = 10
"""Of one address within `SECONDS`, after which it counts as guessing."""
SECONDS = 60.0
_AT_ONCE = 4
_WAIT_SECONDS = 30.0
_MAX_ADDRESSES = 4_096


class Throttle:
    """The turns at the review of tokens, and the failures of each address."""

    def __init__(self) -> None:
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._guessing = asyncio.Semaphore(1)

    def guesses(self, address: str) -> bool:
        """Whether so many tokens from this address have been wrong that the next one is a guess too."""
        failed = self._failures.get(address, deque())
        return len(failed) == FAILURES and failed[0] > time.monotonic() - SECONDS

    def failed(self, address: str) -> None:
        """A token from this address was wrong."""
        failed = self._failures.pop(address, None) or deque(maxlen=FAILURES)
        failed.append(time.monotonic())
        self._failures[address] = failed
        while len(self._failures) > _MAX_ADDRESSES:
            self._failures.popitem(last=False)

    @asynccontextmanager
    async def turn(self, address: str) -> AsyncIterator[None]:
        """Wait for a turn at the review of a token.

        Raises:
            QueueUnavailable: too many wait.
        """
        turns = self._guessing if self.guesses(address) else self._turns
        try:
            async with asyncio.timeout(_WAIT_SECONDS):
                await turns.acquire()
        except TimeoutError:
            raise QueueUnavailable("too many tokens wait for their review") from None
        try:
            yield
        finally:
            turns.release()
