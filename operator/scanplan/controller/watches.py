"""What the cluster tells: kopf lists and watches plans and Jobs, and brings relists, bookmarks and reconnects.

This is kopf's layer below its handlers. These take a task, a queue and two causes for each event, a third of the operator's CPU
when they were in between, and don't say when a list is over; here each object goes straight to the controller.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

import kopf
from kopf._cogs.clients.errors import APIError
from kopf._cogs.clients.watching import Bookmark, WatchingError, infinite_watch
from kopf._cogs.structs.references import Namespace, NamespaceName, Resource

from scanplan.api import labels
from scanplan.controller import resync
from scanplan.controller.scanplan import Controller
from scanplan.kube import api as apis

log = logging.getLogger("scanplan.watches")

PLANS = Resource(labels.GROUP, labels.VERSION, labels.PLURAL, namespaced=True)
JOBS = Resource("batch", "v1", "jobs", namespaced=True)
BACKOFF_SECONDS = 2.0
"""Before a watch that has ended with an error begins again."""
RETRY_SECONDS = (1.0, 2.0, 4.0)
"""Before each further try of a request that has failed; kopf's own go up to 21 s, in which a server that is back has no watch."""

Take = Callable[[str | None, dict[str, Any]], object]
"""Kind of the event (None: of a list) and the object."""


def _settings() -> kopf.OperatorSettings:
    """Kopf's settings for a process in which it watches and does nothing else: no peers, no Events, no look for other kinds."""
    chosen = kopf.OperatorSettings()
    chosen.posting.enabled = False
    chosen.peering.standalone = True
    chosen.scanning.disabled = True
    chosen.networking.request_timeout = apis.REQUEST_SECONDS
    chosen.networking.error_backoffs = RETRY_SECONDS
    chosen.watching.chunk_size = apis.PAGE
    chosen.watching.label_selectors["batch", "v1", "jobs"] = labels.TASK
    return chosen


class Watches:
    """The watches of one operator: for a process of kopf's, which has the credentials."""

    def __init__(self, controller: Controller, namespaces: Sequence[str | None]) -> None:
        """`namespaces`: those to be watched; [None]: the whole cluster."""
        self.settings = _settings()
        """What kopf's process has to be run with."""
        self.relisted = asyncio.Event()
        """Set whenever a list is over that was not a watch's first."""
        self._controller = controller
        self._namespaces = namespaces

    async def begin(self, group: asyncio.TaskGroup) -> None:
        """Watch in the group from now on; returns when everything has been listed.

        First the Jobs, so that no plan with a running one seems to have none; at last the pods that outlive theirs.
        """
        doubts = self._controller.store.doubts
        await self._listed(group, JOBS, self._controller.job_event, self._controller.job_event)
        await self._listed(group, PLANS, self._know_plan, self._controller.plan_event)
        for namespace in self._namespaces:
            await self._look_for_leftovers(namespace, doubts)

    async def _listed(self, group: asyncio.TaskGroup, resource: Resource, first: Take, take: Take) -> None:
        """Watch all namespaces from now on; returns when each has been listed, by then `first` has had all that was there."""
        lists = []
        for namespace in self._namespaces:
            listed = asyncio.Event()
            lists.append(listed)
            of = NamespaceName(namespace) if namespace else None
            group.create_task(self._watch(resource, of, first, take, listed))
        for listed in lists:
            await listed.wait()

    async def _watch(
        self, resource: Resource, namespace: Namespace, first: Take, take: Take, listed: asyncio.Event
    ) -> None:
        """Without end: a watch that can't go on begins again."""
        while True:
            try:
                async for event in infinite_watch(settings=self.settings, resource=resource, namespace=namespace):
                    if event is Bookmark.LISTED:
                        (self.relisted if listed.is_set() else listed).set()
                    elif not isinstance(event, Bookmark) and event["type"] != "BOOKMARK":
                        _take(take if listed.is_set() else first, event["type"], dict(event["object"]))
            except (APIError, WatchingError) as error:
                log.warning("%s; trying again in %.0f s", _complaint(resource, error), BACKOFF_SECONDS)
                await asyncio.sleep(BACKOFF_SECONDS)

    def _know_plan(self, _: str | None, body: dict[str, Any]) -> None:
        self._controller.know_plan(body)

    async def _look_for_leftovers(self, namespace: str | None, doubts: int) -> None:
        while True:
            try:
                await resync.look_for_leftovers(self._controller, namespace, doubts)
                return
            except apis.FAILURES as error:
                log.warning("pods can't be listed, trying again in %.0f s: %r", BACKOFF_SECONDS, error)
                await asyncio.sleep(BACKOFF_SECONDS)


def _take(take: Take, kind: str | None, body: dict[str, Any]) -> None:
    try:
        take(kind, body)
    except Exception:
        # A bug of ours that one object brings to light is no reason to hear nothing of all others.
        log.exception("an event of %s could not be taken in", body.get("metadata", {}).get("name"))


def _complaint(resource: Resource, error: APIError | WatchingError) -> str:
    if isinstance(error, APIError) and error.status == 404:
        return f"there are no {resource.plural}: is the CRD installed?"
    reason = error.message if isinstance(error, APIError) else error
    return f"{resource.plural} can't be watched: {reason}"
