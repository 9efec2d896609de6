"""A plan's status, computed whole from what is observed; the shell writes what differs from the one it has.

Counts and times come from the Job (the API server's clock), results from the runners' reports. A field that no longer holds is
simply not in the new status: nothing is carried along by accident.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from scanplan.api import layout
from scanplan.api.v1alpha1.conditions import ConditionType, Reason
from scanplan.api.v1alpha1.scanplan import Phase
from scanplan.api.v1alpha1.task import ErrorClass, MergedResult, ShardReport, TaskError
from scanplan.core.observed.sharing import Elsewhere
from scanplan.core.observed.views import JobView, PodView, format_time, parse_time
from scanplan.core.planning import keys
from scanplan.core.planning.task import Plan
from scanplan.core.status.conditions import Condition, fit, for_phase, render

Status = dict[str, Any]

_TERMINAL = {phase.value for phase in Phase if phase.is_terminal}
_PINNED = ("taskId", "taskKey", "inputDigest", "jobRef", "startTime", "endpointCount", "scanner", "artifacts")


def of_waiting(plan: Plan, phase: Phase, reason: Reason, message: str, now: datetime) -> Status:
    """Status of a plan that has no Job now: queued, suspended before its start, or waiting for something."""
    return _assemble(plan, _pinned(plan), phase, for_phase(phase, reason, message), now)


def of_invalid(plan: Plan, reason: Reason, message: str, now: datetime) -> Status:
    """Status of a plan that can't run as written. It has not ended: it is looked at anew when it, or the policy, changes."""
    error = {"class": ErrorClass.FATAL.value, "reason": reason.value, "message": fit(message)}
    return _assemble(
        plan, {**_pinned(plan), "error": error}, Phase.FAILED, for_phase(Phase.FAILED, reason, message), now
    )


def of_running(
    plan: Plan,
    job: JobView,
    phase: Phase,
    reason: Reason,
    message: str,
    now: datetime,
    last_error: TaskError | None = None,
) -> Status:
    """Status of a plan whose Job is there and has not ended."""
    fields = _of_job(plan, job)
    if last_error:
        fields["error"] = _error(last_error)
    conditions = [*for_phase(phase, reason, message), *_next_run(plan, job)]
    return _assemble(plan, fields, phase, conditions, now)


def of_cancelled(
    plan: Plan, task_id: str, task_key: str, merged: MergedResult | None, detail: str, now: datetime
) -> Status:
    """Status of a plan that was cancelled, and whose Job is gone, another plan's, or was never made.

    Args:
        merged: what the collector has saved; None where there was nothing to be saved.
        detail: what more there is to say.
    """
    fields = {**_pinned(plan), "taskId": task_id, "taskKey": task_key, "inputDigest": plan.input_digest}
    fields.update(_ended(parse_time(fields.get("startTime")), now))
    message = f"cancelled on request{detail}"
    conditions = []
    if merged:
        fields.update(_result(merged, fields["artifacts"]["claimName"]))
        message += f"; the findings so far are in {merged.path}"
        conditions = _of_result(merged, fields.get("endpointCount", 0))
    conditions = [*for_phase(Phase.CANCELLED, Reason.CANCELLED, message), *conditions]
    return _assemble(plan, fields, Phase.CANCELLED, conditions, now)


def of_elsewhere(plan: Plan, task_id: str, task_key: str, other: Elsewhere, now: datetime) -> Status:
    """Status of a plan whose task another cluster has brought to a complete end (`other.result` is there)."""
    if other.result is None:
        raise ValueError("the other cluster has not ended the task")
    result = other.result
    count = result.endpoints_scanned + result.endpoints_unreachable
    published = _result(result, other.claim)
    published["artifacts"]["cluster"] = other.cluster
    pinned = {"taskId": task_id, "taskKey": task_key, "inputDigest": plan.input_digest, "endpointCount": count}
    fields = {**pinned, **published, **_ended(None, now)}
    message = (
        f"{result.findings.total} findings in {result.path} on claim {other.claim} of cluster {other.cluster}, "
        "which has scanned the same task"
    )
    conditions = [*for_phase(Phase.COMPLETED, Reason.RESULT_REUSED, message), *_of_result(result, count)]
    return _assemble(plan, fields, Phase.COMPLETED, conditions, now)


def of_finished(
    plan: Plan,
    job: JobView,
    reports: Iterable[ShardReport],
    merged: MergedResult | None,
    error: TaskError | None,
    now: datetime,
) -> Status:
    """Status of a plan whose task has ended.

    Args:
        reports: of the shards' last attempts, as far as they are known.
        merged: the published result; None where nothing was published.
        error: None where the scan is complete.
    """
    condition = job.complete or job.failed or job.failure_target
    ended = job.completion_time or (condition.since if condition and condition.since else now)
    fields = {**_of_job(plan, job), **_ended(job.start_time, ended)}
    if merged:
        fields.update(_result(merged, fields["artifacts"]["claimName"]))
    versions = next((report.scanner for report in reports if report.scanner.nuclei_version), None)
    if versions:
        fields["scanner"] = {
            **fields.get("scanner", {}),
            "nucleiVersion": versions.nuclei_version,
            "templatesDigest": versions.templates_digest,
            "templatesLoaded": versions.templates_loaded,
        }
    if error:
        fields["error"] = _error(error)
    phase, reason, message = _end(plan, job, reports, merged, error)
    conditions = for_phase(phase, reason, message)
    if merged:
        conditions += _of_result(merged, fields.get("endpointCount", 0))
    return _assemble(plan, fields, phase, conditions, now)


def has_ended(plan: Plan) -> bool:
    """Whether the plan's task has come to an end for good; one that can't run as written (`of_invalid`) has not."""
    return plan.status.get("phase") in _TERMINAL and "completionTime" in plan.status


def of_settled(plan: Plan) -> Status:
    """Status of a plan that has ended and was edited in a way that asks for no other scan: live fields, or other spellings."""
    status = {**plan.status, "observedGeneration": plan.generation, "inputDigest": plan.input_digest}
    status["conditions"] = [
        {**condition, "observedGeneration": plan.generation} for condition in plan.status.get("conditions", ())
    ]
    return status


def format_duration(milliseconds: int) -> str:
    """As kubectl writes durations: 42s, 4m12s, 3h5m."""
    seconds = milliseconds // 1000
    if seconds < 60:
        return f"{seconds}s"
    minutes, seconds = divmod(seconds, 60)
    if minutes < 60:
        return f"{minutes}m{seconds}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m"


def _end(
    plan: Plan,
    job: JobView,
    reports: Iterable[ShardReport],
    merged: MergedResult | None,
    error: TaskError | None,
) -> tuple[Phase, Reason, str]:
    kept = f"; the findings so far are in {merged.path}" if merged else ""
    if error:
        return Phase.FAILED, error.reason, f"{error.message.rstrip('.')}{kept}" if kept else error.message
    found = f"{merged.findings.total} findings in {merged.path}" if merged else "nothing was published"
    found += _remark(reports)
    if job.creator != plan.uid:
        return (
            Phase.COMPLETED,
            Reason.RESULT_REUSED,
            f"{found}; taken over from Job {job.name} of another plan with the same task",
        )
    if reports and all(report.replayed for report in reports):
        return (
            Phase.COMPLETED,
            Reason.RESULT_REUSED,
            f"{found}; taken over from the claim, where the same task had published it",
        )
    return Phase.COMPLETED, Reason.COMPLETED, found


def _remark(reports: Iterable[ShardReport]) -> str:
    """The first of the runners' warnings: a complete scan may still have missed something, and nobody reads every log."""
    warnings = list(dict.fromkeys(warning for report in reports for warning in report.warnings))
    if not warnings:
        return ""
    more = f" (and {len(warnings) - 1} more: see the pods' logs)" if len(warnings) > 1 else ""
    return f"; warning: {warnings[0].rstrip('.')}{more}"


def _of_result(merged: MergedResult, endpoint_count: int) -> list[Condition]:
    total = merged.findings.total
    findings = Condition(
        ConditionType.FINDINGS_PRESENT,
        "True" if total else "False",
        Reason.FINDINGS if total else Reason.NO_FINDINGS,
        f"{total} findings, {merged.findings.critical} critical, {merged.findings.high} high",
    )
    unreachable = merged.endpoints_unreachable
    if not unreachable and not merged.complete:
        return [findings]  # whether the endpoints that no attempt came to would answer, nobody knows
    if not unreachable:
        reachable = Condition(
            ConditionType.ENDPOINTS_REACHABLE, "True", Reason.ALL_REACHABLE, "every endpoint answered"
        )
    elif unreachable < endpoint_count:
        message = f"{unreachable} of {endpoint_count} endpoints did not answer: their results are incomplete"
        reachable = Condition(ConditionType.ENDPOINTS_REACHABLE, "Unknown", Reason.SOME_UNREACHABLE, message)
    else:
        reachable = Condition(
            ConditionType.ENDPOINTS_REACHABLE,
            "False",
            Reason.ENDPOINTS_UNREACHABLE,
            "no endpoint answered: nothing was scanned",
        )
    return [findings, reachable]


def _next_run(plan: Plan, job: JobView) -> list[Condition]:
    if job.next_digest in {"", plan.next_digest}:
        return []
    message = "the spec was edited in fields that a running Job can't take up; set rerun to start again with them"
    if job.creator != plan.uid:
        message = f"this plan shares Job {job.name}, which runs with the settings of the plan that created it"
    return [Condition(ConditionType.APPLIES_NEXT_RUN, "True", Reason.SPEC_EDITED, message)]


def _pinned(plan: Plan) -> Status:
    """What stays from status to status as long as the plan's inputs are the same."""
    if plan.status.get("inputDigest") != plan.input_digest:
        return {}
    return {name: plan.status[name] for name in _PINNED if name in plan.status}


def _of_job(plan: Plan, job: JobView) -> Status:
    run_id = plan.spec.run_id or plan.name
    done = job.succeeded + job.failed_indexes
    fields: Status = {
        "taskId": job.name,
        "taskKey": job.key,
        "inputDigest": plan.input_digest,
        "jobRef": {"name": job.name, "uid": job.uid},
        "attempts": job.succeeded + job.failed_pods + job.active,
        "shards": {
            "total": job.completions,
            "active": job.active,
            "succeeded": job.succeeded,
            "failed": job.failed_indexes,
        },
        "progress": f"{done}/{job.completions}",
        "scanner": {"image": job.image},
        "artifacts": {
            "claimName": job.claim,
            "path": str(layout.run_directory(run_id) / layout.task_directory(keys.key_digest(job.key or ""))),
            "complete": False,
        },
    }
    if job.endpoint_count is not None:
        fields["endpointCount"] = job.endpoint_count
    if job.start_time:
        fields["startTime"] = format_time(job.start_time)
    return fields


def _ended(started: datetime | None, ended: datetime) -> Status:
    ended = ended.replace(microsecond=0)  # as it is written, so that the three fields agree
    fields: Status = {"completionTime": format_time(ended)}
    if started:
        milliseconds = max(0, round((ended - started).total_seconds() * 1000))
        fields["durationMs"] = milliseconds
        fields["duration"] = format_duration(milliseconds)
    return fields


def _result(merged: MergedResult, claim: str) -> Status:
    findings = merged.findings
    return {
        "endpointsScanned": merged.endpoints_scanned,
        "endpointsUnreachable": merged.endpoints_unreachable,
        "findings": {
            "total": findings.total,
            "critical": findings.critical,
            "high": findings.high,
            "medium": findings.medium,
            "low": findings.low,
            "info": findings.info,
            "unknown": findings.unknown,
        },
        "artifacts": {
            "claimName": claim,
            "path": merged.path,
            "complete": merged.complete,
            "files": [{"name": file.name, "bytes": file.bytes, "sha256": file.sha256} for file in merged.files],
        },
    }


def _error(error: TaskError) -> Status:
    return {"class": error.error_class.value, "reason": error.reason.value, "message": fit(error.message)}


def _assemble(plan: Plan, fields: Status, phase: Phase, conditions: Iterable[Condition], now: datetime) -> Status:
    return {
        "observedGeneration": plan.generation,
        "phase": phase.value,
        "conditions": render(conditions, plan.status.get("conditions", ()), plan.generation, now),
        **fields,
    }


def last_reports(pods: Iterable[PodView]) -> list[ShardReport]:
    """The newest report of each shard, in shard order."""
    newest: dict[int, ShardReport] = {}
    for pod in sorted(pods, key=lambda pod: pod.created):
        if pod.report is not None and not pod.collector:
            newest[pod.index] = pod.report
    return [newest[index] for index in sorted(newest)]
