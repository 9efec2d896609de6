"""A plan whose Job has ended, or was cancelled: collect what its pods have published, and give it its one result."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

from scanplan.api.documents.report import MergedResult, ShardReport
from scanplan.api.documents.words import Outcome
from scanplan.api.errors import InputUnavailable, InvalidPlan
from scanplan.api.exit_codes import ExitCode
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.api.v1alpha1.scanplan import Phase
from scanplan.core.manifests import jobs
from scanplan.core.observed.jobs import JobView
from scanplan.core.observed.pods import PodView
from scanplan.core.planning import merging
from scanplan.core.reconcile import mutable_fields
from scanplan.core.reconcile.context import START_SECONDS, Context
from scanplan.core.reconcile.decision import Act, CreateJob, Decision, DeleteJob, NeedInputs, NeedPods, Rejection
from scanplan.core.status import failure, statuses

_RETRIES_USED_UP = {"FailedIndexes", "BackoffLimitExceeded"}
"""Reasons of a Job whose retries are used up. The first is also that of a shard that failed for good."""
NOT_COLLECTED = "what its pods published could not be merged; it is in the shards' folders on the claim"


def collect_cancelled(context: Context, name: str) -> Decision:
    """A cancelled plan keeps what its pods have published: a collector merges it, then the plan is done.

    The pods must be listed.
    """
    key = context.plan.status.task_key or ""
    collector = _collector(context, name)
    if collector is None or not collector.finished:
        return _collect(context, name, None) or cancelled(context, name, key, f"; {NOT_COLLECTED}")
    merged = _collected(context, collector, statuses.artifacts_path(context.plan, key))
    return cancelled(context, name, key, "" if merged else f"; {NOT_COLLECTED}", merged)


def cancelled(context: Context, name: str, key: str, detail: str, merged: MergedResult | None = None) -> Decision:
    """The plan is cancelled; `detail` is appended to the message."""
    return context.write(statuses.of_cancelled(context.plan, name, key, merged, detail, context.now))


def unrepeatable(context: Context, name: str, error: InvalidPlan) -> Decision:
    """The task's Job is gone, and can't be made again: the plan fails, and keeps what its pods have published.

    The pods must be listed.
    """
    collector = _collector(context, name)
    if (collector is None or not collector.finished) and (decision := _collect(context, name, None)):
        return decision
    path = statuses.artifacts_path(context.plan, context.plan.status.task_key or "")
    merged = _collected(context, collector, path)
    message = error.message if merged else f"{error.message}; {NOT_COLLECTED}"
    return context.write(statuses.of_unrepeatable(context.plan, error.reason, message, merged, context.now))


def finished(context: Context, job: JobView) -> Decision:
    """Decide about a plan whose Job is over."""
    if context.observed.pods is None:
        return NeedPods(job.name)
    own = [pod for pod in context.observed.pods if pod.job_uid == job.uid]
    reports = statuses.last_reports(own)
    collector = _collector(context, job.name)
    if collector is None and not context.plan.spec.cancel and _may_continue_in_new_job(context, job, own):
        if context.observed.inputs is None:
            return context.need_inputs()
        if _can_be_made_again(context):
            return Act((DeleteJob(job),))
    path = statuses.artifacts_path(context.plan, job.key or "")
    merged = _merged(reports, path) or _collected(context, collector, path)
    error = None if job.complete else failure.of_job(job, own)
    if merged is None and (collector is None or not collector.finished) and _may_have_published(job, own):
        decision = _collect(context, job.name, job)
        if decision:
            return decision
    if error is None and (merged is None or not merged.complete):
        error = failure.result_missing(job, collector)
    return context.write(statuses.of_finished(context.plan, job, reports, merged, error, context.now))


def _may_continue_in_new_job(context: Context, job: JobView, pods: list[PodView]) -> bool:
    """Whether the scan gets another Job: pods that had saved steps were killed until the retries were used up.

    A kill counts against the Job's retries, whatever was saved before; a report of saved steps is in the pod's termination
    message. The new Job goes on after the steps, and has all retries again. This ends: each Job must have saved a step in every
    failed shard, and no Job is made after the deadline. The deadline counts over all Jobs since the scan's last pause.
    """
    if job.failed is None or job.failed.reason not in _RETRIES_USED_UP or not job.failed_at:
        return False
    passed = context.now - (job.start_time or job.created)
    if context.plan.spec.deadline_seconds is None:  # else the Job's deadline is shorter by this already
        passed += mutable_fields.spent_before(context.owners, job)
    if passed >= timedelta(seconds=job.deadline_seconds or 0):
        return False
    stepped = {pod.index for pod in pods if pod.killed and pod.report is not None and pod.report.steps}
    failed_for_good = {pod.index for pod in pods if pod.exit_code == ExitCode.SHARD_FATAL}
    return job.failed_at <= stepped - failed_for_good


def _can_be_made_again(context: Context) -> bool:
    try:
        context.resolve()
    except InvalidPlan:
        return False
    return True


def _collector(context: Context, name: str) -> JobView | None:
    """The task's collector; None where there is none. One that is being deleted, as an earlier scan's is, does not count."""
    collector = context.observed.jobs.get(jobs.collector_name(name))
    return None if collector is None or collector.deleting else collector


def _collect(context: Context, name: str, job: JobView | None) -> Decision | None:
    """The next step of a collector Job's life; None where no collector can be made.

    Args:
        name: of the task.
        job: the task's Job; None where it is gone.
    """
    collector = context.observed.jobs.get(jobs.collector_name(name))
    if collector is None:
        if isinstance(context.observed.rejection, Rejection):
            if context.observed.rejection.final:
                return None
            return context.rejected(context.observed.rejection)
        earlier = context.earlier_resolution(job)
        if earlier is None:
            return None
        observed, claim = context.observed, merging.needed(earlier)
        if observed.inputs is None or claim not in observed.inputs:
            return NeedInputs((claim,))
        try:
            task = merging.task(context.plan, observed.policy, context.first_seen(job), observed.inputs, earlier)
        except InputUnavailable:
            return None
        return Act((CreateJob(jobs.build_collector(task, context.plan, observed.policy, observed.exceptions)),))
    message = _merging(context, collector)
    if job is None:
        return context.wait(Phase.RUNNING, Reason.COLLECTING, message, START_SECONDS)
    # If another plan with the same task owns the collector, only that plan hears of its end. So look again.
    status = statuses.of_running(context.plan, job, Phase.RUNNING, Reason.COLLECTING, message, context.now)
    return context.write(status, requeue_after=START_SECONDS)


def _merging(context: Context, collector: JobView) -> str:
    if collector.deleting:
        return f"what the pods have published is merged once the earlier Job {collector.name} is deleted"
    if collector.suspended:
        return (
            f"what the pods have published waits to be merged: Job {collector.name} is suspended, and Kueue, or whoever "
            "suspended it, has to resume it"
        )
    pods = collector.active + collector.terminating + collector.succeeded + collector.failed_pods
    if pods or (context.now - collector.created).total_seconds() < START_SECONDS:
        return "merging what the pods have published"
    return (
        f"what the pods have published waits to be merged: Job {collector.name} has no pod yet, and its events say why; "
        f"a LimitRange or quota of the namespace has to allow it {jobs.COLLECTOR_MEMORY} of memory"
    )


def _merged(reports: list[ShardReport], path: str) -> MergedResult | None:
    """The merge by the shard that found itself last. Several shards may have: the fullest merge counts."""
    results = [report.merged for report in reports if report.merged and report.merged.path == path]
    return max(results, key=lambda result: (result.complete, result.shards), default=None)


def _collected(context: Context, collector: JobView | None, path: str) -> MergedResult | None:
    """The collector's merge; one that names another folder than `path` is forged."""
    own = [pod for pod in context.observed.pods or () if collector and pod.job_uid == collector.uid]
    results = [pod.report.merged for pod in own if pod.report and pod.report.merged]
    return next((result for result in reversed(results) if result.path == path), None)


def _may_have_published(job: JobView, pods: list[PodView]) -> bool:
    """False only where every pod that there was is still there, and has said that it published nothing.

    Deleted pods (FailJob, suspension) are gone when a Job has ended. Then the Job counts more pods than are listed, or the attempt
    number in a report exceeds the listed pods of its shard.
    """
    if not pods or len(pods) < job.succeeded + job.failed_pods:
        return True
    seen = Counter(pod.index for pod in pods)
    return any(
        pod.report is None or pod.report.outcome is not Outcome.FAILED or pod.report.attempt > seen[pod.index]
        for pod in pods
    )
