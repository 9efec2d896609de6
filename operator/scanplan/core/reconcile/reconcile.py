"""The reconcile: everything observed about one plan, and the time, in; what to do about it out.

Level-triggered and pure: any events in any order, once or often, lead to the same state. Actions come first: the
controller carries them out, observes again and asks again. The status is written last, so that a plan's whole change is
one status write. The POST of the task's Job name is the only lock there is.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from scanplan.api.errors import InvalidPlan
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.api.v1alpha1.scanplan import Phase
from scanplan.core.manifests import job as jobs
from scanplan.core.observed.sharing import Elsewhere
from scanplan.core.observed.views import JobView
from scanplan.core.planning.task import Task
from scanplan.core.reconcile import ending, live, running
from scanplan.core.reconcile.case import START_SECONDS, Case
from scanplan.core.reconcile.decision import (
    Act,
    Action,
    CreateJob,
    Decision,
    NeedPods,
    Observed,
    PatchJob,
    Rejection,
    Write,
)
from scanplan.core.status import status as statuses

ELSEWHERE_SECONDS = 15.0
"""How often a cluster looks whether another one has ended the task that both were asked for."""


def reconcile(observed: Observed, now: datetime) -> Decision:
    """Decide about one plan.

    Args:
        observed: a snapshot; nothing in it is changed.
        now: the present time, timezone-aware.
    """
    case = Case(observed, now)
    if case.plan.deleting:
        return Write()
    if case.plan.problem:
        if case.plan.status.ended:
            return Write()
        return case.invalid(InvalidPlan(Reason.INVALID_SPEC, case.plan.problem))
    pinned_name = _pinned_name(case)
    task: Task | None = None
    if pinned_name is None:
        if case.observed.inputs is None:
            return case.read()
        try:
            task = case.resolve()
        except InvalidPlan as error:
            return case.invalid(error, _superseded(case, ""))
        pinned_name = task.job_name
    superseded = _superseded(case, pinned_name)
    if superseded:
        return Act(superseded)
    job = case.observed.jobs.get(pinned_name)
    if _settled(case, task):
        # Its Job's name may by now belong to a Job of other plans, whose settings are none of this plan's business.
        own = job is not None and case.plan.uid in job.owners
        return case.write(statuses.of_settled(case.plan), live.changes(case, job) if job and own else ())
    if job is None:
        return _without_job(case, pinned_name, task)
    return _with_job(case, job, task)


def _pinned_name(case: Case) -> str | None:
    """The Job name of the task that these inputs are pinned to: by the status, or by a Job made before a status was."""
    if case.pinned:
        return case.plan.status.task_id
    for job in case.observed.owned:
        if job.pin_of(case.plan.uid) == case.plan.input_digest and not job.collector:
            return job.name
    return None


def _key(case: Case, task: Task | None) -> str:
    """The task's key: as it was just made, or as the status has pinned it."""
    return task.key if task else case.plan.status.task_key or ""


def _settled(case: Case, task: Task | None) -> bool:
    """The plan has had its one result: for these inputs, or for others that turned out to be the same task."""
    same = case.pinned or (task is not None and case.plan.status.task_key == task.key)
    return same and case.plan.status.ended


def _superseded(case: Case, name: str) -> tuple[Action, ...]:
    """Let go of Jobs of earlier inputs: deleted, unless another plan owns them too."""
    current = {name, jobs.collector_name(name)}
    return tuple(case.let_go(job) for job in case.observed.owned if job.name not in current and not job.deleting)


def _without_job(case: Case, name: str, task: Task | None) -> Decision:
    spec, rejection = case.plan.spec, case.observed.rejection
    started = case.pinned and case.plan.status.job_ref is not None
    if spec.cancel and not started:
        return ending.cancelled(case, name, _key(case, task), " before it started")
    if not spec.cancel:
        if spec.suspend:
            return case.suspended()
        if isinstance(rejection, Elsewhere):
            return _elsewhere(case, rejection, name, task)
        if rejection:
            return case.rejected(rejection)
        if case.observed.free_slots <= 0 and not spec.queue_name:
            return running.queued(case)
    # Even a plan that never had a Job may find pods: those of a deleted plan, with the same key, are still ending.
    sure = not (started or spec.cancel or name in case.observed.doubted)
    if case.observed.pods is None and not sure:
        return NeedPods(name)
    if any(pod.alive and not (pod.collector and spec.cancel) for pod in case.observed.pods or ()):
        message = "waiting for pods of the deleted Job to end"
        return case.wait(Phase.PENDING, Reason.WAITING_FOR_PODS, message, START_SECONDS)
    if spec.cancel:
        return ending.collect_cancelled(case, name)
    if task is None and case.observed.inputs is None:
        return case.read()
    try:
        task = task or case.resolve()
    except InvalidPlan as error:
        return case.invalid(error)
    return Act((CreateJob(jobs.build(task, case.plan, case.observed.policy), task, sure),))


def _elsewhere(case: Case, other: Elsewhere, name: str, task: Task | None) -> Decision:
    if other.result:
        return case.write(statuses.of_elsewhere(case.plan, name, _key(case, task), other, case.now))
    message = f"cluster {other.cluster} runs the same task; its result will be this plan's"
    return case.wait(Phase.PENDING, Reason.RUNNING_ELSEWHERE, message, ELSEWHERE_SECONDS)


def _with_job(case: Case, job: JobView, task: Task | None) -> Decision:
    plan = case.plan
    owned = plan.uid in job.owners
    key = job.key if task is None and not case.pinned else _key(case, task)
    if not job.managed or key is None or job.key != key:
        return case.rejected(Rejection.name_conflict(job.name))
    beside = None if owned else _beside(case, job, key)
    if beside:
        return beside
    if job.deleting:
        if plan.spec.cancel and case.overdue(job.deleting_since):
            return ending.cancelled(case, job.name, key, "; its last pods are on a node that doesn't answer")
        message = "cancelling" if plan.spec.cancel else "waiting for the pods of the deleted Job to end"
        # A plan that doesn't own the Job hears nothing of its end, and a dead node says nothing at all: look again.
        return case.wait(Phase.PENDING, Reason.WAITING_FOR_PODS, message, START_SECONDS)
    if not owned or job.pin_of(plan.uid) != plan.input_digest:
        return Act((PatchJob(job, jobs.adoption_patch(plan, job.uid, str(job.resource_version))),))
    target = job.failure_target
    if job.finished or (target and case.overdue(target.since)):
        return ending.finished(case, job)
    if plan.spec.cancel:
        if not (case.pinned and plan.status.job_ref):
            # Once the Job is gone, only the status knows that there was one, whose pods may have found something.
            status = statuses.of_running(plan, job, Phase.RUNNING, Reason.RUNNING, "cancelling", case.now)
            return case.write(status, requeue_after=0.0)
        return Act((case.let_go(job),))
    if case.lacks_document(job):
        return case.store_document(job)
    changes = live.changes(case, job)
    if changes:
        return Act(changes)
    decision = running.running(case, job)
    if target and isinstance(decision, Write):
        decision = replace(decision, requeue_after=min(decision.requeue_after or START_SECONDS, START_SECONDS))
    return decision


def _beside(case: Case, job: JobView, key: str) -> Decision | None:
    """What a plan does about a Job that it doesn't own; None where it should."""
    if case.plan.spec.cancel:
        detail = "; other plans go on with the same scan" if job.live else ""
        return ending.cancelled(case, job.name, key, detail)
    if case.plan.spec.suspend:
        return case.suspended()
    if job.owners and not any(uid in case.observed.plans for uid in job.owners):
        # The garbage collector is about to delete it: taken over, it would live or not as the two happen to meet.
        message = "waiting for the Job of a deleted plan to go"
        return case.wait(Phase.PENDING, Reason.WAITING_FOR_PODS, message, START_SECONDS)
    return None
