"""The page's live stream. Lost otherwise: the API's memory, where a viewer does not read."""

from __future__ import annotations

import asyncio
import functools
from typing import Any

from scanplan.kube.watching import Failed, Listed, Resumed
from scanplan.web.ui import events, feeds


def test_a_reader_that_does_not_keep_up_is_cut_and_takes_no_memory() -> None:
    viewer = feeds.Viewer()
    for number in range(1_000):
        viewer.offer(events.event("change", number))
        if viewer.events.qsize() == 1 and number:
            break
    assert viewer.events.get_nowait() is None


class _Nowhere(feeds._Server):
    """A server that nobody reaches: what the watches bring is given by hand."""

    async def client(self) -> Any:
        await asyncio.Event().wait()


async def test_the_page_says_that_it_is_well_again_when_all_namespaces_are() -> None:
    """Lost otherwise: an old list that looks like the present, where one namespace came back and another did not."""
    feed, viewer = feeds.Feed(_Nowhere(), ("red", "blue")), feeds.Viewer()
    feed.viewers.add(viewer)
    feed.show(viewer, None)
    bring = {
        name: functools.partial(feed._take, namespace=name, where=f"in namespace {name}") for name in ("red", "blue")
    }
    for take in bring.values():
        take(Listed(first=True))
        take(Failed(OSError("no route"), 1.0))
    bring["blue"](Resumed())
    assert [kind_of(each) for each in waiting(viewer)] == ["trouble", "snapshot", "trouble", "trouble"]
    bring["red"](Resumed())
    assert [kind_of(each) for each in waiting(viewer)] == ["change"]
    feed.stop()


def waiting(viewer: feeds.Viewer) -> list[bytes]:
    return [event for _ in range(viewer.events.qsize()) if (event := viewer.events.get_nowait())]


def kind_of(event: bytes) -> str:
    return event.decode().split("\n")[0].removeprefix("event: ")
