"""The findings of a running scan over HTTP, as server-sent events."""

from __future__ import annotations

import re

from aiohttp import web

from scanplan.api import names
from scanplan.client.cluster.cluster import Cluster, connect
from scanplan.client.cluster.failure import Failure, NotFound
from scanplan.client.errors import QueueUnavailable, UnknownTask
from scanplan.kube.objects import Object
from scanplan.kube.resources import PLANS
from scanplan.web.api.access import Access, Caller, Wanted
from scanplan.web.api.blocking import Calls
from scanplan.web.artifacts.places import elsewhere
from scanplan.web.running.follows import Claims, Follows
from scanplan.web.ui.streams import stream

_NAMESPACE = re.compile(names.NAMESPACE)


class RunningView:
    """The handler."""

    def __init__(self, access: Access, calls: Calls, claims: Claims, follows: Follows | None, namespace: str) -> None:
        """Composition.

        Args:
            follows: None where the queue has no plans.
            namespace: where a request asks that names none.
        """
        self._access = access
        self._calls = calls
        self._claims = claims
        self._follows = follows
        self._namespace = namespace

    def routes(self) -> list[web.RouteDef]:
        """All routes."""
        return [web.get("/api/v1/tasks/{task_id}/running", self.running, allow_head=False)]

    async def running(self, request: web.Request) -> web.StreamResponse:
        """`snapshot`, then what comes, until the scan or a right ends."""
        wanted = Wanted(request.query.get("namespace", self._namespace), request.match_info["task_id"], True)
        if not _NAMESPACE.fullmatch(wanted.namespace):
            raise web.HTTPBadRequest(text=f"namespace {wanted.namespace!r} is not the name of a namespace")
        caller = await self._admitted(request, wanted)
        if self._follows is None:
            raise web.HTTPNotFound(text="only the kubernetes queue has scans to look at while they run")
        if not self._claims.may_have(wanted.namespace):
            raise elsewhere(f"the volume of namespace {wanted.namespace!r} is not mounted here")
        cluster, plan = await self._calls.run(_plan, wanted.namespace, wanted.name)
        with self._follows.watched(cluster, plan, caller.name) as viewer:
            if viewer is None:
                raise web.HTTPServiceUnavailable(text="you, or all together, follow too many scans: try again later")

            async def check() -> None:
                await self._admitted(request, wanted)

            return await stream(request, viewer.events, check)

    async def _admitted(self, request: web.Request, wanted: Wanted) -> Caller:
        caller = await self._access.identify(request)
        await self._access.check(caller, wanted)
        return caller


def _plan(namespace: str, name: str) -> tuple[Cluster, Object]:
    try:
        cluster = connect(namespace)
        return cluster, cluster.named(PLANS, name)
    except NotFound:
        raise UnknownTask(name) from None
    except Failure as failure:
        raise QueueUnavailable(failure.message) from None
