"""Decides what to do about one plan, from everything that was observed about it and the present time.

It is level-triggered and pure: the order and the number of events don't matter. While something is left to do, it returns
actions. The controller carries them out, observes the plan again and calls it again. The status is usually written last, so
that one write holds the whole change. No lock is needed: the API server lets only one POST of the task's Job name succeed.

Words: a plan is *pinned* to one task until its inputs change. The status names this task, and so does the task's Job. A plan is
*settled* when that task has ended. The id of a task is the name of its *scan Job*. If none of the Job's pods has merged the results
of all shards, a *collector* (a Job with one pod) merges what they have published. Plans that ask for the same task are *partners*:
their Job has several owners. A Job's name is *doubted* if an earlier Job can't be ruled out, or if another operator may create one.
Then pods are listed before a new scan Job is created.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from scanplan.api.errors import InvalidPlan
from scanplan.api.times import format_time
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.api.v1alpha1.scanplan import Phase
from scanplan.core.manifests import jobs
from scanplan.core.observed.jobs import MAX_OWNERS, JobView
from scanplan.core.observed.sharing import OtherCluster
from scanplan.core.planning import keys
from scanplan.core.planning.task import Task
from scanplan.core.reconcile import exporting, holding, mutable_fields, running, termination
from scanplan.core.reconcile.context import START_SECONDS, Context
from scanplan.core.reconcile.decision import (
    NOTHING,
    Act,
    Action,
    CreateJob,
    Decision,
    DeleteJob,
    NeedPods,
    Observed,
    PatchJob,
    Rejection,
    Write,
)
from scanplan.core.status import statuses

ELSEWHERE_SECONDS = 15.0
"""While a plan waits for a task that another cluster runs, it is reconciled again after this many seconds."""


def reconcile(observed: Observed, now: datetime) -> Decision:
    """Decide about one plan.

    Args:
        observed: a snapshot; nothing in it is changed.
        now: the present time, timezone-aware.
    """
    context = Context(observed, now)
    decision = _decide(context)
    if not isinstance(decision, Write):
        return decision
    status = decision.status or context.plan.status
    if status.ended:
        if context.plan.status.ended:
            return decision
        # The watch event of our own write does not queue the plan again. So queue it here, if exports or Job changes are left.
        follows = context.plan.spec.exports or _job_changes(context, status.task_id or "")
        return replace(decision, requeue_after=0.0) if follows else decision
    change = holding.next_edge(context.plan.spec, observed.zones, now)  # when a time window opens or closes
    return replace(decision, decide_again_at=change) if change else decision


def _decide(context: Context) -> Decision:
    if context.plan.deleting or context.plan.unreadable:
        return NOTHING
    if context.plan.problem:
        return _unreadable(context)
    if context.job_was_altered or context.replaced_by_later_run:
        return NOTHING
    pinned_name = _pinned_name(context)
    task: Task | None = None
    if pinned_name is None:
        if context.observed.inputs is None:
            return context.need_inputs()
        try:
            task = context.resolve()
        except InvalidPlan as error:
            return context.invalid(error, _release_earlier_jobs(context, ""))  # no Job is current: all are released
        pinned_name = task.job_name
    released = _release_earlier_jobs(context, pinned_name)
    if released:
        return Act(released)
    job = context.observed.jobs.get(pinned_name)
    if _settled(context, task) and (decision := _of_settled(context, pinned_name, job)):
        return decision
    rejection = context.observed.rejection
    if (
        isinstance(rejection, Rejection)
        and rejection.final
        and not (context.plan.spec.cancel or (job and job.finished))
    ):
        return context.rejected(rejection)
    if job is None:
        return _without_job(context, pinned_name, task)
    return _with_job(context, job, task)


def _unreadable(context: Context) -> Decision:
    """The decision about a plan whose spec can't be read: it was stored under another version's rules.

    An edit asks for another scan, so the running one is stopped. Finished Jobs, collectors and exporters stay: they have its
    result, or work on it.
    """
    edited = context.plan.status.observed_generation != context.plan.generation
    if context.plan.status.ended and not edited:
        return NOTHING
    scans = [job for job in context.observed.owned if job.in_progress and not (job.collector or job.exporter)]
    stopped = tuple(map(context.release, scans)) if edited else ()
    return context.invalid(InvalidPlan(Reason.INVALID_SPEC, context.plan.problem), stopped)


def _pinned_name(context: Context) -> str | None:
    """The Job name of the pinned task, from the status, or from an owned Job before that is written; None: none is pinned."""
    if context.pinned:
        return context.plan.status.task_id
    for job in context.observed.owned:
        if job.pin_of(context.plan.uid) == context.plan.input_digest and not job.collector:
            return job.name
    return None


def _key(context: Context, task: Task | None) -> str:
    """The key of the resolved task; where it was not resolved, the key in the status."""
    return task.key if task else context.plan.status.task_key or ""


def _settled(context: Context, task: Task | None) -> bool:
    """Whether the plan already has its result, for these inputs or for other inputs that make the same task."""
    same = context.pinned or (task is not None and context.plan.status.task_key == task.key)
    return same and context.plan.status.ended


def _of_settled(context: Context, name: str, job: JobView | None) -> Decision | None:
    """The decision about a plan that has its result; None: it is tried again, and nothing is left of its failed Jobs."""
    if _is_tried_again(context, job):
        failed = _release_failed_jobs(context, job)
        return Act(failed) if failed else None
    changes = _job_changes(context, name)
    return Act(changes) if changes else exporting.settled(context)


def _is_tried_again(context: Context, job: JobView | None) -> bool:
    """Whether a settled plan has failed, and was edited since: the key is the same where only a file's place was corrected.

    Where other plans own the Job too, its result stays theirs, and so this plan's.
    """
    plan = context.plan
    if context.pinned or plan.spec.cancel or plan.status.phase is not Phase.FAILED:
        return False
    return job is None or not job.finished or not {plan.uid} < job.owners


def _release_failed_jobs(context: Context, job: JobView | None) -> tuple[Action, ...]:
    """The actions that release the finished Jobs of a task that is tried again. The scan's own Job comes last."""
    collector = context.observed.jobs.get(jobs.collector_name(job.name)) if job else None
    return tuple(
        context.release(each)
        for each in (collector, job)
        if each and each.finished and not each.deleting and context.plan.uid in each.owners
    )


def _job_changes(context: Context, name: str) -> tuple[Action, ...]:
    """The changes that a settled plan still makes to its Job, such as a new `ttlSecondsAfterFinished`.

    By now a Job of this name may belong to other plans only. Then this plan must not change it.
    """
    job = context.observed.jobs.get(name)
    return mutable_fields.changes(context, job) if job and context.plan.uid in job.owners else ()


def _release_earlier_jobs(context: Context, name: str) -> tuple[Action, ...]:
    """The actions that release Jobs of earlier inputs. A Job is deleted unless another plan owns it too.

    An exporter stays with the result that it exports.
    """
    current = {name, jobs.collector_name(name)}
    return tuple(
        context.release(job)
        for job in context.observed.owned
        if not (job.name in current or job.deleting or (job.exporter and keys.job_name(job.key or "") == name))
    )


def _without_job(context: Context, name: str, task: Task | None) -> Decision:
    spec, observed = context.plan.spec, context.observed
    had_job = context.pinned and context.plan.status.job_ref is not None
    if spec.cancel and not (had_job and context.had_pods):
        return termination.cancelled(context, name, _key(context, task), " before it started")
    if not spec.cancel and (decision := _blocked(context, name, task)):
        return decision
    # Even a plan that never had a Job may find living pods: those of a deleted plan with the same key, whose name is doubted.
    collector = observed.jobs.get(jobs.collector_name(name))
    collector_runs = collector is not None and not collector.finished
    no_earlier_job = not (had_job or spec.cancel or collector_runs or name in observed.doubted)
    if observed.pods is None and not no_earlier_job:
        return NeedPods(name)
    if _earlier_pods_live(context, collector_runs):
        message = "waiting for pods of the deleted Job to end"
        return context.wait(Phase.PENDING, Reason.WAITING_FOR_PODS, message, START_SECONDS)
    if spec.cancel:
        return termination.collect_cancelled(context, name)
    if task is None and context.observed.inputs is None:
        return context.need_inputs()
    try:
        task = task or context.resolve()
    except InvalidPlan as error:
        if context.had_pods and error.reason is Reason.INPUTS_CHANGED:
            return termination.unrepeatable(context, name, error)
        return context.invalid(error)
    manifest = jobs.build(task, context.plan, observed.policy, observed.exceptions)
    return Act((CreateJob(manifest, task, skip_get=no_earlier_job),))


def _earlier_pods_live(context: Context, collector_runs: bool) -> bool:
    """Whether the plan must wait for pods of an earlier Job. A cancelled plan does not wait for a collector."""
    pods = context.observed.pods or ()
    if context.plan.spec.cancel:
        return any(pod.alive and not pod.collector for pod in pods)
    return collector_runs or any(pod.alive for pod in pods)


def _blocked(context: Context, name: str, task: Task | None) -> Decision | None:
    """The decision if the Job of the plan must not be created now; None: it may be created."""
    rejection = context.observed.rejection
    if hold := context.hold:
        return context.held(hold)
    if isinstance(rejection, OtherCluster):
        return _run_by_other_cluster(context, rejection, name, task)
    if rejection:
        return context.rejected(rejection)
    if context.observed.free_slots <= 0 and not context.plan.spec.queue_name:
        return running.queued(context)
    return None


def _run_by_other_cluster(context: Context, other: OtherCluster, name: str, task: Task | None) -> Decision:
    if other.result:
        return context.write(statuses.of_other_cluster(context.plan, name, _key(context, task), other, context.now))
    message = f"cluster {other.cluster} runs the same task; this plan will take over its result"
    return context.wait(Phase.PENDING, Reason.RUNNING_ELSEWHERE, message, ELSEWHERE_SECONDS)


def _with_job(context: Context, job: JobView, task: Task | None) -> Decision:
    plan = context.plan
    owned = plan.uid in job.owners
    key = job.key if task is None and not context.pinned else _key(context, task)
    if not job.managed or key is None or job.key != key:
        return context.rejected(Rejection.name_conflict(job.name))
    joining = None if owned else _before_joining(context, job, key)
    if joining:
        return joining
    if job.deleting:
        if plan.spec.cancel and context.overdue(job.deleting_since):
            detail = "; its last pods have not ended in time, so their node may be down"
            return termination.cancelled(context, job.name, key, detail)
        message = "cancelling" if plan.spec.cancel else "waiting for the pods of the deleted Job to end"
        # Poll: a plan that doesn't own the Job gets no event when the Job is gone. And a dead node does not report that a pod
        # has ended.
        return context.wait(Phase.PENDING, Reason.WAITING_FOR_PODS, message, START_SECONDS)
    if not owned and len(job.owners) >= MAX_OWNERS:
        return context.rejected(Rejection.shared_by_too_many(job.name))
    if not owned or job.pin_of(plan.uid) != plan.input_digest:
        return Act((PatchJob(job, jobs.adoption_patch(plan, job.uid, str(job.resource_version))),))
    if earlier := _earlier_collector(context, job):
        return Act((DeleteJob(earlier),))
    target = job.failure_target
    if job.finished or (target and context.overdue(target.since)):
        return termination.finished(context, job)
    if plan.spec.cancel:
        return _cancelling(context, job)
    if context.lacks_document(job):
        return context.store_document(job)
    changes = mutable_fields.changes(context, job)
    if changes:
        return Act(changes)
    decision = running.running(context, job)
    if target and isinstance(decision, Write):
        decision = replace(decision, requeue_after=min(decision.requeue_after or START_SECONDS, START_SECONDS))
    return decision


def _earlier_collector(context: Context, job: JobView) -> JobView | None:
    """The collector of an earlier scan with the same key, which is to be deleted: by its name it would count as this Job's."""
    collector = context.observed.jobs.get(jobs.collector_name(job.name))
    earlier = collector and collector.managed and collector.created < job.created and not collector.deleting
    return collector if earlier else None


def _cancelling(context: Context, job: JobView) -> Decision:
    """Release the Job of a cancelled plan. If the Job had pods, the status records that first: they may have published findings."""
    never_ran = job.never_ran and not context.had_pods
    if never_ran or (context.had_pods and context.plan.status.job_ref):
        return Act((context.release(job, unchanged=never_ran),))
    status = statuses.of_running(context.plan, job, Phase.RUNNING, Reason.RUNNING, "cancelling", context.now)
    started = status.start_time or format_time(job.created)
    return context.write(status.model_copy(update={"start_time": started}), requeue_after=0.0)


def _before_joining(context: Context, job: JobView, key: str) -> Decision | None:
    """The decision about a Job that the plan doesn't own yet; None: the plan may become one of its owners."""
    if context.plan.spec.cancel:
        detail = "; other plans go on with the same scan" if job.in_progress else ""
        return termination.cancelled(context, job.name, key, detail)
    if hold := context.hold:
        return context.held(hold)
    if job.owners and not any(uid in context.observed.plans for uid in job.owners):
        # The garbage collector is about to delete this Job. To adopt it now would be a race with that deletion.
        message = "waiting for the Job of a deleted plan to be deleted"
        return context.wait(Phase.PENDING, Reason.WAITING_FOR_PODS, message, START_SECONDS)
    return None
