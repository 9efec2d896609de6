"""Watches ScanExceptions, and writes into their conditions what the results of their namespace say of them.

One namespace at a time is looked at: soon after one of its exceptions has changed, some seconds after a result came, and when the
next of them expires. A condition is written where it differs. So a thousand plans that end at once cost one look.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime
from functools import partial
from typing import Any

from kubernetes.aio.client import ApiException

from scanplan.api.v1alpha1.scanexception import ScanExceptionStatus
from scanplan.api.v1alpha1.scanplan_status import ScanPlanStatus
from scanplan.controller.cache.exceptions import KnownExceptions
from scanplan.controller.engine import worker
from scanplan.controller.engine.reflector import Reflector
from scanplan.controller.engine.workqueue import ObjectName, WorkQueue
from scanplan.controller.observer import Observer
from scanplan.controller.scanplan import Controller
from scanplan.core.exceptions import statuses
from scanplan.core.exceptions.statuses import Known
from scanplan.core.planning.task import Plan
from scanplan.kube.failures import UNREACHABLE, retry_after
from scanplan.kube.objects import merge_patch
from scanplan.kube.resources import EXCEPTIONS

log = logging.getLogger("scanplan.exceptions")

SOON_SECONDS = 0.5
"""After a change of an exception: files of many come at once."""
RESULTS_SECONDS = 5.0
"""After a result: scans of many plans end at once."""
LONGEST_SECONDS = 6 * 3_600.0
"""Until the next look: clocks are changed, and timers run on."""


class ExceptionController(Observer):
    """Keeps the conditions of ScanExceptions true until cancelled."""

    def __init__(self, plans: Controller, queue: WorkQueue) -> None:
        """Builds a controller that does nothing until `reflector.run` and `run`.

        Args:
            plans: of the ScanPlans, whose store knows the exceptions too.
            queue: the namespaces to look at, each as a name without a name.
        """
        self._api = plans.api
        self._known: KnownExceptions = plans.store.exceptions
        self._max_days = plans.policy.exception_max_days
        self._now = plans.now
        self._queue = queue
        self._scope = plans.scope
        watch = partial(self._api.watch, EXCEPTIONS, within=self._scope.stores)
        self.reflector = Reflector("ScanExceptions", watch, self.exception_event, self._scope)
        """What is known of them; scans don't wait for the right to list exceptions."""

    # what it hears

    def exception_event(self, kind: str | None, body: dict[str, Any]) -> None:
        """An exception was listed (None), added, modified or deleted."""
        metadata = body["metadata"]
        if kind == "DELETED":
            self._known.drop(metadata["namespace"], metadata["name"], metadata["uid"])
        elif self._known.put(body, self._now()):
            self._look(metadata["namespace"], SOON_SECONDS)

    def plan_changed(self, before: Plan | None, after: Plan | None, now: datetime) -> None:  # noqa: ARG002 - as all observers
        """A result came, or is gone."""
        if (before.status.exceptions if before else None) != (after.status.exceptions if after else None):
            plan = after or before
            assert plan is not None  # noqa: S101 - one of them is always there
            self._look(plan.namespace, RESULTS_SECONDS)

    def status_written(self, plan: Plan, status: ScanPlanStatus) -> None:
        """A result came."""
        if plan.status.exceptions != status.exceptions:
            self._look(plan.namespace, RESULTS_SECONDS)

    def _look(self, namespace: str, seconds: float) -> None:
        self._queue.add_after(ObjectName(namespace, ""), seconds)

    # the loop

    def begin(self, namespace: str) -> None:
        """Look at a namespace whose plans and exceptions are all known."""
        self._look(namespace, 0.0)

    async def run(self) -> None:
        """Look at namespaces as they come."""
        for namespace in self._known:
            self.begin(namespace)
        await worker.run(self._queue, self.look, log)

    async def look(self, name: ObjectName) -> None:
        """Write the statuses of a namespace's exceptions, where they differ.

        Raises:
            Exception: the first failure, of the server or of one exception. The latter comes when all others were looked at.
        """
        namespace = name.namespace
        uses, now = self._known.uses(namespace), self._now()
        failed: Exception | None = None
        for each in self._known.of(namespace):
            await asyncio.sleep(0)  # a thousand exceptions over ten thousand plans would be one long turn
            if not self._scope.is_ready(namespace):
                return
            if each.unreadable:
                continue
            try:
                await self._update(namespace, each, statuses.of(each, uses, self._max_days, now))
            except Exception as error:
                if isinstance(error, UNREACHABLE) or retry_after(error):
                    raise
                error.add_note(f"ScanException {namespace}/{each.name}")
                failed = failed or error
        if end := self._known.next_end(namespace, now):
            self._look(namespace, min(LONGEST_SECONDS, (end - now).total_seconds()))
        if failed:
            raise failed

    async def _update(self, namespace: str, known: Known, status: ScanExceptionStatus) -> None:
        """Write a status, where it differs."""
        if status != known.status:
            change = merge_patch(known.status.document(), status.document())
            patch = {"metadata": {"resourceVersion": known.resource_version}, "status": change}
            await self._write(namespace, known.name, patch)

    async def _write(self, namespace: str, name: str, patch: dict[str, Any]) -> None:
        """One merge patch; where the exception has changed or gone since, the watch brings it back here."""
        try:
            body = await self._api.patch_status(EXCEPTIONS, namespace, name, patch)
        except ApiException as error:
            if error.status not in {404, 409}:
                raise
        else:
            self._known.put(body, self._now())
