"""What has become of exports: their records on the status, and the condition `Exported`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from scanplan.api.documents.export import decode_report
from scanplan.api.times import format_time
from scanplan.api.v1alpha1.conditions import ConditionType, Reason
from scanplan.api.v1alpha1.plan.exports import Export, ExportState, ExportStatus
from scanplan.api.v1alpha1.scanplan_status import ScanPlanStatus
from scanplan.core.exports.due import digest_of, settled
from scanplan.core.exports.refusals import Refusal
from scanplan.core.observed.jobs import JobView
from scanplan.core.observed.pods import PodView
from scanplan.core.planning.task import Plan
from scanplan.core.status import statuses
from scanplan.core.status.conditions import Condition, ConditionStatus, render

_MESSAGE_LENGTH = 1_024
_EXAMPLES = 3
_INDEXES = "FailedIndexes"
"""Reason of a Job whose other indexes have all succeeded."""


def of_job(job: JobView, exports: Sequence[Export], pods: Iterable[PodView]) -> dict[str, Refusal | None]:
    """What an ended Job has done for each of its exports; None: it is done."""
    last: dict[int, PodView] = {}
    for each in sorted((each for each in pods if each.job_uid == job.uid), key=lambda each: each.created):
        last[each.index] = each
    outcomes: dict[str, Refusal | None] = {}
    for index, export in enumerate(exports):
        pod = last.get(index)
        others_failed = job.failed is not None and job.failed.reason == _INDEXES and index not in job.failed_at
        if job.complete or others_failed or (pod is not None and pod.exit_code == 0):
            outcomes[export.name] = None
        else:
            outcomes[export.name] = _failed(export, job, pod)
    return outcomes


def _failed(export: Export, job: JobView, pod: PodView | None) -> Refusal:
    report = decode_report(pod.message) if pod else None
    if report and report.export == export.name:
        return Refusal(ExportState.FAILED, report.reason, report.message)
    if pod and (pod.reason or pod.waiting_reason):
        why = f"{pod.reason or pod.waiting_reason} {pod.waiting_message or pod.message}".strip()
        return Refusal(ExportState.FAILED, Reason.POD_FAILED, f"the export pod ended without a report: {why}")
    why = f": {job.failed.message}" if job.failed and job.failed.message else ""
    return Refusal(ExportState.FAILED, Reason.EXPORT_FAILED, f"Job {job.name} has ended without exporting it{why}")


def with_outcomes(
    plan: Plan, outcomes: Mapping[str, Refusal | None], now: datetime, waits: tuple[Reason, str] | None = None
) -> ScanPlanStatus:
    """The status of a plan that has ended, with its exports as they are now.

    Args:
        outcomes: of exports that have just ended, by name; None: done. Others keep their record, or are under way.
        waits: why those that are under way have not begun.
    """
    over, known = settled(plan), {each.name: each for each in plan.status.exports or ()}
    records = []
    for export in plan.spec.exports:
        if export.name in over:
            records.append(over[export.name])
            continue
        ended = export.name in outcomes
        refusal = outcomes.get(export.name)
        if refusal:
            state, reason, message = refusal
        elif ended:
            state, reason, message = ExportState.EXPORTED, Reason.EXPORTED, ""
        else:
            reason, message = waits or (Reason.EXPORTING, "")
            state = ExportState.EXPORTING
        record = ExportStatus(
            name=export.name,
            state=state,
            reason=reason.value,
            message=message[:_MESSAGE_LENGTH],
            at=format_time(now),
            digest=digest_of(export, plan.status),
            retry=plan.spec.retry_exports or None,
        )
        before = known.get(export.name)
        same = before is not None and before.model_copy(update={"at": record.at}) == record
        records.append(before if before and same else record)
    return _written(plan, tuple(records), now)


def _written(plan: Plan, records: tuple[ExportStatus, ...], now: datetime) -> ScanPlanStatus:
    status = statuses.of_settled(plan)
    others = tuple(each for each in status.conditions if each.type != ConditionType.EXPORTED)
    conditions = (_condition(records),) if records else ()
    rendered = render(conditions, plan.status.conditions, plan.generation, now)
    return status.model_copy(update={"exports": records or None, "conditions": (*others, *rendered)})


def _condition(records: tuple[ExportStatus, ...]) -> Condition:
    def of(state: ExportState) -> list[ExportStatus]:
        return [each for each in records if each.state is state]

    running, lacking = of(ExportState.EXPORTING), of(ExportState.FAILED) + of(ExportState.SKIPPED)
    status: ConditionStatus
    if running:
        waits = next((each for each in running if each.message), None)
        status, reason = "Unknown", running[0].reason if waits is None else waits.reason
        message = f"{_names(running)}: {waits.message}" if waits else f"under way: {_names(running)}"
    elif lacking:
        first = lacking[0]
        status, reason = "False", first.reason
        message = "; ".join(f"{each.name}: {each.message or each.reason}" for each in lacking[:_EXAMPLES])
        if len(lacking) > _EXAMPLES:
            message += f" (and {len(lacking) - _EXAMPLES} more)"
    else:
        status, reason = "True", Reason.EXPORTED.value
        message = f"the result is exported to {_names(records)}"
    return Condition(ConditionType.EXPORTED, status, Reason(reason), message)


def _names(records: Iterable[ExportStatus]) -> str:
    return ", ".join(each.name for each in records)
