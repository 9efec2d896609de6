"""A plan whose Job has not ended: what its status says of it, and when that is worth a write."""

from __future__ import annotations

from dataclasses import replace

from scanplan.api.v1alpha1.conditions import Reason
from scanplan.api.v1alpha1.scanplan import Phase
from scanplan.api.v1alpha1.scanplan_status import ScanPlanStatus, ShardCounts
from scanplan.core.observed.jobs import JobView
from scanplan.core.observed.pods import PodView
from scanplan.core.observed.workloads import WorkloadView
from scanplan.core.reconcile import podless
from scanplan.core.reconcile.context import START_SECONDS, Context
from scanplan.core.reconcile.decision import NOTHING, Decision, NeedPods, NeedWorkload, Write
from scanplan.core.status import failure, statuses

BLOCKED_SECONDS = 30.0
"""When a Job is this old, and has active pods but no ready one, its pods are looked at."""
WORKLOAD_SECONDS = 10.0
"""When to look again for what Kueue says of a Job that waits for its admission."""
WORKLOAD_MAX_SECONDS = 300.0
"""The delay for a Workload that is not there, or not admitted, grows up to here."""
PROGRESS_SECONDS = 10.0
"""Shortest time between two status writes that only report progress."""


def running(context: Context, job: JobView) -> Decision:
    """Decide about a plan whose Job is that of its task, and has not ended."""
    if job.suspended:
        return _suspended(context, job)
    blocked = _blocked(context, job) if job.active and not job.ready else None
    if blocked:
        return blocked
    if job.failed_pods:
        if not _changed(context, job):
            return Write(requeue_after=None if job.ready else BLOCKED_SECONDS)
        if context.observed.pods is None:
            return NeedPods(job.name)
        return _retrying(context, job, context.observed.pods)
    if not job.active and not job.succeeded:
        return _without_pods(context, job)
    return _scanning(context, job)


def _suspended(context: Context, job: JobView) -> Decision:
    hold, stopping = context.hold, job.active + job.terminating
    if stopping:
        stopped = job.is_suspended.since if job.is_suspended else None
        left = BLOCKED_SECONDS - (context.now - (stopped or context.now)).total_seconds()
        if hold and hold.reason is Reason.OUTSIDE_WINDOW and left > 0 and not context.outdated:
            # At a window's end there is one write: once the pods have stopped, or have taken long.
            return Write(requeue_after=left)
        reason, message = hold.reason if hold else Reason.QUEUED, f"stopping {stopping} pods"
        status = statuses.of_running(context.plan, job, Phase.RUNNING, reason, message, context.now)
        return _progress(context, status, job)
    if hold is None:
        return queued(context, job)
    if hold.reason is Reason.INVALID_SPEC:
        return context.held(hold)
    message = hold.message("go on")
    status = statuses.of_running(context.plan, job, Phase.SUSPENDED, hold.reason, message, context.now)
    return _held(context, job, context.write(status))


def _scanning(context: Context, job: JobView) -> Decision:
    failed = f", {job.failed_indexes} of them failed" if job.failed_indexes else ""
    done = job.succeeded + job.failed_indexes
    told = context.plan.status.phase is Phase.RUNNING and context.pinned and not context.outdated
    if told and done == job.completions and not context.hold:
        return NOTHING  # the Job controller says next how the Job has ended
    message = f"{done} of {job.completions} shards finished{failed}" if job.completions > 1 else "scanning"
    if context.hold and job.by_kueue:
        message += "; waiting for Kueue, or whoever else has resumed the Job, to suspend it"
    status = statuses.of_running(context.plan, job, Phase.RUNNING, Reason.RUNNING, message, context.now)
    return _held(context, job, _progress(context, status, job))


def _held(context: Context, job: JobView, decision: Decision) -> Decision:
    """Look again for the Workload of a Job that is to be held: Kueue may make it later."""
    waits = context.hold is not None and job.asked.deactivated and context.observed.no_workload
    if not waits or not isinstance(decision, Write):
        return decision
    return replace(decision, requeue_after=START_SECONDS, requeue_max=WORKLOAD_MAX_SECONDS)


def _without_pods(context: Context, job: JobView) -> Decision:
    """A Job without pods: just made, or between a pod's end and its being counted. Only a lasting state is worth a write."""
    if context.pinned and context.plan.status.phase in {Phase.RUNNING, Phase.RETRYING}:
        return _scanning(context, job) if context.outdated else NOTHING
    if job.is_suspended:  # resumed a moment ago, and not yet seen by the Job controller
        return Write(requeue_after=START_SECONDS)
    if (left := podless.ordinary_for(job, context.now)) > 0:
        return Write(requeue_after=left)
    message = f"{podless.words(job)}; scanplan explain {context.plan.name}"
    return context.write(statuses.of_running(context.plan, job, Phase.PENDING, Reason.PENDING, message, context.now))


def _blocked(context: Context, job: JobView) -> Decision | None:
    """Say what keeps pods that are active but not ready, once the Job is old enough."""
    waited = (context.now - (job.start_time or job.created)).total_seconds()
    if waited < BLOCKED_SECONDS:
        return None
    if context.observed.pods is None:
        return NeedPods(job.name)
    error = failure.blocked_by(context.observed.pods)
    if error is None:
        return None
    status = statuses.of_running(context.plan, job, Phase.PENDING, error.reason, error.message, context.now)
    return context.write(status, requeue_after=BLOCKED_SECONDS)


def _changed(context: Context, job: JobView) -> bool:
    """Whether the status no longer holds: the plan was edited, or pods have started or ended."""
    before = context.plan.status
    then = (context.outdated, before.phase in {Phase.RUNNING, Phase.RETRYING}, before.attempts, before.shards)
    attempts = job.succeeded + job.failed_pods + job.active
    shards = ShardCounts(total=job.completions, active=job.active, succeeded=job.succeeded, failed=job.failed_indexes)
    return then != (False, True, attempts, shards)


def _retrying(context: Context, job: JobView, pods: tuple[PodView, ...]) -> Decision:
    own = [pod for pod in pods if pod.job_uid == job.uid]
    ended = {pod.index for pod in own if pod.phase == "Succeeded"} | job.failed_at
    failed = sorted((pod for pod in own if pod.index not in ended and failure.of_pod(pod)), key=lambda pod: pod.created)
    if not failed:
        return _scanning(context, job)
    error = failure.of_pod(failed[-1])
    assert error is not None  # noqa: S101 - `failed` has only pods with an error
    status = statuses.of_running(
        context.plan,
        job,
        Phase.RETRYING,
        Reason.RETRYING,
        f"trying again: {error.message}",
        context.now,
        last_error=error,
    )
    return context.write(status)


def _progress(context: Context, status: ScanPlanStatus, job: JobView) -> Decision:
    """Write a new phase at once, any other change at most every `PROGRESS_SECONDS`."""
    requeue = BLOCKED_SECONDS if not job.ready else None
    if status.phase == context.plan.status.phase and context.pinned and context.observed.last_write:
        left = PROGRESS_SECONDS - (context.now - context.observed.last_write).total_seconds()
        if left > 0 and not context.outdated:
            return Write(requeue_after=left if status != context.plan.status else requeue)
    return context.write(status, requeue_after=requeue)


def queued(context: Context, job: JobView | None = None) -> Decision:
    """The plan waits for a slot. If it has a Job that Kueue or another controller holds, it waits for that one."""
    if job and job.by_kueue:
        return _by_kueue(context, job)
    limit = context.observed.policy.worker_concurrency
    message = f"waiting for one of the namespace's {limit} slots (WORKER_CONCURRENCY)"
    if job:
        status = statuses.of_running(context.plan, job, Phase.QUEUED, Reason.QUEUED, message, context.now)
    else:
        status = statuses.of_waiting(context.plan, Phase.QUEUED, Reason.QUEUED, message, context.now)
    return Write(status=context.unless_same(status), queued=True)


def _by_kueue(context: Context, job: JobView) -> Decision:
    """The Job waits for Kueue, whose Workload says why. The pause between two looks grows."""
    age = (context.now - job.created).total_seconds()
    if context.observed.workload is None and age >= START_SECONDS:
        return NeedWorkload(job)
    message = f"waiting for Kueue to admit the Job (LocalQueue {job.queue_name})"
    if not job.queue_name:
        message = "the Job is suspended, and not by this operator: whoever did so, such as Kueue, has to resume it"
    status = statuses.of_running(
        context.plan,
        job,
        Phase.QUEUED,
        Reason.QUEUED,
        message + _told_by_kueue(context.observed.workload, job),
        context.now,
    )
    if age < START_SECONDS:
        return context.write(status, requeue_after=START_SECONDS - age)
    return context.write(status, requeue_after=WORKLOAD_SECONDS, requeue_max=WORKLOAD_MAX_SECONDS)


def _told_by_kueue(workload: WorkloadView | None, job: JobView) -> str:
    if workload is None or not (workload.found or job.queue_name):
        return ""
    if not workload.found:
        return "; Kueue has no Workload for it: check that Kueue runs, and manages this namespace"
    if not workload.active:
        return "; its Workload is deactivated (spec.active is false), and waits until somebody activates it"
    return f"; Kueue says: {workload.waits_for}" if workload.waits_for else ""
