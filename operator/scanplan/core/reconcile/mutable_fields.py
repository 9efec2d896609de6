"""What has to change on a Job for the fields of the spec that may be edited while it lives."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from scanplan.api.v1alpha1.scanplan import Phase, ScanPlanSpec
from scanplan.core.manifests import jobs
from scanplan.core.observed.views import JobView
from scanplan.core.reconcile.context import Context
from scanplan.core.reconcile.decision import Action, PatchJob, SetAdmission

_REMADE = timedelta(seconds=60)
"""A Job that is so much younger than the task is not its first one; less may be a difference of clocks."""


def changes(context: Context, job: JobView) -> tuple[Action, ...]:
    """The changes; with several owners, by all their wishes."""
    owners = (context.plan, *context.observed.partners)
    wanted: dict[str, Any] = {}
    ttl = max(owner.spec.ttl_seconds_after_finished for owner in owners)
    if job.ttl_seconds != ttl:
        wanted["ttlSecondsAfterFinished"] = ttl
    if not job.finished:
        deadline = max(_deadline(owner.spec, job) for owner in owners)
        if job.deadline_seconds != deadline:
            wanted["activeDeadlineSeconds"] = deadline
    admission: tuple[Action, ...] = ()
    if not job.finished and job.queue_name:
        admission = _admission(context, job, all(owner.spec.suspend for owner in owners))
    elif not job.finished:
        parallel = max(jobs.parallelism(owner.spec, job.completions) for owner in owners)
        if job.rate_shares is not None:  # with more shards the plan's limit of requests would not hold
            parallel = max(1, min(parallel, job.rate_shares))
        if job.parallelism != parallel:
            wanted["parallelism"] = parallel
        suspend = all(owner.spec.suspend for owner in owners)
        if job.suspended != suspend and (suspend or context.observed.free_slots > 0):
            wanted["suspend"] = suspend
    patch = (PatchJob(job, {"metadata": {"uid": job.uid}, "spec": wanted}),) if wanted else ()
    return (*patch, *admission)


def _admission(context: Context, job: JobView, suspend: bool) -> tuple[Action, ...]:
    """Suspend and resume a Job of Kueue's; one that waits for its first admission is left alone."""
    told = context.observed.admissions.get(job.uid)
    if suspend and not job.suspended and told is not False:
        return (SetAdmission(job, active=False),)
    stopped = context.plan.status.phase is Phase.SUSPENDED or told is False
    if not suspend and job.suspended and stopped and told is not True:
        return (SetAdmission(job, active=True),)
    return ()


def _deadline(spec: ScanPlanSpec, job: JobView) -> int:
    """A plan's wish for a running Job's deadline. A derived one is never cut: it would end pods that run by earlier settings."""
    derived = jobs.deadline_seconds(spec, job.completions)
    if spec.deadline_seconds is None:
        return max(derived, job.deadline_seconds or 0)
    spent = job.created - (job.first_seen or job.created)  # by Jobs before this one
    return max(1, derived - int(spent.total_seconds())) if spent >= _REMADE else derived
