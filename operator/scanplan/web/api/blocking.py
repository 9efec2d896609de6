"""Runs blocking calls (Redis, the API server, files) in threads, so that the event loop is never blocked.

The number of threads and the waiting time of a request are bounded. Where a queue hangs, requests fail after that time instead of
piling up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from scanplan.client.errors import QueueUnavailable

THREADS = 16
WAIT_SECONDS = 30.0

P = ParamSpec("P")
T = TypeVar("T")


class Calls:
    """The threads of one server."""

    def __init__(self, threads: int = THREADS, seconds: float = WAIT_SECONDS) -> None:
        """`seconds`: how long a request waits for the answer of a call."""
        self._pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="api")
        self._seconds = seconds

    async def run(self, call: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
        """The answer of a blocking call.

        Raises:
            QueueUnavailable: it takes too long; it goes on in its thread, and its answer is lost.
        """
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self._pool, lambda: call(*arguments, **options))
        try:
            return await asyncio.wait_for(future, self._seconds)
        except TimeoutError:
            raise QueueUnavailable(f"no answer within {self._seconds:.0f} s") from None

    def close(self) -> None:
        """Let the threads end by themselves."""
        self._pool.shutdown(wait=False, cancel_futures=True)
