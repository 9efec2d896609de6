"""The loop around the reconcile: observe a plan, decide, act, and write its status once.

Workers take plan names from the queue. Actions are carried out and their answers taken into the store before deciding again, so a
status is only written for what has really happened. Whatever goes wrong with the API server brings the plan back later.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from kubernetes.aio.client import ApiException
from kubernetes.aio.client.exceptions import ConflictException

from scanplan.api.v1alpha1.scanplan import Phase
from scanplan.api.v1alpha1.scanplan_status import ScanPlanStatus
from scanplan.controller.cache.store import Store, waiting_entry
from scanplan.controller.engine.backoff import Backoff
from scanplan.controller.engine.budget import Postponed
from scanplan.controller.engine.workqueue import PlanName, WorkQueue
from scanplan.controller.failing import NoFixedPoint, told
from scanplan.controller.observer import Observer
from scanplan.controller.reading import Reading
from scanplan.controller.recorder import record
from scanplan.controller.sharing import Alone, Sharing
from scanplan.core.manifests import jobs
from scanplan.core.observed import alterations
from scanplan.core.observed.sharing import Elsewhere
from scanplan.core.observed.views import JobView, PodView, job_view
from scanplan.core.planning.inputs import Inputs
from scanplan.core.planning.policy import Policy
from scanplan.core.planning.task import Plan
from scanplan.core.reconcile import reconcile
from scanplan.core.reconcile.decision import (
    Act,
    Action,
    CreateJob,
    Decision,
    DeleteJob,
    NeedInputs,
    NeedPods,
    Observed,
    PatchJob,
    Rejection,
    SetAdmission,
    StoreDocument,
    Write,
)
from scanplan.core.status import statuses
from scanplan.kube.api import Api
from scanplan.kube.failures import FAILURES, UNREACHABLE, message_of, reason_of, retry_after

log = logging.getLogger("scanplan.controller")

MAX_STEPS = 24
"""Decisions for one generation of a plan in a row. Two operators that race for a Job have been seen to take 13, since inputs are
read anew after each action; about twice that would mean that acting leads to no fixed point."""
LONG_BYTES = 1 << 17
"""Of inputs; reading so much of endpoints takes some 50 ms."""


class _All(Container[str]):
    """Every name."""

    def __contains__(self, name: object) -> bool:
        return True


ALL_NAMES = _All()


@dataclass(slots=True)
class _Answers:
    """What was asked for one generation of a plan; none of it holds for another, which may be about another task."""

    uid: str = ""
    generation: int = 0
    steps: int = 0
    """Decisions so far."""
    inputs: Inputs | None = None
    pods: tuple[PodView, ...] | None = None
    pods_of: str = ""
    """The task that `pods` are of."""
    job_then: tuple[str, bool] | None = None
    """UID of its Job, and whether it had ended, when they were asked for."""
    rejection: Rejection | Elsewhere | None = None
    no_workload: bool = False
    patched: dict[str, int] = field(default_factory=dict)
    """The version of the Job that each patch has led to, by what the patch changes."""


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
    ) -> None:
        """Builds a controller that does nothing until `run`.

        Args:
            api: the API server.
            store: what is known of the cluster.
            queue: the names of plans to look at.
            policy: what the operator's owner allows.
            now: the present time, by default the API server's; tests put their own clock in its place.
            sharing: with other clusters; None: with nobody.
            observers: are told what has happened, in this order.
        """
        self.api = api
        self.store = store
        self.queue = queue
        self.policy = policy
        self.now = now or api.clock.now
        self.alone: Callable[[], bool] | None = None
        """Whether this process still has the lease, so that no other operator can be at work; None: there may be others."""
        self.reading = Reading(api, store, queue)
        self._backoff = Backoff()
        self._long = asyncio.Lock()
        """One long list of targets is read at a time: several threads would be no faster, and take as many times the memory."""
        self._sharing = sharing or Alone()
        self._observers = observers

    async def run(self, workers: int) -> None:
        """Work on the queue with so many workers, three quarters of them for one namespace; ends only when cancelled."""
        self.queue.share = max(1, workers * 3 // 4)
        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(self._work())

    # what the watches bring

    def know_plan(self, body: dict[str, Any]) -> None:
        """Take in a plan of a watch's first list, with its place among those that wait; nothing is done about it yet."""
        plan = self.store.put_plan(body)
        if plan and plan.status.phase is Phase.QUEUED and not plan.spec.queue_name:
            self.store.set_waiting(PlanName(plan.namespace, plan.name), waiting_entry(plan))

    def begin(self) -> None:
        """All is known: begin with the plans that have not ended, which would be late among thousands that have."""
        for name in (*self.store.plans.unfinished(), *self.store.plans):
            self.queue.add(name)

    def plan_event(self, kind: str | None, body: dict[str, Any]) -> None:
        """A plan was listed (None), added, modified or deleted; what a watch tells of this process's own writes is no news."""
        name = PlanName(body["metadata"]["namespace"], body["metadata"]["name"])
        if kind == "DELETED":
            self._drop_plan(name, body["metadata"]["uid"])
            self._wake_waiting(name.namespace)
        elif self._put_plan(body) or kind is None:
            self.queue.add(name)

    def _put_plan(self, body: dict[str, Any]) -> bool:
        """Take in a plan, and tell the observers; whether it is news."""
        name = PlanName(body["metadata"]["namespace"], body["metadata"]["name"])
        if self.store.plans.version(name) == (body["metadata"]["uid"], body["metadata"]["resourceVersion"]):
            return False
        before = self.store.plans.get(name)
        after = self.store.put_plan(body)
        if after:
            for observer in self._observers:
                observer.plan_changed(before, after, self.now())
        return after is not None

    def _drop_plan(self, name: PlanName, uid: str) -> None:
        """Forget a deleted plan, and tell the observers."""
        before = self.store.plans.get(name)
        self.store.drop_plan(name, uid)
        if before and before.uid == uid:
            for observer in self._observers:
                observer.plan_changed(before, None, self.now())

    def job_event(self, kind: str | None, body: dict[str, Any], by: PlanName | None = None) -> JobView | None:
        """A Job with our label was listed, added, modified or deleted; returns what is known of it now.

        Args:
            by: the plan whose own request has shown it, and which need not be told. All others must be, since the watch brings
                nothing new when it brings the same.
        """
        metadata = body["metadata"]
        # A watch may be faster than the answer to a request, after which the plan is decided upon again anyhow.
        by = by or self.store.starter(metadata["namespace"], metadata["name"])
        before = self.store.jobs(metadata["namespace"]).get(metadata["name"])
        if kind == "DELETED":
            self.store.drop_job(metadata["namespace"], metadata["name"], metadata["uid"])
            after = None
        else:
            after = self.store.put_job(body)
        if after is not None and after == before:
            return after  # nothing that a decision looks at: the Job controller's own notes, or what is known already
        for job in (before, after):
            for name in self.store.owners_of(job) if job else ():
                if name != by:
                    self.queue.add(name)
        self._wake_waiting(metadata["namespace"])
        return after

    def _wake_waiting(self, namespace: str) -> None:
        for name in self.store.next_waiting(namespace, self.policy.worker_concurrency):
            self.queue.add(name)

    # the loop

    async def _work(self) -> None:
        while True:
            name = await self.queue.get()
            begun = time.monotonic()
            failure: Exception | None = None
            try:
                await self.reconcile(name)
                self.queue.forget(name)
            except FAILURES as error:
                failure = error
                delay = self.queue.add_failed(name, retry_after(error))
                log.warning("%s: %s; trying again in %.1f s", name, reason_of(error), delay)
                await self._tell(name, error)
            except Exception as error:
                # A bug of ours that one plan brings to light is no reason to leave all others alone.
                failure = error
                log.exception("%s: trying again in %.1f s", name, self.queue.add_failed(name))
                await self._tell(name, error)
            finally:
                self.queue.done(name)
            for observer in self._observers:
                observer.reconciled(time.monotonic() - begun, failure)
            # Plans that have ended ask for nothing: thousands of them would be one long turn, for which even the lease waits.
            await asyncio.sleep(0)

    async def _tell(self, name: PlanName, error: Exception) -> None:
        """Say in a plan's status why it can't be worked on, where that is likely to last."""
        words = told(error, self.queue.failures(name))
        if words is None:
            return
        try:
            plan = await self.reading.plan(name, None)
            status = statuses.of_failing(plan, *words, self.now()) if plan else None
            if plan and status:
                await self._write_status(plan, status)
        except (Postponed, *FAILURES) as second:
            log.warning("%s: its status can't say so: %s", name, reason_of(second))
        finally:
            self.reading.let_go(name)

    async def reconcile(self, name: PlanName) -> None:
        """Bring one plan to where nothing is to be done now; or leave it for later, where too much is in memory."""
        try:
            await self._reconcile(name)
        except Postponed:
            log.debug("%s: waits for memory", name)
        finally:
            self.reading.let_go(name)

    async def _reconcile(self, name: PlanName) -> None:
        answers = _Answers()
        plan: Plan | None = None
        while True:
            plan = await self.reading.plan(name, plan)
            if plan is None:
                self._backoff.forget(name)
                return None
            if (answers.uid, answers.generation) != (plan.uid, plan.generation):
                answers = _Answers(plan.uid, plan.generation)
            decision = await self._decide(self._observe(plan, answers))
            match decision:
                case NeedInputs(references):
                    answers.inputs = await self.reading.inputs(plan, references)
                case NeedPods(task):
                    answers.pods_of, answers.job_then = task, self._job_state(plan, task)
                    answers.pods = await self.reading.pods(plan.namespace, task)
                case Act(actions):
                    self._set_waiting(name, plan, waiting=False)
                    for action in actions:
                        answers.rejection = await self._act(plan, action, answers)
                    answers.pods = answers.inputs = None  # let go of: only a long document is resolved a second time
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
        name, after = PlanName(plan.namespace, plan.name), decision.requeue_after
        if after is None or decision.requeue_max is None:
            self._backoff.forget(name)
        else:
            after = self._backoff.next(name, (plan.uid, plan.generation), after, decision.requeue_max)
        if after is not None:
            self.queue.add_after(name, after)

    async def _decide(self, observed: Observed) -> Decision:
        """In a thread where many targets are to be read: that takes seconds, for which neither lease nor other plans can wait."""
        if sum(each.size for each in (observed.inputs or {}).values()) < LONG_BYTES:
            return reconcile.reconcile(observed, self.now())
        async with self._long:
            return await asyncio.to_thread(reconcile.reconcile, observed, self.now())

    def _pods(self, plan: Plan, answers: _Answers) -> tuple[PodView, ...] | None:
        """The listed pods; not where their Job has come, gone or ended since they were asked for.

        The last report may be missing among them, or a pod that is still alive.
        """
        return answers.pods if self._job_state(plan, answers.pods_of) == answers.job_then else None

    def _job_state(self, plan: Plan, name: str) -> tuple[str, bool] | None:
        job = self.store.jobs(plan.namespace).get(name)
        return (job.uid, job.finished) if job else None

    def _set_waiting(self, name: PlanName, plan: Plan, waiting: bool) -> None:
        if self.store.set_waiting(name, waiting_entry(plan) if waiting else None):
            self._wake_waiting(name.namespace)  # those behind it would otherwise wait for an event that never comes

    def _observe(self, plan: Plan, answers: _Answers) -> Observed:
        owned = self.store.owned(plan)
        partners = {name for job in owned for name in self.store.owners_of(job)} - {PlanName(plan.namespace, plan.name)}
        return Observed(
            plan=plan,
            policy=self.policy,
            jobs=self.store.jobs(plan.namespace),
            owned=owned,
            doubted=self.store.doubted(plan.namespace) if self.alone else ALL_NAMES,
            plans=self.store.uids,
            partners=tuple(map(self.store.plans.brief, sorted(partners))),
            inputs=answers.inputs,
            pods=self._pods(plan, answers),
            admissions=self.store.admissions,
            no_workload=answers.no_workload,
            documented=self.store.documented,
            rejection=answers.rejection,
            free_slots=self.store.free_slots(plan, self.policy.worker_concurrency),
            last_write=self.store.written.get(PlanName(plan.namespace, plan.name)),
        )

    # acting

    async def _act(self, plan: Plan, action: Action, answers: _Answers) -> Rejection | Elsewhere | None:
        by = PlanName(plan.namespace, plan.name)
        match action:
            case CreateJob(manifest, task, sure):
                other = await self._sharing.take(plan.namespace, task.key, task.claim) if task else None
                return other or await self._create(plan, manifest, sure)
            case PatchJob(job, patch):
                await self._patch(job, patch, answers, by)
            case DeleteJob(job, unchanged):
                try:
                    version = job.resource_version if unchanged else None
                    await self.api.delete_job(job.namespace, job.name, job.uid, version)
                except ApiException as error:
                    if error.status not in {404, 409}:
                        raise
                await self._look_up(job.namespace, job.name, by)
            case SetAdmission(job, active):
                if await self.api.set_admission(job.namespace, job.uid, active):
                    self.store.admissions[job.uid] = active
                else:
                    answers.no_workload = True
            case StoreDocument(job, objects):
                return await self._store_document(job, objects)
        return None

    async def _patch(self, job: JobView, patch: dict[str, Any], answers: _Answers, by: PlanName) -> None:
        """Patch a Job, unless the same patch has just led to the very version of it that asks for the patch again."""
        change = _changed_by(patch)
        if answers.patched.get(change) == job.resource_version:
            raise NoFixedPoint("the API server accepts a patch of the Job, and the Job doesn't have it")
        resumes = patch.get("spec", {}).get("suspend") is False
        self.store.set_starting(job.namespace, job.name, by if resumes else None)
        try:
            answer = await self.api.patch_job(job.namespace, job.name, patch)
            self.job_event(None, answer, by)
            answers.patched[change] = int(answer["metadata"]["resourceVersion"])
        except ApiException as error:
            if error.status not in {404, 409}:
                raise
            await self._look_up(job.namespace, job.name, by)
        finally:
            self.store.set_starting(job.namespace, job.name, None)

    async def _store_document(self, job: JobView, objects: tuple[jobs.Manifest, ...]) -> Rejection | None:
        try:
            for manifest in objects:
                with contextlib.suppress(ConflictException):
                    answer = await self.api.create_part(job.namespace, manifest)
                    paths = alterations.of(manifest, answer)
                    prefix = f"{manifest['kind']} {manifest['metadata']['name']}: "
                    self.store.set_altered(job, tuple(f"{prefix}{path}" for path in paths))
        except ApiException as error:
            if error.status != 403:
                raise
            return Rejection.no_document(message_of(error))
        self.store.documented.add(job.uid)
        return None

    async def _create(self, plan: Plan, manifest: dict[str, Any], sure: bool) -> Rejection | None:
        """POST is the lock: whoever finds the name taken takes over what is there."""
        namespace, name = plan.namespace, manifest["metadata"]["name"]
        by = PlanName(namespace, plan.name)
        self.store.set_starting(namespace, name, by)
        try:
            if not (sure or await self._is_fresh(plan)):
                return None
            if self.alone and not self.alone():
                raise TimeoutError("the lease may have run out, and another operator be at work")
            if self.store.merges(namespace, name):
                raise TimeoutError("the findings of an earlier scan of this task are still being merged")
            answer = await self.api.create_job(namespace, manifest)
            log.info("%s/%s: created Job %s", namespace, plan.name, name)
            return await self._take_in(manifest, answer, by)
        except ApiException as error:
            if error.status in {403, 409}:
                # A quota's 403 hides that the name is taken: look before concluding.
                found = await self._look_up(namespace, name, by)
                if found:
                    return None if found.managed else Rejection.name_conflict(name)
            if error.status == 403:
                return Rejection.forbidden(message_of(error))
            if error.status in {400, 422}:
                return Rejection.invalid(message_of(error))
            if error.status == 409:
                return None
            self.store.doubt(namespace, name)
            raise
        except UNREACHABLE:
            self.store.doubt(namespace, name)  # it may have been made, and gone before anybody saw it
            raise
        finally:
            self.store.set_starting(namespace, name, None)
            self._wake_waiting(namespace)

    async def _take_in(self, sent: dict[str, Any], answer: dict[str, Any], by: PlanName) -> Rejection | None:
        """Accept the Job that the API server has made of ours; delete one that would lose or repeat a scan."""
        paths = alterations.of(sent, answer)
        refused = alterations.essential(paths, answer)
        if refused:
            metadata = answer["metadata"]
            await self.api.delete_job(metadata["namespace"], metadata["name"], metadata["uid"])
            return Rejection.altered(metadata["name"], refused)
        job = self.job_event(None, answer, by)
        if job and paths:
            self.store.set_altered(job, paths)
        return None

    async def _is_fresh(self, plan: Plan) -> bool:
        """Whether the plan is as it was decided upon. Otherwise another operator may have had its result, and the Job's end be
        known here before it: watches of different kinds don't wait for each other."""
        try:
            self._put_plan(await self.api.get_plan(plan.namespace, plan.name))
        except ApiException as error:
            if error.status != 404:
                raise
            self._drop_plan(PlanName(plan.namespace, plan.name), plan.uid)
        return self.store.plans.version(PlanName(plan.namespace, plan.name)) == (plan.uid, plan.resource_version)

    async def _look_up(self, namespace: str, name: str, by: PlanName) -> JobView | None:
        """The Job as it is now; ours go into the store, foreign ones don't, since no watch would keep them fresh."""
        known = self.store.jobs(namespace).get(name)  # before asking: a Job made meanwhile is none that is gone
        try:
            body = await self.api.get_job(namespace, name)
        except ApiException as error:
            if error.status != 404:
                raise
            if known:
                gone = {"namespace": namespace, "name": name, "uid": known.uid}
                self.job_event("DELETED", {"metadata": gone}, by)
            return None
        job = job_view(body)
        return self.job_event(None, body, by) if job.managed else job

    async def _write_status(self, plan: Plan, status: ScanPlanStatus) -> bool:
        """One merge patch of what differs, refused if the plan has changed since it was read. Whether it was written."""
        name = PlanName(plan.namespace, plan.name)
        change = merge_patch(plan.status.document(), status.document())
        patch = {"metadata": {"resourceVersion": plan.resource_version}, "status": change}
        try:
            self.store.put_plan(await self.api.patch_status(plan.namespace, plan.name, patch))
        except ApiException as error:
            if error.status == 404:
                self._drop_plan(name, plan.uid)
            elif error.status == 409:
                self._put_plan(await self.api.get_plan(plan.namespace, plan.name))
                self.queue.add(name)
            else:
                raise
            return False
        self.store.written[name] = self.now()
        for observer in self._observers:
            observer.status_written(plan, status)
        return True


def _changed_by(patch: dict[str, Any]) -> str:
    """What a patch changes, whatever the version of the Job: asked for again of the same version, it would have no effect again."""
    fields = {name: value for name, value in patch["metadata"].items() if name != "resourceVersion"}
    return json.dumps([fields, patch.get("spec")], sort_keys=True)


def _named(decision: Decision) -> str:
    """A decision as logs name it: what is in it may come from a Secret."""
    actions = decision.actions if isinstance(decision, Act) else ()
    return " ".join(type(each).__name__ for each in (decision, *actions))


def merge_patch(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """The JSON merge patch (RFC 7386) that turns `old` into `new`."""
    patch: dict[str, Any] = dict.fromkeys(old.keys() - new.keys())
    for name, value in new.items():
        before = old.get(name)
        if isinstance(value, dict) and isinstance(before, dict):
            nested = merge_patch(before, value)
            if nested:
                patch[name] = nested
        elif value != before:
            patch[name] = value
    return patch
