"""The loop around the reconcile of schedules: observe one, decide, act, and write its status once.

Runs are ScanPlans: the plans' controller takes in each one that is made here, and tells of their changes as to any observer. A
schedule is looked at when it or one of its runs changes, and at its next time; nothing is polled.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import datetime, tzinfo
from functools import partial
from typing import Any

from kubernetes.aio.client import ApiException

from scanplan.api import labels
from scanplan.api.v1alpha1.scanplan_status import ScanPlanStatus
from scanplan.api.v1alpha1.scanschedule import ScanScheduleStatus
from scanplan.controller.cache.schedules import Schedules
from scanplan.controller.engine import worker
from scanplan.controller.engine.reflector import Reflector
from scanplan.controller.engine.workqueue import ObjectName, WorkQueue
from scanplan.controller.failing import NoFixedPoint
from scanplan.controller.observer import Observer
from scanplan.controller.scanplan import MAX_STEPS, Controller
from scanplan.controller.writes.recorder import record
from scanplan.controller.writes.writing import Changed, Gone, Written, write_status
from scanplan.core.planning.task import Plan
from scanplan.core.schedule import rescan
from scanplan.core.schedule.decision import Act, Action, CancelRun, CreateRun, DeleteRun, Observed, Refusal, Write
from scanplan.core.schedule.reconcile import reconcile
from scanplan.core.schedule.schedule import Schedule
from scanplan.kube.failures import message_of
from scanplan.kube.resources import PLANS, SCHEDULES

log = logging.getLogger("scanplan.schedules")

WORKERS = 4
"""Schedules that are worked on at the same time."""


class ScheduleController(Observer):
    """Reconciles schedules until cancelled."""

    def __init__(self, plans: Controller, schedules: Schedules, queue: WorkQueue, zones: Mapping[str, tzinfo]) -> None:
        """Builds a controller that does nothing until `run`.

        Args:
            plans: of the ScanPlans that the runs are.
            schedules: the known schedules.
            queue: the names of schedules to look at.
            zones: time zones by their IANA names.
        """
        self._plans = plans
        self._api = plans.api
        self._schedules = schedules
        self._queue = queue
        self._zones = zones
        self._now: Callable[[], datetime] = plans.now
        watch = partial(self._api.watch, SCHEDULES, within=plans.scope.is_ready)
        self.reflector = Reflector("ScanSchedules", watch, self.schedule_event, plans.scope)

    async def run(self) -> None:
        """Watch and work; ends only when cancelled. Begin it when all plans are listed: a run that is there is made already."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.reflector.run())
            for _ in range(WORKERS):
                group.create_task(worker.run(self._queue, self.reconcile, log))

    # what it hears

    def schedule_event(self, kind: str | None, body: dict[str, Any]) -> None:
        """A schedule was listed (None), added, modified or deleted."""
        name = ObjectName(body["metadata"]["namespace"], body["metadata"]["name"])
        if kind == "DELETED":
            self._schedules.drop(name, body["metadata"]["uid"])
        elif self._schedules.put(body) or kind is None:
            self._queue.add(name)

    def reconcile_all(self) -> None:
        """Queue all schedules, in case the wall clock was set."""
        for name in self._schedules:
            self._queue.add(name)

    def plan_changed(self, before: Plan | None, after: Plan | None, now: datetime) -> None:  # noqa: ARG002 - as all observers
        """A run was changed or deleted."""
        for plan in (before, after):
            self._look_at_owner(plan)

    def status_written(self, plan: Plan, status: ScanPlanStatus) -> None:  # noqa: ARG002 - as all observers
        """A run goes on or has ended."""
        self._look_at_owner(plan)

    def _look_at_owner(self, plan: Plan | None) -> None:
        if plan and plan.schedule:
            self._queue.add(ObjectName(plan.namespace, plan.schedule.name))

    # the loop

    async def reconcile(self, name: ObjectName) -> None:
        """Bring one schedule to where nothing is to be done now."""
        refusal: Refusal | None = None
        for _ in range(MAX_STEPS):
            schedule = self._schedules.get(name)
            if schedule is None:
                return
            runs = self._plans.store.runs.of(name.namespace, schedule.uid)
            now = self._now()
            templates = rescan.digest(schedule, self._plans.policy)
            observed = Observed(schedule=schedule, runs=runs, zones=self._zones, templates=templates, refusal=refusal)
            match reconcile(observed, now):
                case Act(actions):
                    for action in actions:
                        refusal = await self._act(schedule, action)
                case Write() as decision:
                    await self._write(schedule, decision)
                    if decision.decide_again_at:
                        self._queue.add_after(name, max(0.0, (decision.decide_again_at - now).total_seconds()))
                    return
        raise NoFixedPoint(f"no fixed point after {MAX_STEPS} decisions")

    async def _act(self, schedule: Schedule, action: Action) -> Refusal | None:
        match action:
            case CreateRun():
                return await self._create(schedule, action)
            case CancelRun(run):
                patch = {"metadata": {"uid": run.uid}, "spec": {"cancel": True}}
                await self._tolerant(schedule, run.name, self._api.patch_plan(schedule.namespace, run.name, patch))
            case DeleteRun(run):
                await self._tolerant(schedule, run.name, self._api.delete_plan(schedule.namespace, run.name, run.uid))
        return None

    async def _create(self, schedule: Schedule, action: CreateRun) -> Refusal | None:
        """POST is the lock: whoever finds the name taken takes over what is there."""
        alone = self._plans.actions.alone
        if alone and not alone():
            raise TimeoutError("the lease may have run out, and another operator be at work")
        if not alone and not await self._is_fresh(schedule):
            return None
        try:
            body = await self._api.create_plan(schedule.namespace, action.manifest)
        except ApiException as error:
            match error.status:
                case 409:
                    return await self._look_up(schedule, action.name)
                case 403:
                    # A quota's 403 hides that the name is taken.
                    found = await self._look_up(schedule, action.name)
                    return found if found else self._unless_known(schedule, action, message_of(error))
                case 400 | 422:
                    return Refusal.invalid(action.name, message_of(error))
            raise
        self._plans.intake.plan_event("ADDED", body)
        log.info("schedule %s/%s: created run %s", schedule.namespace, schedule.name, action.name)
        return None

    def _unless_known(self, schedule: Schedule, action: CreateRun, message: str) -> Refusal | None:
        runs = self._plans.store.runs.of(schedule.namespace, schedule.uid)
        return None if any(run.name == action.name for run in runs) else Refusal.forbidden(action.name, message)

    async def _look_up(self, schedule: Schedule, run: str) -> Refusal | None:
        """Take in the plan that has a run's name, if there is one; a refusal where it is not this schedule's."""
        try:
            body = await self._api.get(PLANS, schedule.namespace, run)
        except ApiException as error:
            if error.status != 404:
                raise
            self._forget(schedule, run)
            return None
        self._plans.intake.plan_event("MODIFIED", body)
        runs = self._plans.store.runs.of(schedule.namespace, schedule.uid)
        return None if any(each.name == run for each in runs) else Refusal.name_conflict(run)

    def _forget(self, schedule: Schedule, run: str) -> None:
        name = ObjectName(schedule.namespace, run)
        known = self._plans.store.plans.version(name)
        if known:
            gone = {"metadata": {"namespace": name.namespace, "name": name.name, "uid": known[0]}}
            self._plans.intake.plan_event("DELETED", gone)

    async def _tolerant(self, schedule: Schedule, run: str, request: Any) -> None:
        """Change a run, and take in what became of it; one that is gone or another one by now is left alone."""
        try:
            await request
        except ApiException as error:
            if error.status not in {404, 409}:
                raise
        await self._look_up(schedule, run)

    async def _is_fresh(self, schedule: Schedule) -> bool:
        """Whether the schedule is as it was decided upon: another operator may have started the run, and seen its end."""
        try:
            self._schedules.put(await self._api.get(SCHEDULES, schedule.namespace, schedule.name))
        except ApiException as error:
            if error.status != 404:
                raise
            self._schedules.drop(ObjectName(schedule.namespace, schedule.name), schedule.uid)
        known = self._schedules.get(ObjectName(schedule.namespace, schedule.name))
        return known is not None and known.resource_version == schedule.resource_version

    async def _write(self, schedule: Schedule, decision: Write) -> None:
        if decision.status is None or not await self._write_status(schedule, decision.status):
            return
        for event in decision.events:
            await record(self._api, schedule, event, self._now(), labels.SCHEDULE_KIND)

    async def _write_status(self, schedule: Schedule, status: ScanScheduleStatus) -> bool:
        """Whether it was written."""
        name = ObjectName(schedule.namespace, schedule.name)
        match await write_status(self._api, SCHEDULES, schedule, status):
            case Gone():
                self._schedules.drop(name, schedule.uid)
            case Changed(body):
                self._schedules.put(body)
                self._queue.add(name)
            case Written(body):
                self._schedules.put(body)
                return True
        return False
