"""The engine under all controllers: what it hears, and how it works off what it has heard."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any, cast

import pytest
from kubernetes.aio.client import ApiException

from scanplan.controller.engine import worker
from scanplan.controller.engine.reflector import Reflector
from scanplan.controller.engine.scope import Scope
from scanplan.controller.engine.workqueue import ObjectName, WorkQueue
from scanplan.kube.watching import Changed, Event, Failed, Listed, Resumed, Watch

LOG = logging.getLogger("test")
REFUSED = Failed(TimeoutError("no answer"), 1.0)
FORBIDDEN = Failed(ApiException(status=403, reason="Forbidden"), 1.0)


class Told:
    """A watch that reports given events, and no more."""

    def __init__(self, *events: Event) -> None:
        self._events = events
        self._known: list[dict[str, Any]] = []

    async def events(self) -> AsyncGenerator[Event]:
        for event in self._events:
            yield event
        await asyncio.Event().wait()

    def know(self, body: dict[str, Any]) -> None:
        self._known.append(body)

    def forget(self, namespace: str) -> list[dict[str, Any]]:
        return self._known if namespace == "red" else []


async def hear(taken: Any, **events: list[Event]) -> Reflector:
    """What is heard of some namespaces, each with its events, until nothing more comes."""
    reflector = Reflector("Things", lambda each: cast("Watch", Told(*events[each or ""])), taken, Scope(list(events)))
    task = asyncio.create_task(reflector.run())
    await asyncio.sleep(0.01)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    return reflector


async def done(event: Any) -> bool:
    """Whether something that is waited for is so at once."""
    try:
        await asyncio.wait_for(event, 0.01)
    except TimeoutError:
        return False
    return True


async def test_an_object_that_cannot_be_taken_in_hides_no_other(caplog: pytest.LogCaptureFixture) -> None:
    taken = []

    def take(kind: str | None, body: dict[str, Any]) -> None:
        if body["name"] == "bad":
            raise ValueError("of no use")
        taken.append((kind, body["name"]))

    await hear(take, a=[Changed(None, {"name": "bad"}), Changed("ADDED", {"name": "good"}), Listed(first=True)])
    assert taken == [("ADDED", "good")]
    assert "Things could not be processed" in caplog.text


async def test_all_is_known_when_each_namespace_is_listed() -> None:
    assert await done((await hear(print, a=[Listed(first=True)], b=[Listed(first=True)])).listed())
    assert not await done((await hear(print, a=[Listed(first=True)], b=[])).listed())
    assert not await done((await hear(print, a=[Listed(first=True)], b=[REFUSED])).listed())
    assert not (await hear(print, a=[Listed(first=True)])).relisted.is_set()


async def test_a_namespace_that_refuses_its_list_holds_up_no_other() -> None:
    """Lost otherwise: the scans of all teams, where one team's namespace is gone."""
    reflector = await hear(print, a=[Listed(first=True)], b=[REFUSED, FORBIDDEN])
    assert await reflector.listed() == {"b"}
    assert not await done((await hear(print, a=[FORBIDDEN], b=[FORBIDDEN])).listed()), "nothing is known of any"
    assert not await done((await hear(print, a=[Listed(first=True)], b=[FORBIDDEN, REFUSED])).listed())


async def test_a_second_list_is_told_since_changes_may_have_gone_unseen() -> None:
    assert (await hear(print, a=[Listed(first=True), Listed(first=False)])).relisted.is_set()


async def test_a_kind_that_cannot_be_listed_is_settled_and_not_listed() -> None:
    reflector = await hear(print, a=[REFUSED], b=[Listed(first=True)])
    assert await done(reflector.tried())
    assert not await done(reflector.listed())


@pytest.mark.parametrize(
    ("events", "warnings"),
    [
        ({"a": [REFUSED, REFUSED, REFUSED]}, 1),
        ({"a": [REFUSED], "b": [REFUSED]}, 1),
        ({"a": [REFUSED, Listed(first=True), REFUSED]}, 2),
        ({"a": [REFUSED, Resumed(), REFUSED]}, 2),
        ({"a": [Listed(first=True)]}, 0),
    ],
)
async def test_each_outage_is_told_once(
    events: dict[str, list[Event]], warnings: int, caplog: pytest.LogCaptureFixture
) -> None:
    await hear(print, **events)
    assert caplog.text.count("Things can't be watched") == warnings


async def test_a_namespace_that_joins_is_listed_and_is_deleted_when_it_leaves(caplog: pytest.LogCaptureFixture) -> None:
    """The watch of the whole cluster knows what has joined, so that later it can tell what is missing."""
    passed, whole = [], Told()
    gone = Changed("DELETED", {"name": "gone meanwhile"})
    red = Told(Changed(None, {"name": "first"}), REFUSED, Changed(None, {"name": "second"}), gone, Listed(first=True))
    watches = {None: whole, "red": red}
    reflector = Reflector(
        "Things",
        lambda each: cast("Watch", watches[each]),
        lambda kind, body: passed.append((kind, body["name"])),
        Scope(selector="team=red"),
    )
    await reflector.join("red")
    assert passed == [(None, "first"), (None, "second")]
    assert "Things can't be watched" in caplog.text
    reflector.leave("red")
    assert passed[2:] == [("DELETED", "first"), ("DELETED", "second")]


async def test_a_namespace_of_a_list_joins_its_own_watch() -> None:
    """Lost otherwise: the deletion of an object that was there before its namespace was ready."""
    made = [Told(), Told(), Told(Changed(None, {"name": "first"}), Listed(first=True))]
    red = made[0]
    reflector = Reflector("Things", lambda _: cast("Watch", made.pop(0)), lambda *_: None, Scope(["red", "blue"]))
    await reflector.join("red")
    assert red.forget("red") == [{"name": "first"}]


def test_a_scope_has_all_namespaces_or_those_of_a_list_or_those_that_are_found() -> None:
    everywhere, some, found = Scope(), Scope(["red", "blue"]), Scope(selector="team=red")
    assert everywhere.stores("red")
    assert everywhere.is_ready("red")
    assert (everywhere.watched, everywhere.to_list, str(everywhere)) == ((None,), (None,), "all namespaces")
    assert some.stores("red")
    assert not some.stores("green")
    assert some.watched == some.to_list == ("red", "blue")
    some.add("blue", ready=False)
    assert [some.watched, some.to_list, some.waiting] == [("red", "blue"), ("red",), ("blue",)]
    assert some.stores("blue")
    assert not some.is_ready("blue")
    assert not found.stores("red")
    assert (found.watched, found.to_list) == ((None,), ())
    found.add("red", ready=False)
    assert found.stores("red")
    assert not found.is_ready("red")
    found.add("red", ready=True)
    assert found.is_ready("red")
    assert (found.to_list, str(found)) == (("red",), "namespaces with team=red (1 now)")
    found.remove("red")
    assert found.to_list == ()
    assert not found.is_ready("red")


async def test_what_fails_is_tried_again_and_holds_up_nothing(caplog: pytest.LogCaptureFixture) -> None:
    queue, worked, told, over = WorkQueue(), [], [], asyncio.Event()
    names = [ObjectName("a", "bug"), ObjectName("a", "away"), ObjectName("a", "good")]

    async def reconcile(name: ObjectName) -> None:
        worked.append(name.name)
        if worked.count(name.name) == 1 and name.name != "good":
            raise {"bug": ValueError("its words"), "away": TimeoutError("no answer")}[name.name]

    async def ended(name: ObjectName, seconds: float, failure: Exception | None) -> None:
        assert seconds >= 0
        told.append((name.name, type(failure).__name__ if failure else None, queue.failures(name)))
        if len(told) == 5:
            over.set()

    for name in names:
        queue.add(name)
    task = asyncio.create_task(worker.run(queue, reconcile, LOG, ended))
    await over.wait()
    task.cancel()
    assert told[:3] == [("bug", "ValueError", 1), ("away", "TimeoutError", 1), ("good", None, 0)]
    assert sorted(told[3:], key=str) == [("away", None, 0), ("bug", None, 0)]
    assert "a/bug: trying again in 0.1 s" in caplog.text


async def test_an_end_that_cannot_be_reported_stops_no_worker(caplog: pytest.LogCaptureFixture) -> None:
    """Lost otherwise: a bug that shows in the report of one object ends the worker, and with it the process."""
    queue, worked, over = WorkQueue(), [], asyncio.Event()

    async def reconcile(name: ObjectName) -> None:
        worked.append(name.name)
        if len(worked) == 2:
            over.set()

    async def ended(name: ObjectName, _seconds: float, _failure: Exception | None) -> None:
        raise ValueError(f"no words for {name}")

    for name in ("first", "second"):
        queue.add(ObjectName("a", name))
    task = asyncio.create_task(worker.run(queue, reconcile, LOG, ended))
    await over.wait()
    task.cancel()
    assert worked == ["first", "second"]
    assert "a/first: its end could not be reported" in caplog.text


async def test_a_namespace_is_named_without_a_slash() -> None:
    assert str(ObjectName("shop", "")) == "shop"
    assert str(ObjectName("shop", "nightly")) == "shop/nightly"
