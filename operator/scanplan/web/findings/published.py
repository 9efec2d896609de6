"""Which results a project's findings come from: the newest one of each run. A run that has none is named all the same."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from scanplan.api import labels, layout
from scanplan.api.v1alpha1.scanplan_status import Findings, ScanPlanStatus
from scanplan.client.models import ArtifactRef, ScanResult
from scanplan.client.queues.kubernetes import result_of
from scanplan.kube.objects import Object

MOST_RUNS = 20
"""Runs whose histories are read for one project: those that ended last."""


@dataclass(frozen=True, slots=True)
class Published:
    """What a plan tells of its findings over time: its result, or why it has none that can be read."""

    namespace: str
    project: str
    run: str
    result: ScanResult
    completed: str
    """When the plan ended, RFC 3339 in UTC; empty where it has no such result."""
    open: dict[str, int]
    """By severity, where it is not 0."""
    total: int
    """Open findings, also those under an exception."""
    new: int
    reopened: int
    suppressed: int
    history: ArtifactRef | None
    """None where the result has none, or is in another cluster."""
    problem: str = ""
    """Why the plan has no such result; empty where it has one."""

    @property
    def plan(self) -> str:
        return str(self.result.task_id)


def read(plan: Object) -> Published | None:
    """What a plan tells; None where it tells nothing yet, or is a retest, which looks at one finding of another run."""
    status, metadata = ScanPlanStatus.read(plan), plan["metadata"]
    if status.phase is None or labels.is_retest(metadata.get("labels")):
        return None
    try:
        result = result_of(plan)
    except ValueError:
        return None  # stored under another version's rules
    spec: dict[str, Any] = plan.get("spec") or {}
    problem = _problem(status)
    counted = Findings() if problem or status.findings is None else status.findings
    return Published(
        namespace=metadata["namespace"],
        project=status.project_id or spec.get("projectId") or metadata["namespace"],
        run=status.run_id or result.run_id,
        result=result,
        completed="" if problem else str(status.completion_time),
        open={name: number for name, number in (counted.open_by_severity or {}).items() if number},
        total=counted.open or 0,
        new=counted.new or 0,
        reopened=counted.reopened or 0,
        suppressed=counted.suppressed or 0,
        history=next((file for file in result.artifacts if file.name == layout.HISTORY and not problem), None),
        problem=problem,
    )


def _problem(status: ScanPlanStatus) -> str:
    """Why a plan has no result with findings over time; empty where it has one."""
    if not status.ended:
        return "its scan has not ended, and no earlier result of it is known here"
    if status.findings is None or status.findings.open is None:
        return "its scan has left no findings over time"
    return ""


def newest(results: Iterable[Published]) -> list[Published]:
    """The newest result of each run, those first that ended last."""
    by_run: dict[tuple[str, str, str], Published] = {}
    for each in results:
        key = (each.namespace, each.project, each.run)
        if key not in by_run or _age(by_run[key]) < _age(each):
            by_run[key] = each
    return sorted(by_run.values(), key=_age, reverse=True)


def projects(results: Iterable[Published]) -> list[dict[str, Any]]:
    """Each project with what is open in it, by the statuses of the newest result of each run."""
    by_project: defaultdict[tuple[str, str], list[Published]] = defaultdict(list)
    for each in newest(each for each in results if not each.problem):
        by_project[each.namespace, each.project].append(each)
    return [
        {
            "namespace": namespace,
            "project": project,
            "runs": len(runs),
            "last_scan": runs[0].completed,
            "open": _sum(run.open for run in runs),
            "total": sum(run.total for run in runs),
            "new": sum(run.new + run.reopened for run in runs),
            "suppressed": sum(run.suppressed for run in runs),
        }
        for (namespace, project), runs in sorted(by_project.items())
    ]


def chosen(results: Iterable[Published], project: str) -> tuple[Sequence[Published], int]:
    """The results of a project whose histories are read, and how many runs are left out."""
    runs = newest(each for each in results if each.project == project)
    return runs[:MOST_RUNS], max(0, len(runs) - MOST_RUNS)


def seen_by(results: Iterable[Published], newest: Published, moment: str) -> Published | None:
    """The result of the scan that began at a moment: the first of its run that ended after it. None where it is gone.

    Args:
        newest: a result of the same run.
    """
    same = (each for each in results if (each.project, each.run) == (newest.project, newest.run))
    later = [each for each in same if each.completed >= moment[:19]]
    return min(later, key=_age, default=None)


def _age(result: Published) -> tuple[str, str]:
    return result.completed, result.plan


def _sum(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for each in counts:
        for name, number in each.items():
            total[name] = total.get(name, 0) + number
    return total
