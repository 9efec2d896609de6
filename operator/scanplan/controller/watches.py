"""Lists Jobs, plans and pods before any work begins. From then on it watches Jobs; kopf watches plans (`app`)."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from http import HTTPStatus

from scanplan.api import labels
from scanplan.controller import resync
from scanplan.controller.engine.reflector import Reflector
from scanplan.controller.scanplan import Controller
from scanplan.kube.failures import FAILURES, reason_of
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
        """
        doubts = self._controller.store.doubts
        await self.jobs.listed()
        for namespace in self._scope.to_list:
            await self._list_plans(namespace)
        for namespace in self._scope.to_list:
            await self._list_leftovers(namespace, doubts)

    async def join(self, namespace: str) -> None:
        """List a namespace that comes into the scope, in the same order."""
        doubts = self._controller.store.doubts
        await self.jobs.join(namespace)
        await self._list_plans(namespace)
        await self._list_leftovers(namespace, doubts)

    def leave(self, namespace: str) -> None:
        """Forget a namespace that has left the scope."""
        self.jobs.leave(namespace)
        for job in self._controller.store.all_jobs(namespace):
            self._controller.intake.job_event("DELETED", gone(namespace, job.name, job.uid))
        for uid, name in list(self._controller.store.uids.items()):
            if name.namespace == namespace:
                self._controller.intake.drop_plan(name, uid)

    async def _list_plans(self, namespace: str | None) -> None:
        while True:
            plans = self._controller.api.plans(namespace)
            try:
                async for body in plans.objects():
                    self._take_plan(body)
                self.largest_plan = max(self.largest_plan, plans.largest)
                return
            except (*FAILURES, ValueError) as error:  # ValueError: the answer is not JSON
                await self._pause("ScanPlans", error)

    def _take_plan(self, body: dict[str, object]) -> None:
        try:
            self._controller.intake.know_plan(body)
        except Exception:
            log.exception("a plan could not be processed")

    async def _list_leftovers(self, namespace: str | None, doubts: int) -> None:
        while True:
            try:
                await resync.look_for_leftovers(self._controller, namespace, doubts)
                return
            except (*FAILURES, ValueError) as error:  # ValueError: the answer is not JSON
                await self._pause("pods", error)

    async def _pause(self, what: str, error: Exception) -> None:
        missing = what == "ScanPlans" and getattr(error, "status", None) == HTTPStatus.NOT_FOUND
        told = (
            "there are no ScanPlans: is the CRD installed?"
            if missing
            else f"{what} can't be listed: {reason_of(error)}"
        )
        log.warning("%s; trying again in %.0f s", told, PAUSE_SECONDS)
        await asyncio.sleep(PAUSE_SECONDS)
