"""Which scans a notifier tells of, and by which event each: the first that applies of Failed, NewFindings, Recovered, Completed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import msgspec

from scanplan.api.documents.words import Severity
from scanplan.api.v1alpha1.plan.discovery import LabelSelector, LabelSelectorRequirement
from scanplan.api.v1alpha1.scannotifier import EventType, ScanNotifierSpec
from scanplan.api.v1alpha1.scanplan import Phase
from scanplan.api.v1alpha1.scanplan_status import ScanPlanStatus
from scanplan.core.notify.scans import Scan

_RANKS = {severity: rank for rank, severity in enumerate(Severity)}


def digest(spec: ScanNotifierSpec) -> str:
    """Of what chooses: after a change of it, scans that have ended before are not told of."""
    chosen = {
        "selector": spec.selector.model_dump(mode="json"),
        "on": sorted(spec.events),
        "minSeverity": spec.min_severity.value,
    }
    return hashlib.sha256(msgspec.json.encode(chosen)).hexdigest()[:16]


def selects(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    """Whether a selector takes an object with these labels, as Kubernetes says (metav1.LabelSelector)."""
    return all(labels.get(key) == value for key, value in selector.match_labels.items()) and all(
        _meets(each, labels) for each in selector.match_expressions
    )


def _meets(requirement: LabelSelectorRequirement, labels: Mapping[str, str]) -> bool:
    match requirement.operator:
        case "In":
            return labels.get(requirement.key) in requirement.values
        case "NotIn":
            return requirement.key not in labels or labels[requirement.key] not in requirement.values
        case "Exists":
            return requirement.key in labels
        case _:
            return requirement.key not in labels


def severe_enough(severity: str, least: Severity) -> bool:
    """Whether a severity is the least that counts, or above it. Where nobody knows it, it is the lowest."""
    return _RANKS[Severity.of(severity)] <= _RANKS[least]


def new_findings(status: ScanPlanStatus, least: Severity) -> dict[str, int]:
    """New findings that are severe enough, by severity."""
    told = status.new_findings
    counts = told.by_severity if told else (status.findings.new_by_severity if status.findings else None) or {}
    return {
        severity.value: counts[severity]
        for severity in Severity
        if counts.get(severity) and severe_enough(severity, least)
    }


def event_of(scan: Scan, spec: ScanNotifierSpec, *, recovered: bool) -> EventType | None:
    """By which event a scan is told of; None: it is not."""
    failed, complete = scan.status.phase is Phase.FAILED, scan.status.phase is Phase.COMPLETED
    holds = {
        EventType.FAILED: failed,
        EventType.NEW_FINDINGS: bool(new_findings(scan.status, spec.min_severity)),
        EventType.RECOVERED: complete and recovered,
        EventType.COMPLETED: complete,
    }
    return next((event for event, applies in holds.items() if applies and event in spec.events), None)
