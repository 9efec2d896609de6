"""Shares a few threads fairly between all users. The threads read claims through reader pods.

A turn is the use of a thread for one call. It ends when the call does, even if the request was given up. Namespaces take turns,
and so do the users of each. A namespace never gets more threads than it leaves free, so a few slow claims can't hold all threads.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from scanplan.client.errors import QueueUnavailable

THREADS = 8
AT_ONCE = 2
"""Most turns of one user at the same time, each in another namespace."""
MAX_WAITING = 8
"""Requests of one user in one namespace, those included that have their turn."""
MAX_WAITING_IN_NAMESPACE = 32

T = TypeVar("T")


class TooMany(Exception):
    """Too many requests of this user, or in this namespace, wait already."""


class Turns:
    """The threads, and who waits for one of them; for one event loop."""

    def __init__(self, threads: int = THREADS, seconds: float = 300.0) -> None:
        """`seconds`: how long a request waits for its turn and for the answer."""
        self._threads = threads
        self._seconds = seconds
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="reader")
        self._running: Counter[tuple[str, str]] = Counter()
        """By namespace and user."""
        self._waiting: dict[str, dict[str, deque[_Request]]] = {}
        """By namespace and user, in the order in which they get their next turn."""

    async def run(self, namespace: str, user: str, call: Callable[[], T]) -> T:
        """The answer of a blocking call, once it is this user's turn in this namespace.

        Raises:
            TooMany: too many requests wait already.
            QueueUnavailable: it takes too long. A call that has begun keeps its turn until it ends; its answer is lost.
        """
        users = self._waiting.get(namespace, {})
        waiting = len(users.get(user, ())) + self._running[namespace, user]
        if waiting >= MAX_WAITING or sum(map(len, users.values())) >= MAX_WAITING_IN_NAMESPACE:
            raise TooMany
        request = _Request(call, asyncio.get_running_loop())
        self._waiting.setdefault(namespace, {}).setdefault(user, deque()).append(request)
        self._begin()
        try:
            answer: T = await asyncio.wait_for(request.answer, self._seconds)
        except TimeoutError:
            if not request.answer.cancelled():  # the call itself raised it
                raise
            raise QueueUnavailable(f"no answer within {self._seconds:.0f} s") from None
        finally:
            self._forget(namespace, user, request)
        return answer

    def close(self) -> None:
        """Let the threads end by themselves."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _begin(self) -> None:
        """Give turns to those who wait, for as long as somebody may have one."""
        while (chosen := self._next()) is not None:
            namespace, user = chosen
            users = self._waiting.pop(namespace)
            requests = users.pop(user)
            request = requests.popleft()
            if requests:
                users[user] = requests
            if users:
                self._waiting[namespace] = users
            self._running[namespace, user] += 1
            future = self._pool.submit(request.call)
            future.add_done_callback(partial(request.tell, self._ended, chosen, request))

    def _next(self) -> tuple[str, str] | None:
        """Whose turn it is."""
        free = self._threads - self._running.total()
        for namespace, users in self._waiting.items():
            if sum(count for (place, _), count in self._running.items() if place == namespace) >= free:
                continue
            for user in users:
                held = sum(count for (_, who), count in self._running.items() if who == user)
                if held < AT_ONCE and not self._running[namespace, user]:
                    return namespace, user
        return None

    def _ended(self, who: tuple[str, str], request: _Request, done: Future[Any]) -> None:
        self._running[who] -= 1
        if not self._running[who]:
            del self._running[who]
        request.take(done)
        self._begin()

    def _forget(self, namespace: str, user: str, request: _Request) -> None:
        """Remove a request whose caller left before its turn."""
        users = self._waiting.get(namespace, {})
        requests = users.get(user, deque())
        if request in requests:
            requests.remove(request)
            if not requests:
                del users[user]
            if not users:
                del self._waiting[namespace]


class _Request:
    """A call, and the answer that somebody waits for."""

    def __init__(self, call: Callable[[], Any], loop: asyncio.AbstractEventLoop) -> None:
        self.call = call
        self.answer: asyncio.Future[Any] = loop.create_future()
        self._loop = loop

    def tell(self, *what: Any) -> None:
        """Call a function on the event loop, from any thread; nothing where the loop has ended."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(*what)

    def take(self, done: Future[Any]) -> None:
        if self.answer.done() or done.cancelled():
            return
        if error := done.exception():
            self.answer.set_exception(error)
        else:
            self.answer.set_result(done.result())
