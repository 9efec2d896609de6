"""What comes of the events that kopf brings; that it brings them is shown on a real API server (tests/faults, rows 3 to 5)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from kopf._cogs.clients.errors import APIServerError
from kopf._cogs.clients.watching import Bookmark, WatchingError

from scanplan.controller import watches

Script = list[Any]
"""Events in their order; an exception in between ends that watch."""


class Taker:
    """Stands for the controller: writes down what it is given, and chokes on one object."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.store = type("Store", (), {"doubts": 0})()

    def take(self, how: str) -> Callable[[str | None, dict[str, Any]], None]:
        def taken(kind: str | None, body: dict[str, Any]) -> None:
            name = body["metadata"]["name"]
            if name == "poison":
                raise KeyError(name)
            self.taken.append(f"{how} {kind} {name}")

        return taken


def event(kind: str | None, name: str) -> dict[str, Any]:
    return {"type": kind, "object": {"metadata": {"name": name}}}


async def watched(monkeypatch: pytest.MonkeyPatch, *scripts: Script) -> tuple[Taker, watches.Watches]:
    """All that a watch of these lives brings; it ends when they have ended."""
    over, lives = asyncio.Event(), iter(scripts)

    async def infinite_watch(**_: Any) -> AsyncIterator[Any]:
        for each in next(lives, []):
            if isinstance(each, Exception):
                raise each
            yield each
        over.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(watches, "infinite_watch", infinite_watch)
    monkeypatch.setattr(watches, "BACKOFF_SECONDS", 0)
    taker = Taker()
    brought = watches.Watches(taker, [None])  # type: ignore[arg-type]
    first, then = taker.take("first"), taker.take("then")
    task = asyncio.create_task(brought._watch(watches.PLANS, None, first, then, asyncio.Event()))
    await asyncio.wait_for(over.wait(), 5)
    task.cancel()
    return taker, brought


async def test_the_first_list_is_told_from_what_comes_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plans of the first list wait until everything is known, or a running scan would seem to have no Job."""
    lists = [event(None, "a"), Bookmark.LISTED, event("ADDED", "b"), {"type": "BOOKMARK", "object": {}}]
    taker, brought = await watched(monkeypatch, lists)
    assert taker.taken == ["first None a", "then ADDED b"]
    assert not brought.relisted.is_set()


@pytest.mark.parametrize("error", [WatchingError("ERROR 500"), APIServerError("no leader", status=500, headers={})])
async def test_a_broken_watch_begins_again_and_asks_for_a_comparison(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """The operator would end with it otherwise, or not know what went while nobody watched."""
    taker, brought = await watched(monkeypatch, [Bookmark.LISTED, error], [event(None, "a"), Bookmark.LISTED])
    assert taker.taken == ["then None a"]
    assert brought.relisted.is_set()


async def test_an_object_that_cannot_be_taken_in_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    taker, _ = await watched(monkeypatch, [event("ADDED", "poison"), event("ADDED", "a")])
    assert taker.taken == ["first ADDED a"]
