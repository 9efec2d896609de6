"""Gauges of projects: what is open in each, for how long, what is suppressed, and when it was last scanned."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric

from scanplan.api.documents.words import Age, Severity
from scanplan.controller.cache.projects import MOST_PROJECTS, Projects


def of_projects(projects: Projects) -> Iterator[Metric]:
    """What is open in each project, by the newest complete result of each of its runs."""
    of = ["namespace", "project"]
    still_open = GaugeMetricFamily(
        "scanplan_project_open_findings",
        "Findings of a project that are not resolved, by severity and by days since they were first seen.",
        labels=[*of, "severity", "age"],
    )
    scanned = GaugeMetricFamily(
        "scanplan_project_last_complete_timestamp_seconds",
        "When the newest complete scan of a project ended.",
        labels=of,
    )
    suppressed = GaugeMetricFamily(
        "scanplan_project_suppressed_findings",
        "Published findings of a project that fell under a ScanException when they were merged, by severity.",
        labels=[*of, "severity"],
    )
    for project, found in projects.worst():
        for name, count in found.suppressed.items():
            suppressed.add_metric([*project, name], count)
        scanned.add_metric(project, found.completed.timestamp())
        for severity in Severity:
            for age in Age:
                if count := found.counts.get((severity, age), 0):
                    still_open.add_metric([*project, severity.value, age.value], count)
    left_out = max(0, len(projects) - MOST_PROJECTS)
    yield from (still_open, suppressed, scanned)
    yield GaugeMetricFamily(
        "scanplan_operator_projects_left_out", "Projects whose open findings are not exported.", value=left_out
    )
