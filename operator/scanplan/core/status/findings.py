"""The findings on a plan's status: what the result holds, and what it has changed in the run's findings over time."""

from __future__ import annotations

from typing import Any

from scanplan.api.documents.report import FindingCounts, HistoryCounts, MergedResult
from scanplan.api.documents.words import Age, Severity
from scanplan.api.v1alpha1.notification import NewFinding
from scanplan.api.v1alpha1.scanplan_status import BySeverity, Findings, NewFindings
from scanplan.core.status import details


def of_result(merged: MergedResult) -> Findings:
    """The findings of a published result."""
    found: dict[str, Any] = {severity.value: getattr(merged.findings, severity.value) for severity in Severity}
    found |= details.suppressed(merged)
    history = merged.history
    if history is None:
        return Findings(total=merged.findings.total, **found)
    return Findings(
        total=merged.findings.total,
        **found,
        new=history.new.total,
        resolved=history.resolved.total,
        reopened=history.reopened.total,
        open=history.open.total,
        new_by_severity=_by_severity(history.new),
        resolved_by_severity=_by_severity(history.resolved),
        reopened_by_severity=_by_severity(history.reopened),
        open_by_severity=_by_severity(history.open),
        open_by_age={age.value: old for age, counts in history.open_by_age.items() if (old := _by_severity(counts))}
        or None,
    )


def told(merged: MergedResult) -> NewFindings | None:
    """The new findings that notifiers tell; None where the merge did not tell them apart."""
    new = merged.history.told if merged.history else None
    if new is None:
        return None
    examples = tuple(
        NewFinding(severity=each.severity.value, name=each.name, template=each.template, where=each.where)
        for each in new.examples
    )
    return NewFindings(by_severity=_by_severity(new.counts) or {}, examples=examples)


def history_of(findings: Findings) -> HistoryCounts | None:
    """The counts that a status was made from; None where it has none."""
    if findings.new is None:
        return None
    return HistoryCounts(
        new=_counts(findings.new_by_severity),
        resolved=_counts(findings.resolved_by_severity),
        reopened=_counts(findings.reopened_by_severity),
        open=_counts(findings.open_by_severity),
        open_by_age={
            age: _counts(findings.open_by_age[age])
            for age in Age
            if findings.open_by_age and age in findings.open_by_age
        },
    )


def _by_severity(counts: FindingCounts) -> BySeverity | None:
    found = {severity.value: getattr(counts, severity.value) for severity in Severity}
    return {severity: count for severity, count in found.items() if count} or None


def _counts(found: BySeverity | None) -> FindingCounts:
    known = {severity.value for severity in Severity}
    return FindingCounts(**{severity: count for severity, count in (found or {}).items() if severity in known})
