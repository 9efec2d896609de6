"""Lists and watches objects of one kind: a list, then its watch, without end.

All watches of the operator and the API are made here, except that of ScanPlans, which kopf makes. The command line follows plans in
a thread, with a client that blocks (`cli/changes.py`). After a lost connection the watch continues. If the server can't continue it
(410, ERROR), the watch begins again with a list, and reports the objects that have gone meanwhile. The server is asked to end each
watch after a minute, so a dead connection is noticed after 75 s at most.

https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol

import msgspec
from kubernetes.aio.client import ApiException

from scanplan.api import wire
from scanplan.kube.failures import FAILURES, retry_after
from scanplan.kube.objects import Object, decode, gone
from scanplan.kube.paging import Listing, Query

WATCH_SECONDS = 60
INACTIVE_SECONDS = WATCH_SECONDS + 15.0
"""A watch that the server has not ended by then has a dead connection. It is closed, whatever it has told."""
RECONNECT_SECONDS = 0.1
"""Pause between two watches, for a server that ends each of them at once."""
MAX_PAUSE_SECONDS = 4.0
"""Longest pause after failures. The first is 1 s, and each further one is twice as long."""
MAX_DOUBLINGS = 16
"""Keeps the power of two in a pause from an overflow."""
_LOST = {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}
"""HTTP statuses after which the watch begins again with a list."""


@dataclass(frozen=True, slots=True)
class Changed:
    """An object exists, has changed, or was deleted."""

    type: str | None
    """ADDED, MODIFIED or DELETED; None: it was in a list."""
    object: Object
    """The newest known state. An object whose deletion was missed has only namespace, name and uid."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A list is complete: every object that exists was reported."""

    first: bool
    """It is the first list of this watch."""


@dataclass(frozen=True, slots=True)
class Failed:
    """A request was refused or had no answer. The next one follows after `pause` seconds."""

    error: Exception
    pause: float


@dataclass(frozen=True, slots=True)
class Resumed:
    """After failures, the watch continues where it was."""


Event = Changed | Listed | Failed | Resumed


class Server(Protocol):
    """The requests that a watch makes. They raise the errors of `failures.FAILURES`."""

    async def fetch(self, path: str, query: Query, most: int) -> bytes:
        """The body of the answer to a GET, of at most `most` bytes. Raises ResponseTooLarge."""

    def lines(self, path: str, query: Query, seconds: float) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """The lines of an answer as they arrive. Raises TimeoutError if the answer has not ended after `seconds`."""


class _Change(msgspec.Struct):
    type: str
    object: msgspec.Raw


_DECODER = wire.decoder(_Change)


class Watch:
    """The objects at one path that match a label selector. Only one task may read `events`."""

    def __init__(
        self, server: Server, path: str, selector: str = "", within: Callable[[str], bool] | None = None
    ) -> None:
        """`within`: whether objects of a namespace are reported; None: all are. If its answer changes, call `know` or `forget`."""
        self._server = server
        self._within = within
        self._path = path
        self._query = [("labelSelector", selector)] if selector else []
        self._version = ""
        """Resource version at which the watch continues; empty: it begins with a list."""
        self._known: dict[str, tuple[str, str]] = {}
        """Namespace and name by UID, to find what is missing from a later list."""
        self._listed = False
        self._failures = 0
        """Failures in a row."""

    async def events(self) -> AsyncGenerator[Event]:
        """All events, without end. A failure is an event, and the watch continues after it."""
        while True:
            try:
                if not self._version:
                    async with aclosing(self._list()) as listed:
                        async for event in listed:
                            yield event
                async with aclosing(self._changes()) as changes:
                    async for change in changes:
                        yield change
                await asyncio.sleep(RECONNECT_SECONDS)
            except (*FAILURES, ValueError) as error:  # ValueError: the answer is not JSON
                if not isinstance(error, FAILURES) or getattr(error, "status", None) in _LOST:
                    self._version = ""
                pause = max(retry_after(error), min(2.0**self._failures, MAX_PAUSE_SECONDS))
                self._failures = min(self._failures + 1, MAX_DOUBLINGS)
                yield Failed(error, pause)
                await asyncio.sleep(pause)

    def know(self, body: Object) -> None:
        """Note an object that another watch has found. If a later list lacks it, its deletion is reported."""
        metadata = body["metadata"]
        self._known[metadata["uid"]] = _place(metadata)

    def forget(self, namespace: str) -> list[Object]:
        """Forget the objects of a namespace; returns them in the form of deleted ones."""
        found = {uid: place for uid, place in self._known.items() if place[0] == namespace}
        for uid in found:
            del self._known[uid]
        return [gone(*place, uid) for uid, place in found.items()]

    def _reports(self, place: tuple[str, str]) -> bool:
        return self._within is None or self._within(place[0])

    async def _list(self) -> AsyncGenerator[Event]:
        listing = Listing(lambda query, most: self._server.fetch(self._path, query, most), self._query)
        before, found = set(self._known), set()
        async for body in listing.objects():
            place = _place(body["metadata"])
            if self._reports(place):
                found.add(body["metadata"]["uid"])
                self.know(body)  # at once: this list may fail, and the object be gone by the next
                yield Changed(None, body)
        for uid in (before - found) & self._known.keys():
            yield Changed("DELETED", gone(*self._known.pop(uid), uid))
        first, self._listed = not self._listed, True
        self._version = listing.version
        self._failures = 0
        yield Listed(first)

    async def _changes(self) -> AsyncGenerator[Event]:
        query = [
            *self._query,
            ("watch", "true"),
            ("allowWatchBookmarks", "true"),
            ("resourceVersion", self._version),
            ("timeoutSeconds", str(WATCH_SECONDS)),
        ]
        async with self._server.lines(self._path, query, INACTIVE_SECONDS) as lines:
            if self._failures:
                self._failures = 0
                yield Resumed()
            try:
                async for line in lines:
                    change = _DECODER.decode(line)
                    if (event_type := change.type) == "ERROR":
                        self._version = ""
                        status = msgspec.json.decode(change.object)
                        if status.get("code") != HTTPStatus.GONE:
                            raise _refused(status)
                        return
                    body = decode(change.object)
                    metadata = body["metadata"]
                    self._version = metadata["resourceVersion"]
                    if event_type == "BOOKMARK":
                        continue
                    reported = metadata["uid"] in self._known or self._reports(_place(metadata))
                    if event_type == "DELETED":
                        self._known.pop(metadata["uid"], None)
                    elif reported:
                        self.know(body)
                    if reported:
                        yield Changed(event_type, body)
            except TimeoutError:
                return  # the connection is dead: open another one


def _place(metadata: Object) -> tuple[str, str]:
    """Namespace and name of an object; a cluster-scoped object has no namespace."""
    return metadata.get("namespace", ""), metadata["name"]


def _refused(status: dict[str, Any]) -> ApiException:
    """The error in an ERROR event, whose object is a Status (meta/v1)."""
    error = ApiException(status=status.get("code", 0), reason=str(status.get("reason", "")))
    error.body = msgspec.json.encode(status).decode()
    return error
