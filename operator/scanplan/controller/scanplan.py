"""The loop around the reconcile: observe a plan, decide, act, and write its status once.

Workers take plan names from the queue. The controller carries out the actions and stores the answers before it decides again. So
a status only says what has really happened. After an error of the API server, the plan is queued again with a delay.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Container, Mapping, Sequence
from datetime import datetime, tzinfo

from scanplan.api.v1alpha1.scanplan_status import ScanPlanStatus
from scanplan.controller.cache.store import Store, waiting_entry
from scanplan.controller.engine import worker
from scanplan.controller.engine.backoff import Backoff
from scanplan.controller.engine.budget import Postponed
from scanplan.controller.engine.workqueue import ObjectName, WorkQueue
from scanplan.controller.failing import NoFixedPoint, told
from scanplan.controller.intake import Intake
from scanplan.controller.observer import Observer
from scanplan.controller.reads.reading import Reading
from scanplan.controller.reads.sharing import Alone, Sharing
from scanplan.controller.reads.zones import ZONES
from scanplan.controller.writes.actions import Actions, Answers
from scanplan.controller.writes.recorder import record
from scanplan.controller.writes.writing import Changed, Gone, Written, write_status
from scanplan.core.observed.pods import PodView
from scanplan.core.planning.policy import Policy
from scanplan.core.planning.sources import has_ranges
from scanplan.core.planning.task import Plan
from scanplan.core.reconcile import reconcile
from scanplan.core.reconcile.decision import (
    Act,
    Decision,
    NeedInputs,
    NeedPods,
    NeedWorkload,
    Observed,
    Write,
)
from scanplan.core.status import statuses
from scanplan.kube.api import Api
from scanplan.kube.failures import FAILURES, reason_of
from scanplan.kube.resources import PLANS

log = logging.getLogger("scanplan.controller")

MAX_STEPS = 24
"""Maximum number of decisions in a row for one generation of a plan. The most seen was 13: two operators raced for one Job, and
read inputs again after each action. A plan that needs about twice as many will not reach a fixed point."""
LONG_BYTES = 1 << 17
"""From this size of inputs on, which takes about 50 ms to parse, the decision runs in a thread. So does one with address ranges,
which may take seconds."""


class _All(Container[str]):
    """A container that has every name."""

    def __contains__(self, name: object) -> bool:
        return True


ALL_NAMES = _All()


class Controller:
    """Reconciles plans until cancelled."""

    def __init__(
        self,
        api: Api,
        store: Store,
        queue: WorkQueue,
        policy: Policy,
        now: Callable[[], datetime] | None = None,
        sharing: Sharing | None = None,
        observers: Sequence[Observer] = (),
        zones: Mapping[str, tzinfo] = ZONES,
    ) -> None:
        """Builds a controller that does nothing until `run`.

        Args:
            api: the API server.
            store: what is known of the cluster.
            queue: the names of plans to look at.
            policy: what the operator's owner allows.
            now: the present time, by default the API server's; tests put their own clock in its place.
            sharing: shares tasks with other clusters; None: tasks are not shared.
            observers: are told what has happened, in this order.
            zones: time zones by their IANA names.
        """
        self.api = api
        self.scope = store.scope
        self.store = store
        self.queue = queue
        self.policy = policy
        self.now = now or api.clock.now
        self._observers = list(observers)
        self.intake = Intake(store, queue, policy.worker_concurrency, self.now, self._observers)
        self.actions = Actions(api, store, self.intake, sharing or Alone())
        self.reading = Reading(api, store, queue)
        self._backoff = Backoff()
        self._long = asyncio.Lock()
        """Held while a long list of targets is parsed. Several at a time would be no faster, and would take more memory."""
        self._zones = zones

    def observe(self, *observers: Observer) -> None:
        """Tell these too what has happened, after the others: controllers of other kinds, which are made with this one."""
        self._observers.extend(observers)

    async def run(self, workers: int) -> None:
        """Run workers until cancelled. One namespace gets at most three quarters of them, and at least one."""
        self.queue.share = max(1, workers * 3 // 4)
        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(worker.run(self.queue, self.reconcile, log, self._ended))

    def begin(self, namespace: str | None = None) -> None:
        """Queue all plans; called when everything is listed. Unfinished plans go first, ahead of thousands of ended ones.

        Args:
            namespace: only this one's plans.
        """
        for name in (*self.store.plans.unfinished(), *self.store.plans):
            if namespace in {None, name.namespace}:
                self.queue.add(name)

    def look_at_windows(self) -> None:
        """Queue the plans with time windows, in case the wall clock was set. Timers don't notice that."""
        for name in self.store.plans.with_windows():
            self.queue.add(name)

    async def _ended(self, name: ObjectName, seconds: float, failure: Exception | None) -> None:
        if failure:
            await self._tell(name, failure)
        for observer in self._observers:
            observer.reconciled(seconds, failure)

    async def _tell(self, name: ObjectName, error: Exception) -> None:
        """Write why a reconcile failed into the plan's status, if the failure is likely to last (`failing.told`)."""
        words = told(error, self.queue.failures(name))
        if words is None:
            return
        try:
            plan = await self.reading.plan(name, None)
            status = statuses.of_failing(plan, *words, self.now()) if plan else None
            if plan and status:
                await self._write_status(plan, status)
        except (Postponed, *FAILURES) as second:
            log.warning("%s: the failure can't be written to its status: %s", name, reason_of(second))
        finally:
            self.reading.release(name)

    async def reconcile(self, name: ObjectName) -> None:
        """Reconcile one plan until nothing is left to do now. If memory is short, the plan is queued again once there is some."""
        try:
            await self._reconcile(name)
        except Postponed:
            log.debug("%s: waits for memory", name)
        finally:
            self.reading.release(name)

    async def _reconcile(self, name: ObjectName) -> None:
        if not self.scope.is_ready(name.namespace):
            return None  # when the namespace is ready, all its plans are queued
        answers = Answers()
        plan: Plan | None = None
        while True:
            plan = await self.reading.plan(name, plan)
            if plan is None:
                self._backoff.forget(name)
                return None
            if (answers.uid, answers.generation) != (plan.uid, plan.generation):
                answers = Answers(plan.uid, plan.generation)
            decision = await self._decide(plan, answers)
            match decision:
                case NeedInputs(references):
                    answers.inputs = await self.reading.inputs(plan, references)
                case NeedPods(task):
                    answers.pods_of, answers.job_then = task, self._job_state(plan, task)
                    answers.pods = await self.reading.pods(plan.namespace, task)
                case NeedWorkload(job):
                    answers.workload = await self.reading.workload(job)
                case Act(actions):
                    self._set_waiting(name, plan, waiting=False)
                    for action in actions:
                        answers.rejection = await self.actions.carry_out(plan, action, answers)
                    # Free the memory. If a later decision needs the inputs, it asks for them again.
                    answers.pods = answers.inputs = None
                case Write():
                    self._set_waiting(name, plan, decision.queued)
                    answers.inputs = None
                    return await self._write(plan, decision)
            answers.steps += 1
            if answers.steps >= MAX_STEPS:
                raise NoFixedPoint(f"no fixed point after {MAX_STEPS} decisions, the last one is {_named(decision)}")

    async def _write(self, plan: Plan, decision: Write) -> None:
        """Write the status that was decided on, with its Event, and look again when the decision asks for it."""
        if decision.status is not None:
            written = await self._write_status(plan, decision.status)
            if written and decision.event:
                await record(self.api, plan, decision.event, self.now())
        name, after = ObjectName(plan.namespace, plan.name), decision.requeue_after
        if after is None or decision.requeue_max is None:
            self._backoff.forget(name)
        else:
            after = self._backoff.next(name, (plan.uid, plan.generation), after, decision.requeue_max)
        if decision.decide_again_at:
            left = max(0.0, (decision.decide_again_at - self.now()).total_seconds())
            after = left if after is None else min(after, left)
        if after is not None:
            self.queue.add_after(name, after)

    async def _decide(self, plan: Plan, answers: Answers) -> Decision:
        """Decide. Many targets are parsed in a thread: it may take seconds, and would hold up other plans and the lease."""
        observed = self._observe(plan, answers)
        inputs = observed.inputs or {}
        size = sum(each.size for each in inputs.values())
        if size < LONG_BYTES and not (inputs and has_ranges(observed.plan.spec, inputs)):
            return reconcile.reconcile(observed, self.now())
        async with self._long:
            while True:
                observed = self._observe(plan, answers)
                decision = await asyncio.to_thread(reconcile.reconcile, observed, self.now())
                if observed.free_slots <= 0 or self._free_slots(plan) > 0:
                    return decision
                # Another plan has taken the last free slot meanwhile.

    def _pods(self, plan: Plan, answers: Answers) -> tuple[PodView, ...] | None:
        """The listed pods; None where their Job was created, deleted or has ended since the list.

        Such a list may lack the last report, or a pod that is still alive.
        """
        return answers.pods if self._job_state(plan, answers.pods_of) == answers.job_then else None

    def _job_state(self, plan: Plan, name: str) -> tuple[str, bool] | None:
        job = self.store.jobs(plan.namespace).get(name)
        return (job.uid, job.finished) if job else None

    def _set_waiting(self, name: ObjectName, plan: Plan, waiting: bool) -> None:
        if self.store.set_waiting(name, waiting_entry(plan) if waiting else None):
            # Plans that wait for a slot after this one get no event, so wake them here.
            self.intake.wake_waiting(name.namespace)

    def _observe(self, plan: Plan, answers: Answers) -> Observed:
        owned = self.store.owned(plan)
        partners = {name for job in owned for name in self.store.owners_of(job)} - {
            ObjectName(plan.namespace, plan.name)
        }
        return Observed(
            plan=plan.with_defaults(self.policy.scan_defaults),
            policy=self.policy,
            jobs=self.store.jobs(plan.namespace),
            owned=owned,
            doubted=self.store.doubted(plan.namespace) if self.actions.alone else ALL_NAMES,
            plans=self.store.uids,
            partners=tuple(
                self.store.plans.brief(each).with_defaults(self.policy.scan_defaults) for each in sorted(partners)
            ),
            inputs=answers.inputs,
            exceptions=self.store.exceptions.handed(plan.namespace, self.policy.exception_max_days, self.now()),
            pods=self._pods(plan, answers),
            admissions=self.store.own_acts.admissions,
            no_workload=answers.no_workload,
            workload=answers.workload,
            documented=self.store.own_acts.documented,
            rejection=answers.rejection,
            free_slots=self._free_slots(plan),
            last_write=self.store.own_acts.written.get(ObjectName(plan.namespace, plan.name)),
            has_later_run=self.store.runs.supersede(plan),
            zones=self._zones,
        )

    def _free_slots(self, plan: Plan) -> int:
        return self.store.free_slots(plan, self.policy.worker_concurrency)

    async def _write_status(self, plan: Plan, status: ScanPlanStatus) -> bool:
        """Write a status; False where the plan has changed meanwhile, or is gone."""
        name = ObjectName(plan.namespace, plan.name)
        match await write_status(self.api, PLANS, plan, status):
            case Gone():
                self.intake.drop_plan(name, plan.uid)
                return False
            case Changed(body):
                self.intake.put_plan(body)
                self.queue.add(name)
                return False
            case Written(body):
                self.store.put_plan(body)
        self.store.own_acts.written[name] = self.now()
        for observer in self._observers:
            observer.status_written(plan, status)
        return True


def _named(decision: Decision) -> str:
    """The type names of a decision and its actions, for logs. Their values are left out, since they may come from a Secret."""
    actions = decision.actions if isinstance(decision, Act) else ()
    return " ".join(type(each).__name__ for each in (decision, *actions))
