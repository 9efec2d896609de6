"""A plan whose scan has ended: export its result. Phase and Ready are never touched.

What can't be exported is written first, so that the exports of a Job are those that are due, in their order.
"""

from __future__ import annotations

from scanplan.api.v1alpha1.conditions import Reason
from scanplan.api.v1alpha1.plan.exports import Export, ExportState
from scanplan.core.exports import due, outcome, refusals
from scanplan.core.exports.refusals import Refusal
from scanplan.core.manifests import exporting
from scanplan.core.observed.jobs import JobView
from scanplan.core.planning import sources
from scanplan.core.planning.sources import Kind, Reference
from scanplan.core.reconcile import podless
from scanplan.core.reconcile.context import START_SECONDS, Context
from scanplan.core.reconcile.decision import (
    QUOTA_MAX_SECONDS,
    Act,
    CreateJob,
    Decision,
    NeedInputs,
    NeedPods,
    Rejection,
)
from scanplan.core.status import statuses


def settled(context: Context) -> Decision:
    """Decide about the exports of a plan that has ended."""
    plan = context.plan
    if plan.status.input_digest != plan.input_digest:  # written first: what follows goes by the status
        return context.write(statuses.of_settled(plan), requeue_after=0.0 if plan.spec.exports else None)
    exports = due.due(plan)
    name = due.job_name(plan, exports) if exports else ""
    stale = [job for job in context.observed.owned if job.exporter and job.in_progress and job.name != name]
    if stale:
        return Act(tuple(context.release(job) for job in stale))
    if not exports:
        return context.write(outcome.with_outcomes(plan, {}, context.now))
    refused = {
        each.name: found for each in exports if (found := refusals.refusal(each, plan.status, context.observed.policy))
    }
    if refused:
        return _ended(context, refused)
    job = context.observed.jobs.get(name)
    if job is None:
        return _begin(context, exports, name)
    if not job.exporter or plan.uid not in job.owners:
        rejection = Rejection.name_conflict(name)
        return _all_failed(context, exports, rejection.reason, rejection.message)
    if job.deleting:
        return _under_way(context, requeue_after=START_SECONDS)
    if not job.finished:
        return _at_work(context, job)
    if context.observed.pods is None:
        return NeedPods(name)
    return _ended(context, outcome.of_job(job, exports, context.observed.pods))


def _begin(context: Context, exports: tuple[Export, ...], name: str) -> Decision:
    rejection = context.observed.rejection
    if isinstance(rejection, Rejection):
        if rejection.stalled:
            return _all_failed(context, exports, rejection.reason, rejection.message)
        status = outcome.with_outcomes(context.plan, {}, context.now, (rejection.reason, rejection.message))
        return context.write(status, requeue_after=rejection.retry_after, requeue_max=QUOTA_MAX_SECONDS)
    claim = Reference(Kind.CLAIM, context.plan.status.artifacts.claim_name if context.plan.status.artifacts else "")
    needed = tuple(dict.fromkeys([claim, *filter(None, map(refusals.secret_of, exports))]))
    inputs = context.observed.inputs
    if inputs is None or claim not in inputs:
        return NeedInputs(needed)
    if problem := sources.problem_of(claim, inputs[claim]):
        return _all_failed(context, exports, Reason.INPUT_UNAVAILABLE, problem)
    refused = {each.name: found for each in exports if (found := refusals.without_secret(each, inputs))}
    if refused:
        return _ended(context, refused)
    manifest = exporting.build(
        context.plan,
        exports,
        context.observed.policy,
        one_node_only=sources.one_node_only(claim.name, inputs),
        exceptions=context.observed.exceptions,
    )
    return Act((CreateJob(manifest, skip_get=name not in context.observed.doubted),))


def _at_work(context: Context, job: JobView) -> Decision:
    if job.suspended or job.counts_pods or job.uncounted:
        return _under_way(context)
    if (left := podless.ordinary_for(job, context.now)) > 0:
        return _under_way(context, requeue_after=left)
    waits = (Reason.EXPORTING, f"{podless.words(job)}; kubectl describe job {job.name}")
    return context.write(outcome.with_outcomes(context.plan, {}, context.now, waits))


def _all_failed(context: Context, exports: tuple[Export, ...], reason: Reason, message: str) -> Decision:
    return _ended(context, {export.name: Refusal(ExportState.FAILED, reason, message) for export in exports})


def _ended(context: Context, outcomes: dict[str, Refusal | None] | dict[str, Refusal]) -> Decision:
    """These exports are over; others may be left."""
    status = outcome.with_outcomes(context.plan, outcomes, context.now)
    left = any(not each.state.is_terminal for each in status.exports or ())
    return context.write(status, requeue_after=0.0 if left else None)


def _under_way(context: Context, requeue_after: float | None = None) -> Decision:
    return context.write(outcome.with_outcomes(context.plan, {}, context.now), requeue_after=requeue_after)
