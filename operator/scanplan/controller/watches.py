"""Lists Jobs, plans and pods before any work begins. From then on it watches Jobs; kopf watches plans (`app`)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from functools import partial
from http import HTTPStatus

from scanplan.api import labels
from scanplan.controller import resync
from scanplan.controller.engine.reflector import Reflector, guarded
from scanplan.controller.scanplan import Controller
from scanplan.kube.failures import FAILURES, is_forbidden, reason_of
from scanplan.kube.objects import gone
from scanplan.kube.resources import JOBS

log = logging.getLogger("scanplan.watches")

PAUSE_SECONDS = 2.0
"""Before a list that has failed is asked for again."""


class Watches:
    """The watch of Jobs, and the first lists of plans and pods, of the namespaces in the operator's scope."""

    def __init__(self, controller: Controller) -> None:
        watch = partial(controller.api.watch, JOBS, selector=labels.TASK, within=controller.scope.stores)
        self.jobs = Reflector("Jobs", watch, controller.intake.job_event, controller.scope)
        self.largest_plan = 0
        """Bytes of the largest plan that was listed."""
        self._controller = controller
        self._scope = controller.scope

    async def everything_listed(self) -> None:
        """Wait for the Jobs' lists, list the plans, and then the pods that outlive their Jobs.

        Jobs are listed first. Otherwise a plan with a running Job would look as if it had none. Nothing is done about plans yet.
        A namespace that refuses one of the lists is left out, so that it stops nobody else's scans; where all refuse, they wait.
        """
        doubts = self._controller.store.doubts
        self._leave_out("Jobs", await self.jobs.listed())
        self._leave_out("ScanPlans", await self._list("ScanPlans", self._list_plans, self._scope.to_list))
        leftovers = partial(resync.look_for_leftovers, self._controller, doubts=doubts)
        self._leave_out("pods", await self._list("pods", leftovers, self._scope.to_list))

    async def join(self, namespace: str) -> None:
        """List a namespace that comes into the scope, in the same order."""
        doubts = self._controller.store.doubts
        await self.jobs.join(namespace)
        await self._list("ScanPlans", self._list_plans, [namespace])
        leftovers = partial(resync.look_for_leftovers, self._controller, doubts=doubts)
        await self._list("pods", leftovers, [namespace])

    def leave(self, namespace: str) -> None:
        """Forget a namespace that has left the scope."""
        self.jobs.leave(namespace)
        for job in self._controller.store.all_jobs(namespace):
            self._controller.intake.job_event("DELETED", gone(namespace, job.name, job.uid))
        for uid, name in list(self._controller.store.uids.items()):
            if name.namespace == namespace:
                self._controller.intake.drop_plan(name, uid)

    async def _list(
        self, what: str, list_in: Callable[[str | None], Awaitable[None]], namespaces: Sequence[str | None]
    ) -> Collection[str | None]:
        """Wait until each namespace is listed or its list refused, and at least one is listed; returns those that refuse."""
        left, told = namespaces, ""
        while left:
            failures: dict[str | None, Exception] = {}
            for namespace in left:
                try:
                    await list_in(namespace)
                except (*FAILURES, ValueError) as error:  # ValueError: the answer is not JSON
                    failures[namespace] = error
            if len(failures) < len(namespaces) and all(map(is_forbidden, failures.values())):
                return list(failures)
            trouble = _trouble(what, next(iter(failures.values())))
            if trouble != told:
                log.warning("%s; trying again every %.0f s", trouble, PAUSE_SECONDS)
            left, told = list(failures), trouble
            await asyncio.sleep(PAUSE_SECONDS)
        return ()

    def _leave_out(self, what: str, namespaces: Collection[str | None]) -> None:
        """Do nothing about namespaces until they have joined (`namespaces`)."""
        for namespace in namespaces:
            if namespace is not None:  # if the whole cluster refuses, nothing else is listed either
                self._scope.add(namespace, ready=False)
                log.warning(
                    "namespace %s is left out: the operator may not list %s there. It joins when the operator has the right to "
                    "list Jobs, ScanPlans and pods. If it is gone for good, take it off the operator's namespaces",
                    namespace,
                    what,
                )

    async def _list_plans(self, namespace: str | None) -> None:
        plans = self._controller.api.plans(namespace)
        async for body in plans.objects():
            with guarded("ScanPlans", body):
                self._controller.intake.know_plan(body)
        self.largest_plan = max(self.largest_plan, plans.largest)


def _trouble(what: str, error: Exception) -> str:
    if what == "ScanPlans" and getattr(error, "status", None) == HTTPStatus.NOT_FOUND:
        return "there are no ScanPlans: is the CRD installed?"
    return f"{what} can't be listed: {reason_of(error)}"
