"""What has to change on a Job for the fields of the spec that may be edited while it lives.

A field is patched where the plans' wish differs from what the operator last asked for. Where somebody else has given the field
another value, that value stays, and the condition `AdmissionChanged` says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from scanplan.api.times import lenient_time
from scanplan.api.v1alpha1.scanplan import Phase, ScanPlanSpec
from scanplan.core.manifests import jobs
from scanplan.core.observed.asked import Asked
from scanplan.core.observed.jobs import JobView
from scanplan.core.planning.task import Plan
from scanplan.core.reconcile.context import Context
from scanplan.core.reconcile.decision import Action, PatchJob, SetAdmission

_REMADE = timedelta(seconds=60)
"""A Job that is made so long after the scan went to work is not its first one; less may be a difference of clocks."""


def changes(context: Context, job: JobView) -> tuple[Action, ...]:
    """The changes; values of co-owners are combined by maximum, and the Job is suspended where all of them are held."""
    owners = context.owners
    wanted = replace(job.asked, ttl_seconds=max(owner.spec.ttl_seconds_after_finished for owner in owners))
    if job.finished:
        return _patch(job, wanted)
    spent = spent_before(owners, job)
    wanted = replace(wanted, deadline_seconds=max(_deadline(owner.spec, job, spent) for owner in owners))
    suspend = all(context.hold_of(owner) for owner in owners)
    if job.by_kueue:
        return _through_kueue(context, job, wanted, suspend)
    parallel = max(jobs.parallelism(owner.spec, job.completions) for owner in owners)
    if job.rate_shares is not None:  # with more shards the plan's limit of requests would not hold
        parallel = max(1, min(parallel, job.rate_shares))
    wanted = replace(wanted, parallelism=parallel)
    if suspend or context.observed.free_slots > 0:
        wanted = replace(wanted, suspend=suspend)
    return _patch(job, wanted)


def _patch(job: JobView, wanted: Asked) -> tuple[Action, ...]:
    return (PatchJob(job, jobs.asking_patch(job, wanted)),) if wanted != job.asked else ()


def _through_kueue(context: Context, job: JobView, wanted: Asked, suspend: bool) -> tuple[Action, ...]:
    """Suspend and resume by the Job's Workload. What is about to be deactivated is recorded first, and forgotten last: after a
    crash at any point, the Workload is looked at again."""
    told = context.observed.admissions.get(job.uid)
    ask = not context.observed.no_workload
    # Kueue resumes the Job: were `suspend` patched as well, its pods would start before they are admitted.
    wanted = replace(wanted, suspend=None if wanted.suspend is None else False)
    if suspend:
        admission = (SetAdmission(job, active=False),) if ask and told is not False else ()
        return (*_patch(job, replace(wanted, deactivated=True)), *admission)
    # An operator of an earlier version has left no record.
    stopped = job.asked.deactivated or (
        not job.recorded and job.suspended and context.plan.status.phase is Phase.SUSPENDED
    )
    admission = (SetAdmission(job, active=True),) if ask and stopped and told is not True else ()
    return (*admission, *_patch(job, replace(wanted, deactivated=False)))


def spent_before(owners: Sequence[Plan], job: JobView) -> timedelta:
    """The time of a deadline that Jobs before this one have taken, alike for all owners. A pause begins the deadline anew."""
    times = [lenient_time(owner.status.running_since) for owner in owners if owner.status.task_id == job.name]
    spent = job.created - min(filter(None, times), default=job.created)
    return spent if spent >= _REMADE else timedelta()


def _deadline(spec: ScanPlanSpec, job: JobView, spent: timedelta) -> int:
    """A plan's wish for a running Job's deadline. A derived one is never cut: it would end pods that run by earlier settings."""
    derived = jobs.deadline_seconds(spec, job.completions)
    if spec.deadline_seconds is None:
        return max(derived, job.asked.deadline_seconds or 0)
    return max(1, derived - int(spent.total_seconds()))
