"""Our list-and-watch: what a reader is told, whatever the server and the network do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any

import aiohttp
import msgspec
import pytest
from kubernetes.aio.client import ApiException

from scanplan.kube import watching
from scanplan.kube.paging import Query
from scanplan.kube.watching import Changed, Event, Failed, Listed, Resumed, Watch

LIST = "list"
WATCH = "watch"
Answer = Exception | list[Any]
"""To a list: the names of the objects; to a watch: what comes, where an exception breaks it. Or the refusal of either."""


class Script:
    """A server that gives these answers in turn, each to the kind of request that it is for; after the last one it is silent."""

    def __init__(self, *answers: tuple[str, Answer]) -> None:
        self._answers = list(answers)
        self.asked: list[dict[str, str]] = []

    async def fetch(self, path: str, query: Query, most: int) -> bytes:
        del path, most
        answer = await self._next(LIST, query)
        items = [{"metadata": _metadata(name)} for name in answer]
        return msgspec.json.encode({"metadata": {"resourceVersion": "100"}, "items": items})

    @asynccontextmanager
    async def lines(self, path: str, query: Query, seconds: float) -> AsyncIterator[AsyncIterator[bytes]]:
        del path
        assert seconds > float(dict(query)["timeoutSeconds"]), "the server ends a healthy watch first"
        yield _lines(await self._next(WATCH, query))

    async def _next(self, kind: str, query: Query) -> list[Any]:
        self.asked.append(dict(query))
        if not self._answers:
            await asyncio.Event().wait()
        expected, answer = self._answers.pop(0)
        assert kind == expected
        if isinstance(answer, Exception):
            raise answer
        return answer


async def _lines(changes: Sequence[Any]) -> AsyncIterator[bytes]:
    for change in changes:
        if isinstance(change, Exception):
            raise change
        yield change if isinstance(change, bytes) else msgspec.json.encode(change)


def _metadata(name: str, version: int = 1) -> dict[str, str]:
    return {"namespace": "n", "name": name, "uid": f"uid-{name}", "resourceVersion": str(version)}


def change(kind: str, name: str, version: int) -> dict[str, Any]:
    return {"type": kind, "object": {"metadata": _metadata(name, version)}}


def error(code: int, reason: str) -> dict[str, Any]:
    return {"type": "ERROR", "object": {"kind": "Status", "code": code, "reason": reason, "message": f"is {reason}"}}


BOOKMARK = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "140"}}}


async def told(script: Script) -> list[str]:
    """What a reader hears until the script is over, without the pauses."""
    return await read(Watch(script, "/jobs", "task"))


async def read(watch: Watch, then: Callable[[list[str]], object] = len) -> list[str]:
    """What a reader hears until the server says no more. `then` is called after each event with all that was heard."""
    heard: list[str] = []

    async def listen() -> None:
        async with aclosing(watch.events()) as events:
            async for event in events:
                heard.append(_words(event))
                then(heard)

    listening = asyncio.create_task(listen())
    for _ in range(1_000):
        await asyncio.sleep(0)
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    return heard


def _words(event: Event) -> str:
    match event:
        case Changed(kind, body):
            return f"{kind} {body['metadata']['name']}"
        case Listed(first):
            return "listed" if first else "listed again"
        case Failed(error, pause):
            return f"{type(error).__name__} {getattr(error, 'status', '')}".strip() + f", {pause:.0f} s"
        case Resumed():
            return "resumed"


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    sleep = asyncio.sleep

    async def at_once(seconds: float) -> None:
        assert seconds >= 0
        await sleep(0)

    monkeypatch.setattr(watching, "asyncio", type("asyncio", (), {"sleep": staticmethod(at_once)}))


def throttled() -> ApiException:
    refused = ApiException(status=429, reason="Too Many Requests")
    refused.headers = {"Retry-After": "7"}
    return refused


@pytest.mark.parametrize(
    ("answers", "heard", "versions"),
    [
        pytest.param(
            [(LIST, ["a"]), (WATCH, [change("MODIFIED", "a", 101), change("ADDED", "b", 102)])],
            ["None a", "listed", "MODIFIED a", "ADDED b"],
            ["100", "102"],
            id="a list, then what changes",
        ),
        pytest.param(
            [(LIST, []), (WATCH, [BOOKMARK]), (WATCH, [])],
            ["listed"],
            ["100", "140", "140"],
            id="it goes on where a bookmark says",
        ),
        pytest.param(
            [(LIST, ["a", "b"]), (WATCH, [error(410, "Expired")]), (LIST, ["b"])],
            ["None a", "None b", "listed", "None b", "DELETED a", "listed again"],
            ["100", "100"],
            id="after 410 a list tells what has gone",
        ),
        pytest.param(
            [
                (LIST, ["a"]),
                (WATCH, [change("ADDED", "b", 101), change("DELETED", "a", 102), error(410, "Expired")]),
                (LIST, []),
            ],
            ["None a", "listed", "ADDED b", "DELETED a", "DELETED b", "listed again"],
            ["100", "100"],
            id="what had gone before is not told again",
        ),
        pytest.param(
            [(LIST, ["a"]), (WATCH, ApiException(status=410)), (LIST, ["a"])],
            ["None a", "listed", "ApiException 410, 1 s", "None a", "listed again"],
            ["100", "100"],
            id="410 as the answer to the watch",
        ),
        pytest.param(
            [(LIST, ["a"]), (WATCH, [error(500, "InternalError")]), (LIST, ["a"])],
            ["None a", "listed", "ApiException 500, 1 s", "None a", "listed again"],
            ["100", "100"],
            id="another ERROR",
        ),
        pytest.param(
            [(LIST, ["a"]), (WATCH, [change("MODIFIED", "a", 105), aiohttp.ClientPayloadError()]), (WATCH, [])],
            ["None a", "listed", "MODIFIED a", "ClientPayloadError, 1 s", "resumed"],
            ["100", "105", "105"],
            id="a connection that breaks costs no list",
        ),
        pytest.param(
            [(LIST, ["a"]), (WATCH, [TimeoutError()]), (WATCH, [])],
            ["None a", "listed"],
            ["100", "100", "100"],
            id="one that is silent is replaced without a word",
        ),
        pytest.param(
            [(LIST, ["a"]), (WATCH, [b'{"type":"MODIF']), (LIST, ["a"])],
            ["None a", "listed", "DecodeError, 1 s", "None a", "listed again"],
            ["100", "100"],
            id="half a line",
        ),
        pytest.param(
            [(LIST, throttled()), (LIST, ["a"])],
            ["ApiException 429, 7 s", "None a", "listed"],
            ["100"],
            id="the server says how long to stay away",
        ),
        pytest.param(
            [
                (LIST, ApiException(status=404)),
                (LIST, ConnectionRefusedError()),
                (LIST, ApiException(status=503)),
                (LIST, TimeoutError()),
                (LIST, ["a"]),
            ],
            [
                "ApiException 404, 1 s",
                "ConnectionRefusedError, 2 s",
                "ApiException 503, 4 s",
                "TimeoutError, 4 s",
                "None a",
                "listed",
            ],
            ["100"],
            id="a server that is away, and comes back",
        ),
        pytest.param(
            [(LIST, ["a"]), (WATCH, ApiException(status=404)), (LIST, [])],
            ["None a", "listed", "ApiException 404, 1 s", "DELETED a", "listed again"],
            ["100", "100"],
            id="the kind was deleted, and is there again",
        ),
    ],
)
async def test_what_a_reader_is_told(answers: list[tuple[str, Answer]], heard: list[str], versions: list[str]) -> None:
    """Lost otherwise: a Job's end that nobody hears of leaves its plan in Running, and a slot of its namespace taken."""
    script = Script(*answers)
    assert await told(script) == heard
    watches = [each for each in script.asked if "watch" in each]
    assert [each["resourceVersion"] for each in watches] == versions
    assert all(each["labelSelector"] == "task" for each in script.asked)


async def test_only_objects_within_are_told_of_and_those_that_were_known_otherwise_are_missed_too() -> None:
    """Lost otherwise: the memory for what belongs to others, or the deletion of what a namespace brought along."""
    within: set[str] = set()
    script = Script((LIST, ["a"]), (WATCH, [change("ADDED", "b", 101), error(410, "Gone")]), (LIST, ["b"]), (LIST, []))
    watch = Watch(script, "/jobs", within=within.__contains__)

    def join(heard: list[str]) -> None:
        if heard == ["listed"]:
            within.add("n")
            watch.know({"metadata": _metadata("a")})

    heard = await read(watch, join)
    assert heard == ["listed", "ADDED b", "None b", "DELETED a", "listed again"]
    assert watch.forget("other") == []
    assert watch.forget("n") == [{"metadata": {"namespace": "n", "name": "b", "uid": "uid-b"}}]
    assert watch.forget("n") == []


class Pages:
    """A server whose answers are pages of lists, and changes. A page may be made when it is asked for, one page ahead."""

    def __init__(self, *answers: Any) -> None:
        self._answers = list(answers)

    async def fetch(self, path: str, query: Query, most: int) -> bytes:
        del path, query, most
        answer = self._answers.pop(0)
        names, more = answer() if callable(answer) else answer
        if isinstance(names, Exception):
            raise names
        metadata = {"resourceVersion": "100", "continue": "more" if more else ""}
        return msgspec.json.encode({"metadata": metadata, "items": [{"metadata": _metadata(name)} for name in names]})

    @asynccontextmanager
    async def lines(self, path: str, query: Query, seconds: float) -> AsyncIterator[AsyncIterator[bytes]]:
        del path, query, seconds
        if not self._answers:
            await asyncio.Event().wait()
        yield _lines(self._answers.pop(0))


async def test_what_is_deleted_after_half_a_list_is_told() -> None:
    """Lost otherwise: the deletion, for ever: no list before it was complete, and none after it has the object."""
    server = Pages((["a", "b"], True), (TimeoutError("no answer"), False), (["b"], False))
    assert await read(Watch(server, "/jobs")) == [
        *("None a", "None b", "TimeoutError, 1 s", "None b", "DELETED a", "listed")
    ]


async def test_what_joins_during_a_list_is_not_told_as_deleted() -> None:
    within: set[str] = set()

    def join() -> tuple[list[str], bool]:
        within.add("n")
        watch.know({"metadata": _metadata("joined")})
        return ["b"], False

    watch = Watch(Pages((["joined"], True), ([], True), join), "/jobs", within=within.__contains__)
    assert await read(watch) == ["None b", "listed"]
    assert [body["metadata"]["name"] for body in watch.forget("n")] == ["joined", "b"]


async def test_what_leaves_during_a_list_is_forgotten() -> None:
    within, forgotten = {"n"}, []

    def leave() -> tuple[list[str], bool]:
        within.remove("n")
        forgotten.extend(watch.forget("n"))
        return ["b"], False

    watch = Watch(Pages((["a"], True), ([], True), leave), "/jobs", within=within.__contains__)
    assert await read(watch) == ["None a", "listed"]
    assert [body["metadata"]["name"] for body in forgotten] == ["a"]


async def test_deletions_elsewhere_are_nobodys_business() -> None:
    changes = [change("ADDED", "a", 101), change("DELETED", "a", 102)]
    assert await read(Watch(Pages(([], False), changes), "/jobs", within=lambda _: False)) == ["listed"]
