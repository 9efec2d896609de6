"""The page's live stream. Lost otherwise: the API's memory, where a viewer does not read."""

from __future__ import annotations

import asyncio
import functools
from typing import Any

import pytest
from kubernetes.aio.client import ApiException

from scanplan.client.errors import QueueUnavailable
from scanplan.kube.watching import Changed, Failed, Listed, Resumed
from scanplan.web.ui import events, feeds
from tests.unit.web.findings.test_published import RUNNING, plan


def test_a_reader_that_does_not_keep_up_is_cut_and_takes_no_memory() -> None:
    viewer = feeds.Viewer()
    for number in range(1_000):
        viewer.offer(events.event("change", number))
        if viewer.events.qsize() == 1 and number:
            break
    assert viewer.events.get_nowait() is None


FORBIDDEN = Failed(ApiException(status=403, reason="Forbidden"), 1.0)


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


async def test_a_namespace_that_may_not_be_watched_hides_no_other() -> None:
    """Lost otherwise: the page of all teams, where one team's namespace is gone."""
    feed, viewer = feeds.Feed(_Nowhere(), ("red", "blue")), feeds.Viewer()
    feed.viewers.add(viewer)
    feed.show(viewer, None)
    feed._take(FORBIDDEN, "blue", "in namespace blue")
    assert not feed._begun.is_set(), "a request for results waits for the other namespace"
    feed._take(Listed(first=True), "red", "in namespace red")
    assert [kind_of(each) for each in waiting(viewer)] == ["trouble", "snapshot", "trouble"]
    assert list(await feed.results()) == []
    feed._take(Listed(first=True), "blue", "in namespace blue")
    assert [kind_of(each) for each in waiting(viewer)] == ["change"], "the trouble is over"
    feed.stop()


@pytest.mark.parametrize(
    ("may_see", "told"), [(None, True), (frozenset({"blue"}), True), (frozenset({"red"}), False), (frozenset(), False)]
)
async def test_who_may_not_see_a_namespace_is_not_told_its_name(may_see: frozenset[str] | None, told: bool) -> None:
    """Lost otherwise: names of other teams' namespaces, to anybody who may log in."""
    feed, viewer = feeds.Feed(_Nowhere(), ("red", "blue")), feeds.Viewer()
    feed.viewers.add(viewer)
    feed.show(viewer, may_see)
    feed._take(FORBIDDEN, "blue", "in namespace blue")
    feed._take(Listed(first=True), "red", "in namespace red")
    said = b"".join(each for each in waiting(viewer) if kind_of(each) == "trouble").decode()
    assert said.count("can't be read at the moment") + said.count("in namespace blue") == 2
    assert ("blue" in said) is told
    feed.stop()


async def test_a_single_namespace_is_named_to_those_alone_who_asked_for_it() -> None:
    """Lost otherwise: its name, to anybody who may log in and asks for all plans."""
    feed, viewer = feeds.Feed(_Nowhere(), ("blue",)), feeds.Viewer()
    feed.viewers.add(viewer)
    feed._take(FORBIDDEN, "blue", "in namespace blue")
    assert waiting(viewer) == [], "nobody knows yet what they may see"
    assert await feed.namespaces() == ["blue"]
    feed.show(viewer, frozenset())
    assert "blue" not in b"".join(waiting(viewer)).decode()
    with pytest.raises(QueueUnavailable, match="some plans"):
        await feed.results()
    feed.show(viewer, frozenset({"blue"}))
    assert "in namespace blue" in b"".join(waiting(viewer)).decode()
    feed.stop()
    asked = feeds.Feed(_Nowhere(), ("blue",), is_of_all=False)
    asked._take(FORBIDDEN, "blue", "in namespace blue")
    with pytest.raises(QueueUnavailable, match="in namespace blue"):
        await asked.results()
    asked.stop()


async def test_the_order_of_answers_does_not_matter_to_the_page() -> None:
    feed, viewer = feeds.Feed(_Nowhere(), ("red", "blue")), feeds.Viewer()
    feed.viewers.add(viewer)
    feed.show(viewer, None)
    feed._take(Listed(first=True), "red", "in namespace red")
    feed._take(FORBIDDEN, "blue", "in namespace blue")
    assert [kind_of(each) for each in waiting(viewer)] == ["snapshot", "trouble"]
    feed.stop()


@pytest.mark.parametrize("failed", [[FORBIDDEN, FORBIDDEN], [Failed(OSError("no route"), 1.0), FORBIDDEN]])
async def test_plans_that_nobody_could_list_are_no_empty_page(failed: list[Failed]) -> None:
    feed = feeds.Feed(_Nowhere(), ("red", "blue"))
    for namespace, event in zip(("red", "blue"), failed, strict=True):
        feed._take(event, namespace, f"in namespace {namespace}")
    with pytest.raises(QueueUnavailable):
        await feed.results()
    feed.stop()


async def test_a_plan_that_is_scanned_again_keeps_its_result_until_the_next_one_is_there() -> None:
    """Lost otherwise: all open findings of its run, for the hours that the scan takes."""
    feed = feeds.Feed(_Nowhere(), ("team",))

    async def after(kind: str | None, plan: dict[str, Any]) -> list[tuple[str, str]]:
        feed._take(Changed(kind, plan), namespace="team", where="in namespace team")
        return [(each.completed, each.problem) for each in await feed.results()]

    feed._take(Listed(first=True), namespace="team", where="in namespace team")
    ((_, problem),) = await after(None, plan(**RUNNING))
    assert problem.startswith("its scan has not ended")
    first, second = ("2026-11-01T06:30:00Z", ""), ("2026-11-02T06:30:00Z", "")
    assert await after("MODIFIED", plan(ended=1)) == [first]
    assert await after("MODIFIED", plan(**RUNNING)) == [first]
    assert await after("MODIFIED", plan(phase="Failed", findings=None, artifacts=None)) == [first]
    assert await after("MODIFIED", plan(ended=2)) == [second]
    assert await after("MODIFIED", plan(**RUNNING)) == [second]
    assert await after("DELETED", plan(**RUNNING)) == []
    feed.stop()


def waiting(viewer: feeds.Viewer) -> list[bytes]:
    return [event for _ in range(viewer.events.qsize()) if (event := viewer.events.get_nowait())]


def kind_of(event: bytes) -> str:
    return event.decode().split("\n")[0].removeprefix("event: ")
