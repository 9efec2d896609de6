"""Streams to viewers. Lost otherwise: plans, shown to whose right has ended; or a connection, cut as dead."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from scanplan.client.errors import QueueUnavailable
from scanplan.web.ui import streams

HERE = b": here\n\n"


class Viewer:
    """What a viewer is sent, and what has the answer to its right wait."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.events: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.alive = asyncio.Event()
        """Set by the second heartbeat."""

    async def prepare(self, _: object) -> None:
        """As a response does."""

    async def write(self, what: bytes) -> None:
        self.sent.append(what)
        if self.sent.count(HERE) == 2:
            self.alive.set()


@pytest.fixture
async def viewer(monkeypatch: pytest.MonkeyPatch) -> Viewer:
    made = Viewer()
    monkeypatch.setattr(streams, "HEARTBEAT_SECONDS", 0.01)
    monkeypatch.setattr(web, "StreamResponse", lambda **_: made)
    return made


async def test_a_check_that_takes_long_is_not_cut_and_no_event_passes_it(viewer: Viewer) -> None:
    viewer.events.put_nowait(b"a plan")
    viewer.events.put_nowait(None)
    begun = 0

    async def check() -> None:
        nonlocal begun
        begun += 1
        await viewer.alive.wait()

    await streams.stream(None, viewer.events, check)  # type: ignore[arg-type]
    assert begun == 1
    assert viewer.sent == [HERE, HERE, b"a plan"]


async def test_a_right_that_ends_ends_the_stream(viewer: Viewer) -> None:
    async def check() -> None:
        if viewer.alive.is_set():
            raise web.HTTPForbidden(text="no longer")

    await streams.stream(None, viewer.events, check)  # type: ignore[arg-type]
    assert viewer.sent == [HERE, HERE, b'event: refused\ndata: {"status":403,"detail":"no longer"}\n\n']


@pytest.mark.parametrize("error", [ConnectionResetError, lambda: QueueUnavailable("no answer")])
async def test_nobody_to_send_to_or_to_ask_ends_the_stream(viewer: Viewer, error: type[Exception]) -> None:
    async def check() -> None:
        raise error()

    viewer.events.put_nowait(b"a plan")
    await streams.stream(None, viewer.events, check)  # type: ignore[arg-type]
    assert viewer.sent == []
