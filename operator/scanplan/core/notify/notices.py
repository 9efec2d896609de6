"""Builds the message about one scan, with a bound on every text."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import quote

from scanplan.api.documents.words import Severity
from scanplan.api.times import format_time
from scanplan.api.v1alpha1.conditions import ConditionType
from scanplan.api.v1alpha1.notification import MAX_TEXT, NewFinding, Notice
from scanplan.api.v1alpha1.scannotifier import EventType, ScanNotifierSpec
from scanplan.api.v1alpha1.scanplan import Phase
from scanplan.api.v1alpha1.scanplan_status import ScanPlanStatus
from scanplan.core.notify import choice
from scanplan.core.notify.scans import Ended, Scan

TEST = "Test"
"""The event of a test message."""


def of_scan(
    ended: Ended, scan: Scan, event: EventType, spec: ScanNotifierSpec, *, recovered: bool, page_url: str = ""
) -> Notice:
    """What is told of a scan that has ended.

    Args:
        scan: the rest of it, with those new findings that are to be told.
        page_url: where the API and its page are served; empty: there are no links.
    """
    status, findings = scan.status, scan.status.findings
    ready = status.condition(ConditionType.READY)
    return Notice(
        event=event.value,
        time=format_time(ended.time),
        namespace=ended.namespace,
        plan=ended.plan,
        uid=ended.uid,
        schedule=cut(scan.schedule, 256),
        project=cut(status.project_id or "", 256),
        run=cut(status.run_id or "", 256),
        phase=(status.phase or Phase.PENDING).value,
        reason=cut((ready.reason if ready else "") or status.reason or "", 128),
        message=cut(ready.message, MAX_TEXT) if ready and status.phase is not Phase.COMPLETED else "",
        recovered=recovered,
        complete=status.phase is Phase.COMPLETED,
        duration=cut(status.duration or "", 32),
        endpoints=status.endpoint_count,
        findings={each.value: count for each in Severity if (count := getattr(findings, each.value))}
        if findings
        else None,
        suppressed=findings.suppressed if findings else None,
        new=choice.new_findings(status, spec.min_severity) if findings and findings.new is not None else None,
        examples=_examples(status, spec),
        resolved=findings.resolved if findings else None,
        reopened=findings.reopened if findings else None,
        min_severity=spec.min_severity.value,
        page_url=_page(page_url, ended.namespace),
        report_url=_report(page_url, ended.namespace, status.task_id) if findings and status.task_id else "",
        metadata=dict(spec.metadata) or None,
    )


def of_test(namespace: str, spec: ScanNotifierSpec, now: datetime) -> Notice:
    """A message that says that messages arrive."""
    return Notice(
        event=TEST,
        time=format_time(now.astimezone(UTC)),
        namespace=namespace,
        min_severity=spec.min_severity.value,
        metadata=dict(spec.metadata) or None,
    )


def _examples(status: ScanPlanStatus, spec: ScanNotifierSpec) -> tuple[NewFinding, ...]:
    """The new findings that are named, of those that are told."""
    told = choice.new_findings(status, spec.min_severity)
    named = status.new_findings.examples if status.new_findings else ()
    return tuple(each for each in named if each.severity in told)


def _page(base: str, namespace: str) -> str:
    return f"{base.rstrip('/')}/?namespace={quote(namespace)}" if base else ""


def _report(base: str, namespace: str, task_id: str) -> str:
    where = f"api/v1/tasks/{quote(task_id, safe='')}/reports/html"
    return f"{base.rstrip('/')}/{where}?namespace={quote(namespace)}" if base else ""


def cut(text: str, length: int) -> str:
    """The text, or its begin with an ellipsis."""
    return text if len(text) <= length else f"{text[: length - 1]}…"
