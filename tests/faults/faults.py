"""The faults that the proxy can be told: each a few lines, each as general as its row needs.

A death is a SIGKILL around a write, chosen by what has been written so far; the rest are lost answers, refusals, silence, and
streams that lag, tear, double, skip or contradict themselves.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Callable, Container
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.faults.proxy import Call, Dropped, Fault, Forward, Reply, Torn

Side = Literal["before", "after"]
How = Literal["before", "after", "lost"]
HOWS: tuple[How, ...] = ("before", "after", "lost")


class Around(Fault):
    """Does something at every write of a life, once each: what was written until then tells one write from another.

    A write that is tried again after it went wrong is therefore let through; one that only a restart brings about is met too.
    """

    def __init__(self, only: int | None = None) -> None:
        """`only`: the number of the one write that is meant; None: every one."""
        self._only = only
        self._written = 0
        self._met: set[tuple[int, str]] = set()

    @property
    def met(self) -> list[str]:
        """What it has happened to so far."""
        return [f"{number}: {what}" for number, what in sorted(self._met)]

    def _meets(self, call: Call) -> bool:
        if not call.is_write or self._only not in {None, self._written}:
            return False
        here = (self._written, f"{call.verb} {call.resource} {call.name}")
        if here in self._met:
            return False
        self._met.add(here)
        return True

    async def _write(self, call: Call, forward: Forward) -> Reply:
        reply = await forward()
        if call.is_write and reply.status < 300:
            self._written += 1
        return reply


class Death(Around):
    """Kills the operator before or after its writes: the answer, if there was one, reaches nobody."""

    def __init__(self, kill: Callable[[], None], side: Side, only: int | None = None) -> None:
        super().__init__(only)
        self._kill = kill
        self._side = side

    async def call(self, call: Call, forward: Forward) -> Reply:
        if not self._meets(call):
            return await self._write(call, forward)
        if self._side == "after":
            await self._write(call, forward)
        self._kill()
        raise Dropped


class LostAnswers(Around):
    """The API server does what it was asked to, and nobody hears of it."""

    async def call(self, call: Call, forward: Forward) -> Reply:
        lost = self._meets(call)
        reply = await self._write(call, forward)
        if lost:
            raise Dropped
        return reply


def at_writes(how: How, kill: Callable[[], None], only: int | None = None) -> Around:
    """The operator's death before or after each write, or the loss of each answer; `only`: at that one write."""
    return LostAnswers(only) if how == "lost" else Death(kill, how, only)


def refusal(status: int, retry_after: int | None = None) -> Reply:
    """An error as the API server words it."""
    headers = {"Content-Type": "application/json"}
    if retry_after is not None:
        headers["Retry-After"] = str(retry_after)
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status, "message": f"a made {status}"}
    return Reply(status, headers, json.dumps(body).encode())


@dataclass
class Trouble(Fault):
    """Some share of all calls is refused, hangs or is cut off; of the refused ones some had been carried out."""

    share: float
    seed: int
    statuses: tuple[int, ...] = (409, 429, 500, 502, 503, 504)
    retry_after: int = 1
    hang_seconds: float = 3.0
    met: int = 0
    _random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311 - a script, not a secret

    async def call(self, call: Call, forward: Forward) -> Reply:
        if self._random.random() >= self.share:
            return await forward()
        self.met += 1
        kind = self._random.choice([*self.statuses, "hang", "drop", "lose"])
        if kind == "hang":
            await asyncio.sleep(self.hang_seconds)
            raise Dropped
        if kind == "drop":
            raise Dropped
        if kind == "lose":
            if not call.is_watch:
                await forward()
            raise Dropped
        assert isinstance(kind, int)
        if kind == 409 and not call.is_write:
            return await forward()
        if kind in {500, 504} and call.is_write:
            await forward()  # a gateway that gave up on a server that did not
        return refusal(kind, self.retry_after if kind in {429, 503} else None)


@dataclass
class Refused(Fault):
    """Writes of some verbs are refused, and when they came again is written down; the lease's go on."""

    status: int
    verbs: Container[str]
    retry_after: int | None = None
    at: list[float] = field(default_factory=list)

    async def call(self, call: Call, forward: Forward) -> Reply:
        if call.verb not in self.verbs or not call.is_write:
            return await forward()
        self.at.append(time.monotonic())
        return refusal(self.status, self.retry_after)


class Unreachable(Fault):
    """No call passes; streams that are open go on (see `BrokenStreams`)."""

    async def call(self, call: Call, forward: Forward) -> Reply:
        del call, forward
        raise Dropped


@dataclass
class Lag(Fault):
    """Watches show what was so many seconds ago."""

    seconds: float

    async def stream(self, call: Call, events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        del call
        pipe: asyncio.Queue[tuple[float, bytes] | None] = asyncio.Queue()

        async def take() -> None:
            try:
                async for event in events:
                    pipe.put_nowait((time.monotonic() + self.seconds, event))
            finally:
                pipe.put_nowait(None)

        taking = asyncio.create_task(take())
        try:
            while (entry := await pipe.get()) is not None:
                due, event = entry
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                yield event
        finally:
            taking.cancel()


@dataclass
class Confusion(Fault):
    """A watch that skips events that later ones make up for, brings some twice, and lets others overtake.

    What is held back is sent after `hold` seconds at most, and the last event of an object always arrives: a stream that keeps the
    truth to itself for good is row 5's.
    """

    seed: int
    hold: float = 0.4
    met: int = 0

    async def stream(self, call: Call, events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        chance = random.Random(f"{self.seed} {call.resource}")  # noqa: S311 - a script
        coming = asyncio.ensure_future(_next(events))
        held: list[bytes] = []
        try:
            while True:
                done, _ = await asyncio.wait({coming}, timeout=self.hold)
                if done:
                    event = coming.result()
                    if event is None:
                        break
                    held.append(event)
                    coming = asyncio.ensure_future(_next(events))
                    if len(held) < 4 and chance.random() < 0.6:
                        continue
                for event in self._confused(held, chance):
                    yield event
                held = []
            for event in held:
                yield event
        finally:
            coming.cancel()

    def _confused(self, held: list[bytes], chance: random.Random) -> list[bytes]:
        decoded = [(json.loads(event), event) for event in held]
        last = {_name(document): position for position, (document, _) in enumerate(decoded)}
        out: list[bytes] = []
        for position, (document, event) in enumerate(decoded):
            superseded = last[_name(document)] > position
            if superseded and document["type"] != "DELETED" and chance.random() < 0.5:
                self.met += 1
                continue
            out.append(event)
            if chance.random() < 0.3:
                self.met += 1
                out.append(event)
        if len(out) > 1 and chance.random() < 0.5:
            self.met += 1
            chance.shuffle(out)
        return out


async def _next(events: AsyncIterator[bytes]) -> bytes | None:
    return await anext(events, None)


def _name(document: dict[str, Any]) -> str:
    metadata = document["object"].get("metadata", {})
    return f"{metadata.get('namespace')}/{metadata.get('name')}"


@dataclass
class BrokenStreams(Fault):
    """Watches that are open are ended, each once when `broken` is set, in a way that `how` names."""

    how: Literal["gone", "error", "torn", "cut", "silent"]
    opened: int = 0
    """Streams that have begun so far."""
    broken: bool = False
    met: int = 0
    after: float = 0.0

    async def stream(self, call: Call, events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        del call
        self.opened += 1
        hit = self.broken  # a stream that begins later is whole
        coming = asyncio.ensure_future(_next(events))
        try:
            while True:
                done, _ = await asyncio.wait({coming}, timeout=0.1)
                if self.broken and not hit:
                    hit = True
                    self.met += 1
                    if self.how == "gone":
                        yield error_event(410, "Expired")
                        return
                    if self.how == "error":
                        yield error_event(500, "InternalError")
                        return
                    if self.how == "torn":
                        raise Torn(b'{"type":"MODIFIED","object":{"metadata":{"na')
                    if self.how == "cut":
                        raise Dropped
                    await asyncio.Event().wait()  # half open: neither an event nor an end, ever
                if done:
                    event = coming.result()
                    if event is None:
                        return
                    yield event
                    coming = asyncio.ensure_future(_next(events))
        finally:
            coming.cancel()


def error_event(code: int, reason: str) -> bytes:
    """A watch's ERROR event."""
    status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason}
    return json.dumps({"type": "ERROR", "object": {**status, "message": f"a made {reason}"}}).encode() + b"\n"
