"""Conditions beside the phase: what a result lacks, and how a Job differs from what its plan asks for."""

from __future__ import annotations

from typing import Any

from scanplan.api.documents.report import MergedResult
from scanplan.api.documents.words import Severity
from scanplan.api.times import lenient_time
from scanplan.api.v1alpha1.conditions import ConditionType, Reason
from scanplan.api.v1alpha1.scanplan_status import AppliedExceptions, ExceptionUse
from scanplan.core.manifests import jobs
from scanplan.core.observed import alterations
from scanplan.core.observed.jobs import ASKED, JobView
from scanplan.core.planning.task import Plan
from scanplan.core.status.conditions import Condition

_CHANGED = "the Job runs with other values than the operator wrote: "
_AND = ", "
_BY = "; changed by an admission webhook or policy"


def of_result(merged: MergedResult, endpoint_count: int) -> list[Condition]:
    """Whether there are findings, and whether every endpoint answered and every template was sent."""
    total = merged.findings.total
    findings = Condition(
        ConditionType.FINDINGS_PRESENT,
        "True" if total else "False",
        Reason.FINDINGS if total else Reason.NO_FINDINGS,
        f"{total} findings, {merged.findings.critical} critical, {merged.findings.high} high{_of_exceptions(merged)}",
    )
    templates = _of_templates(merged)
    return [findings, *_of_endpoints(merged, endpoint_count), *templates]


def suppressed(merged: MergedResult) -> dict[str, Any]:
    """How many findings fell under an exception; nothing where there were no exceptions."""
    if merged.exceptions is None:
        return {}
    counts = merged.exceptions.suppressed
    by_severity = {severity.value: count for severity in Severity if (count := getattr(counts, severity.value))}
    return {"suppressed": counts.total, "suppressed_by_severity": by_severity or None}


def exceptions(merged: MergedResult) -> AppliedExceptions | None:
    """The exceptions that a result was counted with; a report with a time that is none is forged."""
    applied = merged.exceptions
    if applied is None or lenient_time(applied.time) is None:
        return None
    used = tuple(ExceptionUse(name=use.name, findings=use.findings) for use in applied.used)
    return AppliedExceptions(time=applied.time, used=used, more=applied.more)


def _of_exceptions(merged: MergedResult) -> str:
    count = merged.exceptions.suppressed.total if merged.exceptions else 0
    return f"; {count} of them fall under an exception" if count else ""


def _of_endpoints(merged: MergedResult, endpoint_count: int) -> list[Condition]:
    kind = ConditionType.ENDPOINTS_REACHABLE
    if endpoint_count and merged.endpoints_unreachable >= endpoint_count:
        message = "no endpoint answered: nothing was scanned"
        return [Condition(kind, "False", Reason.ENDPOINTS_UNREACHABLE, message)]
    told = [
        (reason, f"{count} {what}")
        for count, reason, what in (
            (merged.endpoints_unreachable, Reason.SOME_UNREACHABLE, "did not answer"),
            (merged.endpoints_skipped, Reason.SOME_SKIPPED, "stopped answering, or got no request"),
            (merged.endpoints_throttled, Reason.SOME_THROTTLED, "throttled the scan, or were out of service"),
            (merged.endpoints_blocked, Reason.SOME_BLOCKED, "blocked the scan"),
        )
        if count
    ]
    if told:
        counts = ", ".join(text for _, text in told)
        more = f": {merged.endpoints_remark}" if merged.endpoints_remark else ""
        message = f"of {endpoint_count} endpoints {counts}; their results are incomplete{more}"
        return [Condition(kind, "Unknown", told[0][0], message)]
    if not merged.complete:
        return []  # whether the endpoints that no attempt came to would answer, nobody knows
    return [Condition(kind, "True", Reason.ALL_REACHABLE, "every endpoint answered")]


def _of_templates(merged: MergedResult) -> list[Condition]:
    if not merged.templates_run and not merged.templates_not_run:
        return []  # an older runner, which doesn't know
    if not merged.templates_not_run:
        message = f"each of {merged.templates_run} templates was sent"
        return [Condition(ConditionType.TEMPLATES_RUN, "True", Reason.ALL_RUN, message)]
    total = merged.templates_run + merged.templates_not_run
    message = f"{merged.templates_not_run} of {total} templates were not run: {merged.templates_remark}"
    return [Condition(ConditionType.TEMPLATES_RUN, "False", Reason.SOME_NOT_RUN, message)]


def next_run(plan: Plan, job: JobView) -> list[Condition]:
    """What of the spec the running Job does not follow."""
    if job.next_run_digest in {"", plan.next_run_digest}:
        return _held_parallelism(plan, job)
    message = "the spec was edited in fields that a running Job can't take up; set rerun to start again with them"
    if job.creator != plan.uid:
        message = f"this plan shares Job {job.name}, which runs with the settings of the plan that created it"
    return [Condition(ConditionType.APPLIES_NEXT_RUN, "True", Reason.SPEC_EDITED, message)]


def _held_parallelism(plan: Plan, job: JobView) -> list[Condition]:
    """Kueue has counted the pods of a Job with a queue: with another number of them it would have to be admitted anew."""
    wanted, asked = jobs.parallelism(plan.spec, job.completions), job.asked.parallelism
    if job.rate_shares is not None:
        wanted = max(1, min(wanted, job.rate_shares))
    if not job.queue_name or job.creator != plan.uid or asked in {None, wanted}:
        return []
    message = f"parallelism stays {asked} in a Job of a queue, since Kueue admits it with its pods; set rerun to apply {wanted}"
    return [Condition(ConditionType.APPLIES_NEXT_RUN, "True", Reason.SPEC_EDITED, message)]


def admission_changed(plan: Plan, job: JobView) -> list[Condition]:
    """What the Job has otherwise than the operator wrote it."""
    altered = alterations.named(job.altered) or _told_before(plan, job)
    if not job.changed_fields and not altered:
        return []
    changes = _AND.join((*job.changed_fields, altered) if altered else job.changed_fields)
    who = f" or by {', '.join(job.managers)}" if job.managers else ""
    message = f"{_CHANGED}{changes}{_BY}{who}"
    return [Condition(ConditionType.ADMISSION_CHANGED, "True", Reason.FIELDS_CHANGED, message)]


def _told_before(plan: Plan, job: JobView) -> str:
    """What admission changed when the Job was made, in the words of the last status.

    Only the process that made the Job has compared what it wrote with the answer.
    """
    before = plan.status.condition(ConditionType.ADMISSION_CHANGED)
    if not before or not plan.status.job_ref or plan.status.job_ref.uid != job.uid:
        return ""
    rest = before.message.removeprefix(_CHANGED)
    rest = rest.rpartition(_BY)[0] if _BY in rest else rest  # the end of a long message is cut off
    while rest.partition(_AND)[0].endswith(ASKED):  # the mutable fields come first, and are compared anew
        rest = rest.partition(_AND)[2]
    return rest
