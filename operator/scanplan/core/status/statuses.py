"""A plan's status, computed whole from what is observed; the controller writes what differs from the one it has.

Counts and times come from the Job where it has them, results from the runners' reports. A field that no longer holds is simply not
in the new status: nothing is carried along by accident. Only `of_failing` keeps the fields of a plan that is at work.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from scanplan.api import layout
from scanplan.api.documents.report import MergedResult, ShardReport, TaskError
from scanplan.api.documents.words import ErrorClass
from scanplan.api.times import format_duration, format_time, lenient_time, parse_time
from scanplan.api.v1alpha1 import status
from scanplan.api.v1alpha1.conditions import ConditionType, Reason
from scanplan.api.v1alpha1.scanplan import Phase
from scanplan.api.v1alpha1.scanplan_status import (
    Discovery,
    JobReference,
    PublishedArtifacts,
    ScannerStatus,
    ScanPlanStatus,
    ShardCounts,
    StatusError,
)
from scanplan.core.observed.jobs import JobView
from scanplan.core.observed.pods import PodView
from scanplan.core.observed.sharing import OtherCluster
from scanplan.core.planning import keys
from scanplan.core.planning.task import Plan
from scanplan.core.status import details, published
from scanplan.core.status.conditions import Condition, fit, for_phase, render

_PINNED = {
    "task_id",
    "task_key",
    "input_digest",
    "job_ref",
    "start_time",
    "endpoint_count",
    "discovery",
    "scanner",
    "artifacts",
}


_AT_WORK = {Phase.PENDING, Phase.RUNNING, Phase.RETRYING}
"""Phases in which a Job that is there counts against its deadline."""
_ORDINARY = {phase.value for phase in Phase} | {Reason.COLLECTING.value}
"""Reasons that say no more than a phase does."""


def of_waiting(plan: Plan, phase: Phase, reason: Reason, message: str, now: datetime) -> ScanPlanStatus:
    """Status of a plan that has no Job now: queued, suspended before its start, or waiting for something."""
    fields = _pinned(plan)
    if reason is Reason.WAITING_FOR_PODS and fields.task_key:  # between two Jobs of one scan
        fields = _with(fields, running_since=plan.status.running_since)
    return _assemble(plan, fields, phase, for_phase(phase, reason, message), now)


def of_invalid(plan: Plan, reason: Reason, message: str, now: datetime) -> ScanPlanStatus:
    """Status of a plan that can't run as written. Its phase is Failed, but it has not ended: a change of the plan or the policy may
    let it run."""
    error = TaskError(error_class=ErrorClass.FATAL, reason=reason, message=message)
    fields = _with(_pinned(plan), error=_error(error))
    return _assemble(plan, fields, Phase.FAILED, for_phase(Phase.FAILED, reason, message), now)


def of_running(
    plan: Plan,
    job: JobView,
    phase: Phase,
    reason: Reason,
    message: str,
    now: datetime,
    last_error: TaskError | None = None,
) -> ScanPlanStatus:
    """Status of a plan whose Job is there and has not ended."""
    fields = _of_job(plan, job)
    if phase in _AT_WORK:
        fields = _with(fields, running_since=_kept(plan, job, plan.status.running_since))
    if last_error:
        fields = _with(fields, error=_error(last_error))
    conditions = [
        *for_phase(phase, reason, message),
        *details.next_run(plan, job),
        *details.admission_changed(plan, job),
    ]
    return _assemble(plan, fields, phase, conditions, now)


def of_failing(plan: Plan, reason: Reason, message: str, now: datetime) -> ScanPlanStatus | None:
    """Status of a plan that the operator can't act on now; None where the status says so already, or the plan has ended."""
    known, ready = plan.status, plan.status.condition(ConditionType.READY)
    current = known.observed_generation == plan.generation
    if known.ended or (current and ready and ready.reason == reason):
        return None
    pinned = known.input_digest == plan.input_digest
    at_work = pinned and known.phase in {Phase.QUEUED, Phase.RUNNING, Phase.RETRYING}
    phase = known.phase if at_work and known.phase else Phase.PENDING
    fields = known if at_work else _with(_pinned(plan), running_since=known.running_since if pinned else None)
    return _assemble(plan, fields, phase, for_phase(phase, reason, message), now)


def of_cancelled(
    plan: Plan, task_id: str, task_key: str, merged: MergedResult | None, detail: str, now: datetime
) -> ScanPlanStatus:
    """Status of a plan that was cancelled, and whose Job is gone, another plan's, or was never made.

    Args:
        merged: what the collector has merged; None where there is no merged result.
        detail: appended to the message.
    """
    fields = _with(_pinned(plan), task_id=task_id, task_key=task_key, input_digest=plan.input_digest)
    fields = _ended(fields, parse_time(fields.start_time), now)
    message = f"cancelled on request{detail}"
    conditions = []
    if merged:
        fields = _with(fields, **published.fields(merged, fields.artifacts.claim_name if fields.artifacts else ""))
        message += f"; the findings until then are in {merged.path}"
        conditions = details.of_result(merged, fields.endpoint_count or 0)
    conditions = [*for_phase(Phase.CANCELLED, Reason.CANCELLED, message), *conditions]
    return _assemble(plan, fields, Phase.CANCELLED, conditions, now)


def of_unrepeatable(
    plan: Plan, reason: Reason, message: str, merged: MergedResult | None, now: datetime
) -> ScanPlanStatus:
    """Status of a plan whose Job is gone, and can't be made again.

    Args:
        merged: what the collector has saved.
    """
    error = TaskError(error_class=ErrorClass.FATAL, reason=reason, message=message)
    fields = _ended(_with(_pinned(plan), error=_error(error)), parse_time(plan.status.start_time), now)
    conditions = []
    if merged:
        fields = _with(fields, **published.fields(merged, fields.artifacts.claim_name if fields.artifacts else ""))
        message += f"; the findings until then are in {merged.path}"
        conditions = details.of_result(merged, fields.endpoint_count or 0)
    conditions = [*for_phase(Phase.FAILED, reason, message), *conditions]
    return _assemble(plan, fields, Phase.FAILED, conditions, now)


def of_other_cluster(plan: Plan, task_id: str, task_key: str, other: OtherCluster, now: datetime) -> ScanPlanStatus:
    """Status of a plan whose task another cluster has brought to a complete end (`other.result` is there)."""
    if other.result is None:
        raise ValueError("the other cluster has not ended the task")
    result = other.result
    count = result.endpoints_scanned + result.endpoints_unreachable + result.endpoints_skipped
    fields = ScanPlanStatus(task_id=task_id, task_key=task_key, input_digest=plan.input_digest, endpoint_count=count)
    fields = _ended(_with(fields, **published.fields(result, other.claim, other.cluster)), None, now)
    message = (
        f"{result.findings.total} findings in {result.path} on claim {other.claim} of cluster {other.cluster}, "
        "which has scanned the same task"
    )
    conditions = [*for_phase(Phase.COMPLETED, Reason.RESULT_REUSED, message), *details.of_result(result, count)]
    return _assemble(plan, fields, Phase.COMPLETED, conditions, now)


def of_finished(
    plan: Plan,
    job: JobView,
    reports: Sequence[ShardReport],
    merged: MergedResult | None,
    error: TaskError | None,
    now: datetime,
) -> ScanPlanStatus:
    """Status of a plan whose task has ended.

    Args:
        reports: of the shards' last attempts, as far as they are known.
        merged: the merged result; None where there is none.
        error: None where the scan is complete.
    """
    condition = job.complete or job.failed or job.failure_target
    ended = job.completion_time or (condition.since if condition and condition.since else now)
    fields = _of_job(plan, job)
    fields = _ended(fields, parse_time(fields.start_time), ended)
    if merged:
        fields = _with(fields, **published.fields(merged, job.claim, taken_over=_published_before(job, reports)))
    versions = next((report.scanner for report in reports if report.scanner.nuclei_version), None)
    if versions:
        scanner = ScannerStatus(
            image=job.image,
            nuclei_version=versions.nuclei_version,
            templates_digest=versions.templates_digest,
            templates_loaded=versions.templates_loaded,
        )
        fields = _with(fields, scanner=scanner)
    if error:
        fields = _with(fields, error=_error(error))
    phase, reason, message = _end(plan, job, reports, merged, error)
    conditions = [*for_phase(phase, reason, message), *details.admission_changed(plan, job)]
    if merged:
        conditions += details.of_result(merged, fields.endpoint_count or 0)
    return _assemble(plan, fields, phase, conditions, now)


def of_settled(plan: Plan) -> ScanPlanStatus:
    """Status of a plan that has ended and was edited in a way that asks for no other scan: fields that may
    change at any time, or other spellings of the same values."""
    conditions = tuple(
        condition.model_copy(update={"observed_generation": plan.generation}) for condition in plan.status.conditions
    )
    return _with(
        plan.status,
        observed_generation=plan.generation,
        input_digest=plan.input_digest,
        conditions=conditions,
    )


def _end(
    plan: Plan,
    job: JobView,
    reports: Sequence[ShardReport],
    merged: MergedResult | None,
    error: TaskError | None,
) -> tuple[Phase, Reason, str]:
    kept = f"; the findings until then are in {merged.path}" if merged else ""
    if error:
        return Phase.FAILED, error.reason, f"{error.message.rstrip('.')}{kept}" if kept else error.message
    found = f"{merged.findings.total} findings in {merged.path}" if merged else "nothing was published"
    found += _left_out(merged) + _remark(reports)
    if job.creator != plan.uid:
        return (
            Phase.COMPLETED,
            Reason.RESULT_REUSED,
            f"{found}; taken over from Job {job.name} of another plan with the same task",
        )
    if _published_before(job, reports):
        return (
            Phase.COMPLETED,
            Reason.RESULT_REUSED,
            f"{found}; taken over from the claim, where the same task had published it",
        )
    return Phase.COMPLETED, Reason.COMPLETED, found


def _published_before(job: JobView, reports: Sequence[ShardReport]) -> bool:
    """Whether all shards were on the claim before this scan began, so that the result is an earlier scan's.

    An attempt that was killed while it merged, and a Job that has gone, may have published shards of this scan.
    """
    begun = min(job.created, job.first_seen or job.created)
    times = [lenient_time(report.published_at) for report in reports if report.replayed]
    return bool(reports) and len(times) == len(reports) and all(time and time < begun for time in times)


def _left_out(merged: MergedResult | None) -> str:
    """How many lines of a file were not scanned, with an example."""
    told = merged.endpoints_file if merged else None
    if not told or not told.refused:
        return ""
    example = f", such as {told.examples[0]}" if told.examples else ""
    return f"; {told.refused} lines of the file of endpoints were left out{example}"


def _remark(reports: Sequence[ShardReport]) -> str:
    """The first of the runners' warnings: a complete scan may still have missed something, and nobody reads every log."""
    warnings = list(dict.fromkeys(warning for report in reports for warning in report.warnings))
    if not warnings:
        return ""
    more = f" (and {len(warnings) - 1} more: see the pods' logs)" if len(warnings) > 1 else ""
    return f"; warning: {warnings[0].rstrip('.')}{more}"


def _pinned(plan: Plan) -> ScanPlanStatus:
    """What stays from status to status as long as the plan's inputs are the same."""
    if plan.status.input_digest != plan.input_digest:
        return ScanPlanStatus()
    return ScanPlanStatus.model_construct(**{name: getattr(plan.status, name) for name in _PINNED})


def _of_job(plan: Plan, job: JobView) -> ScanPlanStatus:
    done = job.succeeded + job.failed_indexes
    return ScanPlanStatus(
        task_id=job.name,
        task_key=job.key,
        input_digest=plan.input_digest,
        job_ref=JobReference(name=job.name, uid=job.uid),
        attempts=job.succeeded + job.failed_pods + job.active,
        shards=ShardCounts(
            total=job.completions, active=job.active, succeeded=job.succeeded, failed=job.failed_indexes
        ),
        progress=f"{done}/{job.completions}",
        scanner=ScannerStatus(image=job.image),
        artifacts=PublishedArtifacts(claim_name=job.claim, path=artifacts_path(plan, job.key or ""), complete=False),
        endpoint_count=job.endpoint_count,
        discovery=_discovery(job),
        start_time=_kept(plan, job, plan.status.start_time),
    )


def _discovery(job: JobView) -> Discovery | None:
    told = job.discovery
    return Discovery(found=told.found, left_out=told.left_out, examples=told.examples) if told else None


def _kept(plan: Plan, job: JobView, before: str | None) -> str | None:
    """The time that the status has of the same task, or else the Job's start.

    Kubernetes renews the start of a Job that it resumes, and a Job that is made again has its own.
    """
    if before and plan.status.task_key == job.key and not plan.status.ended:
        return before
    return format_time(job.start_time) if job.start_time else None


def _ended(fields: ScanPlanStatus, started: datetime | None, ended: datetime) -> ScanPlanStatus:
    ended = ended.replace(microsecond=0)  # as it is written, so that the three fields agree
    fields = _with(fields, completion_time=format_time(ended))
    if started:
        milliseconds = max(0, round((ended - started).total_seconds() * 1000))
        fields = _with(fields, duration_ms=milliseconds, duration=format_duration(milliseconds))
    return fields


def _error(error: TaskError) -> StatusError:
    return StatusError(class_=error.error_class.value, reason=error.reason.value, message=fit(error.message))


def _with(status: ScanPlanStatus, **fields: object) -> ScanPlanStatus:
    """The status with these fields replaced."""
    return status.model_copy(update=fields)


def _assemble(
    plan: Plan, fields: ScanPlanStatus, phase: Phase, conditions: Iterable[Condition], now: datetime
) -> ScanPlanStatus:
    written: tuple[status.Condition, ...] = render(conditions, plan.status.conditions, plan.generation, now)
    return _with(
        fields,
        observed_generation=plan.generation,
        phase=phase,
        reason=_unwell(fields, phase, written),
        project_id=plan.project_id,
        run_id=plan.run_id,
        conditions=written,
    )


def _unwell(fields: ScanPlanStatus, phase: Phase, conditions: Iterable[status.Condition]) -> str | None:
    """What people should know beyond the phase: an error, what a plan waits for, or what a complete result lacks."""
    if fields.error:
        return fields.error.reason
    reasons = {condition.type: condition.reason for condition in conditions if condition.status != "True"}
    lacks = reasons.get(ConditionType.ENDPOINTS_REACHABLE) or reasons.get(ConditionType.TEMPLATES_RUN)
    if phase is Phase.COMPLETED:
        return lacks
    ready = reasons.get(ConditionType.READY)
    return None if ready in _ORDINARY else ready


def artifacts_path(plan: Plan, key: str) -> str:
    """The folder of a task's artifacts, from the root of its claim; a report that names another one is forged."""
    return str(layout.run_directory(plan.run_id) / layout.task_directory(keys.key_digest(key)))


def last_reports(pods: Iterable[PodView]) -> list[ShardReport]:
    """The newest report of each shard, in shard order."""
    newest: dict[int, ShardReport] = {}
    for pod in sorted(pods, key=lambda pod: pod.created):
        if pod.report is not None and not pod.collector:
            newest[pod.index] = pod.report
    return [newest[index] for index in sorted(newest)]
