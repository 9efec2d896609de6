"""A queue of names with the semantics of client-go's workqueue.

A name is in the queue once, however often it is added. It is never worked on twice at the same time: if it is added while in
work, it comes back after `done`. It can be added for later, where the earliest time wins. Failures come back with exponential
delay, unless the name is added before. Where the server has said how long to stay away (Retry-After), nothing brings a name
back sooner.

Namespaces take turns, so one with thousands of objects, or with slow ones, does not hold up the others. While a namespace has as
many names in work as its share, its others wait, so that one namespace alone can't take all workers.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, OrderedDict, deque
from typing import NamedTuple

BASE_DELAY = 0.1
MAX_DELAY = 15.0
MAX_DOUBLINGS = 16
"""So many doublings are far beyond `MAX_DELAY`. Without a bound, the float would overflow in a night without an API server."""


class ObjectName(NamedTuple):
    """Namespace and name of an object; without a name, the namespace itself."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.name else self.namespace


class WorkQueue:
    """To be used from one event loop."""

    def __init__(self) -> None:
        self.share: int | None = None
        """How many names of one namespace may be in work at the same time; None: any number."""
        self._ready: OrderedDict[str, deque[ObjectName]] = OrderedDict()
        """By namespace, in the order of their turns."""
        self._waiting: set[ObjectName] = set()
        self._working: dict[ObjectName, float] = {}
        """Names in work, and since when."""
        self._timers: dict[ObjectName, asyncio.TimerHandle] = {}
        self._failures: dict[ObjectName, int] = {}
        self._not_before: dict[ObjectName, float] = {}
        """Monotonic times until which names are to be left alone."""
        self._at_work: Counter[str] = Counter()
        """How many names of each namespace are in work."""
        self._idle: deque[asyncio.Future[None]] = deque()
        """Workers that wait for a name."""

    def longest_work(self) -> float:
        """Seconds that the longest work under way has taken; 0 where there is none."""
        return time.monotonic() - min(self._working.values()) if self._working else 0.0

    def __len__(self) -> int:
        return sum(map(len, self._ready.values()))

    def add(self, name: ObjectName) -> None:
        """Have `name` worked on as soon as possible."""
        if (left := self._not_before.get(name, 0.0) - time.monotonic()) > 0:
            self.add_after(name, left)
            return
        timer = self._timers.pop(name, None)
        if timer:
            timer.cancel()
        if name in self._waiting:
            return
        self._waiting.add(name)
        if name not in self._working:
            self._ready.setdefault(name.namespace, deque()).append(name)
            self._wake_worker()

    def add_after(self, name: ObjectName, seconds: float) -> None:
        """Have `name` worked on after a while, unless it is sooner for another reason."""
        loop = asyncio.get_running_loop()
        timer = self._timers.get(name)
        if timer and timer.when() <= loop.time() + seconds:
            return
        if timer:
            timer.cancel()
        self._timers[name] = loop.call_later(seconds, self._due, name)

    def add_failed(self, name: ObjectName, at_least: float = 0.0) -> float:
        """Have `name` tried again after an exponential delay, and not within `at_least` seconds; returns that delay."""
        if at_least:
            self._not_before[name] = time.monotonic() + at_least
        failures = self._failures.get(name, 0)
        self._failures[name] = failures + 1
        delay = max(at_least, min(BASE_DELAY * 2.0 ** min(failures, MAX_DOUBLINGS), MAX_DELAY))
        self.add_after(name, delay)
        return delay

    def failures(self, name: ObjectName) -> int:
        """How often in a row the work on `name` has failed."""
        return self._failures.get(name, 0)

    def forget(self, name: ObjectName) -> None:
        """The work on `name` went well: its next failure starts from the shortest delay."""
        self._failures.pop(name, None)
        self._not_before.pop(name, None)

    async def get(self) -> ObjectName:
        """The next name; call `done` after the work."""
        while (name := self._next()) is None:
            idle: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._idle.append(idle)
            try:
                await idle
            except asyncio.CancelledError:
                if idle.done() and not idle.cancelled():
                    self._wake_worker()  # another one has to take what this one was woken for
                raise
        self._waiting.discard(name)
        self._working[name] = time.monotonic()
        self._at_work[name.namespace] += 1
        return name

    def _next(self) -> ObjectName | None:
        """Take a name of the next namespace in turn that has fewer names in work than its share."""
        for namespace, names in self._ready.items():
            if self.share is None or self._at_work[namespace] < self.share:
                name = names.popleft()
                if names:
                    self._ready.move_to_end(namespace)
                else:
                    del self._ready[namespace]
                return name
        return None

    def _wake_worker(self) -> None:
        while self._idle:
            idle = self._idle.popleft()
            if not idle.done():
                idle.set_result(None)
                return

    def done(self, name: ObjectName) -> None:
        """The work on `name` has ended, well or not."""
        if self._working.pop(name, None) is not None:
            self._at_work[name.namespace] -= 1
            if not self._at_work[name.namespace]:
                del self._at_work[name.namespace]
        if name in self._waiting:
            self._waiting.discard(name)
            self.add(name)
        if self._ready:
            self._wake_worker()  # for what its namespace's share has held back

    def _due(self, name: ObjectName) -> None:
        self._timers.pop(name, None)
        self.add(name)
