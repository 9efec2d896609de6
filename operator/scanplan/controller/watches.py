"""Takes in what there is before any work begins, and the changes of Jobs from then on; those of plans come by kopf (`app`)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from http import HTTPStatus

from scanplan.controller import resync
from scanplan.controller.engine.reflector import Reflector
from scanplan.controller.scanplan import Controller
from scanplan.kube.failures import FAILURES, reason_of

log = logging.getLogger("scanplan.watches")

PAUSE_SECONDS = 2.0
"""Before a list that has failed is asked for again."""


class Watches:
    """What one operator takes in, of the namespaces that it watches ([None]: of the whole cluster)."""

    def __init__(self, controller: Controller, namespaces: Sequence[str | None]) -> None:
        self.jobs = Reflector("Jobs", controller.api.watch_jobs, controller.intake.job_event, namespaces)
        self.largest_plan = 0
        """Bytes of the largest plan that was listed."""
        self._controller = controller
        self._namespaces = namespaces

    async def everything_listed(self) -> None:
        """Wait for the Jobs' lists, list the plans, and then the pods that outlive their Jobs.

        The Jobs come first, so that no plan with a running one seems to have none. Nothing is done about the plans yet.
        """
        doubts = self._controller.store.doubts
        await self.jobs.listed()
        for namespace in self._namespaces:
            await self._listed_plans(namespace)
        for namespace in self._namespaces:
            await self._listed_leftovers(namespace, doubts)

    async def _listed_plans(self, namespace: str | None) -> None:
        while True:
            plans = self._controller.api.plans(namespace)
            try:
                async for body in plans.objects():
                    self._take_plan(body)
                self.largest_plan = max(self.largest_plan, plans.largest)
                return
            except FAILURES as error:
                await self._pause("ScanPlans", error)

    def _take_plan(self, body: dict[str, object]) -> None:
        try:
            self._controller.intake.know_plan(body)
        except Exception:
            log.exception("a plan could not be taken in")

    async def _listed_leftovers(self, namespace: str | None, doubts: int) -> None:
        while True:
            try:
                await resync.look_for_leftovers(self._controller, namespace, doubts)
                return
            except FAILURES as error:
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
