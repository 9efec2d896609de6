"""Streams plans to the viewers of the page: one watch for each namespace that somebody views, and none without viewers.

A request for results, as from the findings view, keeps the watch open for a minute. So the next request needs no new list.

A viewer first gets all plans that it may see, then the changes. Each viewer has a short queue. A viewer that does not keep up is
disconnected; its browser connects again and begins with all plans.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Collection, Iterator, Sequence

from kubernetes.aio.client import ApiClient, ApiException
from kubernetes.aio.config import ConfigException

from scanplan.client.errors import QueueUnavailable
from scanplan.kube.api import Api
from scanplan.kube.connection import connect
from scanplan.kube.failures import FAILURES, is_forbidden, reason_of
from scanplan.kube.objects import Object
from scanplan.kube.resources import PLANS
from scanplan.kube.watching import Changed, Event, Failed, Listed, Resumed
from scanplan.web.findings import published
from scanplan.web.findings.published import Published
from scanplan.web.ui import events
from scanplan.web.ui.events import Namespaces

log = logging.getLogger("scanplan.api")

ALL = "*"
"""Stands for all namespaces that the viewer may list."""
MAX_VIEWERS = 256
MAX_PER_USER = 32
GATHER_SECONDS = 0.2
"""Seconds that changes are collected, so that they are sent together."""
LINGER_SECONDS = 60.0
"""Seconds that a watch goes on after results were asked for."""
LIST_SECONDS = 20.0
"""Seconds within which all plans have to be listed for a request."""
MOST_LINGERING = 32
"""Most watches that go on only because results were asked for."""
FAREWELL_SECONDS = 0.25
"""Seconds for connections to close at the end."""
PAUSE_SECONDS = 2.0
"""Pause in seconds before a new list after an error."""
UNNAMED_TROUBLE = "some plans can't be read at the moment"
_WAITING = 32
"""Most events that wait for one viewer."""


class Viewer:
    """One open stream. `events` has encoded events; None ends the stream."""

    def __init__(self, user: str = "") -> None:
        self.user = user
        self.events: asyncio.Queue[bytes | None] = asyncio.Queue(_WAITING)
        self.namespaces: Namespaces = frozenset()
        self.begun = False
        """Whether `namespaces` is known."""

    def offer(self, event: bytes | None) -> None:
        """Queue an event. If the queue is full, drop all events and end the stream."""
        if self.events.full():
            while not self.events.empty():
                self.events.get_nowait()
            event = None
        self.events.put_nowait(event)


class Feeds:
    """The feeds of all scopes that are watched; for one event loop."""

    def __init__(self, namespaces: Sequence[str] = ()) -> None:
        """`namespaces`: what `ALL` stands for here; empty: the whole cluster."""
        self._everything = tuple(namespaces) or ("",)
        self._feeds: dict[str, Feed] = {}
        self._lingering: dict[str, asyncio.TimerHandle] = {}
        """Timers that end a watch after a request for results, in the order of the last requests."""
        self._server = _Server()
        self._closed = False

    @contextlib.contextmanager
    def watched(self, scope: str, user: str) -> Iterator[tuple[Feed, Viewer] | None]:
        """Watch a namespace, or `ALL`. Yields None if too many streams are open, by this user or in all, or at shutdown."""
        users = [viewer.user for feed in self._feeds.values() for viewer in feed.viewers]
        if self._closed or len(users) >= MAX_VIEWERS or users.count(user) >= MAX_PER_USER:
            yield None
            return
        feed = self._feed(scope)
        viewer = Viewer(user)
        feed.viewers.add(viewer)
        try:
            yield feed, viewer
        finally:
            feed.viewers.discard(viewer)
            if self._feeds.get(scope) is feed:
                self._stop_unused(scope)

    async def results(self, scope: str) -> Collection[Published]:
        """The results in a namespace, or in `ALL`.

        Raises:
            QueueUnavailable: the plans can't be listed now; it says why.
        """
        feed = self._feed(scope)
        if timer := self._lingering.pop(scope, None):
            timer.cancel()
        while len(self._lingering) >= MOST_LINGERING:
            self._release(next(iter(self._lingering)))
        loop = asyncio.get_running_loop()
        self._lingering[scope] = loop.call_later(LINGER_SECONDS, self._release, scope)
        return await feed.results()

    def _feed(self, scope: str) -> Feed:
        feed = self._feeds.get(scope)
        if feed is None:
            everything = scope == ALL
            feed = Feed(self._server, self._everything if everything else (scope,), is_of_all=everything)
            self._feeds[scope] = feed
        return feed

    def _release(self, scope: str) -> None:
        self._lingering.pop(scope).cancel()
        self._stop_unused(scope)

    def _stop_unused(self, scope: str) -> None:
        feed = self._feeds[scope]
        if not feed.viewers and scope not in self._lingering:
            del self._feeds[scope]
            feed.stop()

    def end(self) -> None:
        """End all streams."""
        self._closed = True
        for feed in self._feeds.values():
            for viewer in feed.viewers:
                viewer.offer(None)

    async def close(self) -> None:
        """Give the connections back."""
        for timer in self._lingering.values():
            timer.cancel()
        for feed in self._feeds.values():
            feed.stop()
        await self._server.close()


class Feed:
    """The plans of a scope, and who watches them."""

    def __init__(self, server: _Server, namespaces: Collection[str], *, is_of_all: bool = True) -> None:
        """
        Args:
            namespaces: each gets a watch of its own; an empty name: the whole cluster.
            is_of_all: nobody has asked for one of them by its name.
        """
        self._is_of_all = is_of_all
        self.viewers: set[Viewer] = set()
        self._server = server
        self._rows: dict[str, Object] = {}
        self._results: dict[str, Published] = {}
        """Results by the UID of their plan. A plan that is scanned again keeps its result here until the next one is there."""
        self._changed: dict[str, Object] = {}
        self._gone: dict[str, str] = {}
        """Namespaces of deleted plans, by UID, since the last message."""
        self._missing = set(namespaces)
        """Namespaces that have not been listed yet."""
        self._forbidden: set[str] = set()
        """Namespaces that this API may not watch now. Where others may be watched, they are left out."""
        self._watched = len(namespaces)
        self._whole = False
        """Whether all namespaces have been listed, but those that are left out."""
        self._troubles: dict[str, str] = {}
        """Why plans can't be read now, by the namespace whose watch has failed."""
        self._begun = asyncio.Event()
        """Set once all namespaces are listed, or a list has failed that may not be left out."""
        self._telling: asyncio.TimerHandle | None = None
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._follow(name), name=f"plans of {name or 'all'}") for name in namespaces]

    def show(self, viewer: Viewer, namespaces: Namespaces) -> None:
        """Let a viewer see the plans of these namespaces only. If that is a change, it gets all of them again."""
        if viewer.begun and viewer.namespaces == namespaces:
            return
        viewer.namespaces, viewer.begun = namespaces, True
        if self._whole:
            viewer.offer(events.snapshot(events.seen(self._rows.values(), namespaces)))
        for namespace, detail in self._troubles.items():
            self._tell_trouble_to(viewer, namespace, detail)

    async def namespaces(self) -> list[str]:
        """The namespaces that have plans, or can't be read; incomplete if a list has failed."""
        await self._begun.wait()
        return sorted({row["namespace"] for row in self._rows.values()} | self._troubles.keys() - {""})

    async def results(self) -> Collection[Published]:
        """The results of all plans.

        Raises:
            QueueUnavailable: they have not been listed.
        """
        try:
            async with asyncio.timeout(LIST_SECONDS):
                await self._begun.wait()
        except TimeoutError:
            raise QueueUnavailable("the plans could not be listed in time") from None
        if not self._whole:
            named = next(iter(self._troubles.values()), "the plans are not all listed yet")
            raise QueueUnavailable(UNNAMED_TROUBLE if self._is_of_all and self._troubles.keys() - {""} else named)
        return self._results.values()

    def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._telling:
            self._telling.cancel()

    # what the watches bring

    async def _follow(self, namespace: str) -> None:
        where = f"in namespace {namespace}" if namespace else "of all namespaces"
        while True:
            try:
                api = Api(await self._server.client())
                async for event in api.watch(PLANS, namespace or None).events():
                    self._take(event, namespace, where)
            except (ConfigException, *FAILURES) as error:
                self._failed(error, namespace, where)
            await asyncio.sleep(PAUSE_SECONDS)

    def _take(self, event: Event, namespace: str, where: str) -> None:
        match event:
            case Changed("DELETED", plan):
                self._drop(plan["metadata"]["uid"])
            case Changed(_, plan):
                self._put(events.row(plan))
                self._put_result(plan)
            case Listed():
                self._listed(namespace)
            case Failed(error):
                self._failed(error, namespace, where)
            case Resumed():
                self._goes_on(namespace)

    def _failed(self, error: Exception, namespace: str, where: str) -> None:
        log.warning("plans %s can't be watched: %s", where, reason_of(error))
        refused = isinstance(error, ApiException) and error.status in {401, 403}
        detail = f"this API may not watch plans {where}" if refused else "the plans can't be read at the moment"
        self._troubles[namespace] = detail
        (self._forbidden.add if is_forbidden(error) else self._forbidden.discard)(namespace)
        if self._missing <= self._forbidden or not is_forbidden(error):
            self._begun.set()
        if not self._whole and self._all_listed():
            self._begin()
            return
        self._tell_trouble(namespace, detail)

    def _listed(self, namespace: str) -> None:
        self._missing.discard(namespace)
        if self._whole or not self._all_listed():
            self._goes_on(namespace)
            return
        self._troubles.pop(namespace, None)
        self._begin()

    def _all_listed(self) -> bool:
        return self._missing <= self._forbidden and len(self._missing) < self._watched

    def _begin(self) -> None:
        """Show viewers all plans, and what could not be read."""
        self._whole = True
        self._begun.set()
        self._changed.clear()
        self._gone.clear()
        for viewer in self.viewers:
            if viewer.begun:
                viewer.offer(events.snapshot(events.seen(self._rows.values(), viewer.namespaces)))
        for namespace, detail in self._troubles.items():
            self._tell_trouble(namespace, detail)

    def _goes_on(self, namespace: str) -> None:
        was_troubled = self._troubles.pop(namespace, None)
        if was_troubled and not self._troubles and self._whole:
            # An empty change tells the page that the trouble is over.
            self._offer(events.event("change", {"plans": [], "gone": []}))

    def _put(self, row: Object) -> None:
        uid = row["uid"]
        if self._rows.get(uid) != row:
            self._rows[uid] = self._changed[uid] = row
            self._tell_soon()

    def _put_result(self, plan: Object) -> None:
        uid, result = plan["metadata"]["uid"], published.read(plan)
        known = self._results.get(uid)
        if result is None:
            self._results.pop(uid, None)
        elif not result.problem or known is None or known.problem:
            self._results[uid] = result

    def _drop(self, uid: str) -> None:
        self._results.pop(uid, None)
        if row := self._rows.pop(uid, None):
            self._changed.pop(uid, None)
            self._gone[uid] = row["namespace"]
            self._tell_soon()

    # what the viewers are told

    def _tell_soon(self) -> None:
        if self._whole and self._telling is None:
            self._telling = asyncio.get_running_loop().call_later(GATHER_SECONDS, self._tell)

    def _tell(self) -> None:
        self._telling = None
        changed, gone = self._changed, self._gone
        self._changed, self._gone = {}, {}
        told: dict[Namespaces, bytes] = {}
        for viewer in self.viewers:
            if viewer.begun and viewer.namespaces not in told:
                told[viewer.namespaces] = events.change(changed, gone, viewer.namespaces)
            if viewer.begun and told[viewer.namespaces]:
                viewer.offer(told[viewer.namespaces])

    def _tell_trouble(self, namespace: str, detail: str) -> None:
        """Say why plans can't be read; the namespace's name is for those who may see its plans."""
        for viewer in self.viewers:
            if viewer.begun:
                self._tell_trouble_to(viewer, namespace, detail)

    def _tell_trouble_to(self, viewer: Viewer, namespace: str, detail: str) -> None:
        may_know = viewer.namespaces is None or namespace in viewer.namespaces
        viewer.offer(events.event("trouble", {"detail": detail if may_know else UNNAMED_TROUBLE}))

    def _offer(self, what: bytes) -> None:
        for viewer in self.viewers:
            viewer.offer(what)


class _Server:
    """One connection to the API server for all watches, made when the first is asked for."""

    def __init__(self) -> None:
        self._client: ApiClient | None = None
        self._connecting = asyncio.Lock()

    async def client(self) -> ApiClient:
        async with self._connecting:
            if self._client is None:
                # Any number of connections: a watch holds one as long as it goes on.
                self._client = await connect("scanplan-api", connections=0)
            return self._client

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()
            # aiohttp does not wait for the TLS shutdown of connections whose request was cancelled
            # (https://docs.aiohttp.org/en/stable/client_advanced.html#graceful-shutdown).
            await asyncio.sleep(FAREWELL_SECONDS)
