"""The open findings of each project, for metrics: the sum over its runs, each by the newest complete result that is there.

A run, such as that of a schedule, has one history; another run has another one. A plan that is scanned again keeps its result here
until the next one is there.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import NamedTuple

import msgspec

from scanplan.api.documents.words import Age, Severity
from scanplan.api.times import parse_time
from scanplan.api.v1alpha1.scanplan import Phase
from scanplan.controller.engine.workqueue import ObjectName
from scanplan.core.planning.task import Plan

_PLACES = tuple((severity, age) for age in Age for severity in Severity)
"""The order of a result's counts."""
MOST_PROJECTS = 200
"""Projects that metrics show."""
MOST_RESULTS = 300
"""Results of one project that are remembered: the newest of each run before others."""


class Project(NamedTuple):
    """A project is one of its namespace."""

    namespace: str
    name: str


class Counts(NamedTuple):
    """How many findings a result has."""

    open: Mapping[tuple[Severity, Age], int]
    suppressed: Mapping[str, int]
    """Published findings under an exception, by severity."""


class Result(NamedTuple):
    """What one complete result says of its run."""

    run: str
    completed: datetime
    packed: bytes
    """Its counts. There may be a hundred thousand results, and mappings would take half a KiB each."""

    @classmethod
    def of(cls, run: str, completed: datetime, counts: Counts) -> Result:
        """A result with these counts."""
        numbers = [counts.open.get(place, 0) for place in _PLACES]
        suppressed = [counts.suppressed.get(severity) for severity in Severity]
        return cls(run, completed, msgspec.msgpack.encode((numbers, suppressed)))

    @property
    def counts(self) -> Counts:
        """Its counts that are not zero."""
        numbers, suppressed = msgspec.msgpack.decode(self.packed)
        return Counts(
            {place: number for place, number in zip(_PLACES, numbers, strict=True) if number},
            {
                str(severity): number
                for severity, number in zip(Severity, suppressed, strict=True)
                if number is not None
            },
        )


class OpenFindings(NamedTuple):
    """What is open in a project."""

    completed: datetime
    """When its newest complete scan ended."""
    counts: Mapping[tuple[Severity, Age], int]
    suppressed: Mapping[str, int]
    """Published findings under an exception, by severity."""

    @property
    def by_severity(self) -> tuple[int, ...]:
        """The sums over all ages, most severe first."""
        return tuple(sum(self.counts.get((severity, age), 0) for age in Age) for severity in Severity)


class Projects:
    """To be changed by `put` and `drop` alone."""

    def __init__(self) -> None:
        self._results: dict[Project, dict[ObjectName, Result]] = {}
        self._project_of: dict[ObjectName, Project] = {}

    def __len__(self) -> int:
        return len(self._results)

    def put(self, name: ObjectName, plan: Plan) -> None:
        """Take in a plan."""
        found = _result(plan)
        if found is None:
            return
        project = Project(sys.intern(plan.namespace), sys.intern(plan.project_id))
        self.drop(name)
        results = self._results.setdefault(project, {})
        results[name] = found
        self._project_of[name] = project
        if len(results) > MOST_RESULTS:
            newest = set(_newest(results).values())
            self.drop(min(results, key=lambda each: (each in newest, results[each].completed, each)))

    def drop(self, name: ObjectName) -> None:
        """Forget a deleted plan."""
        project = self._project_of.pop(name, None)
        if project is not None:
            del self._results[project][name]
            if not self._results[project]:
                del self._results[project]

    def worst(self) -> Iterator[tuple[Project, OpenFindings]]:
        """What is open in `MOST_PROJECTS` projects: those with the most and most severe findings first."""
        found = [(project, _sum(results)) for project, results in self._results.items()]
        found.sort(key=lambda item: (tuple(-count for count in item[1].by_severity), item[0]))
        return iter(found[:MOST_PROJECTS])


def _newest(results: Mapping[ObjectName, Result]) -> dict[str, ObjectName]:
    """The plan with the newest result of each run."""
    ordered = sorted(results, key=lambda name: (results[name].completed, name))
    return {results[name].run: name for name in ordered}


def _sum(results: Mapping[ObjectName, Result]) -> OpenFindings:
    counts: Counter[tuple[Severity, Age]] = Counter()
    suppressed: Counter[str] = Counter()
    for name in _newest(results).values():
        found = results[name].counts
        counts.update(found.open)
        suppressed.update(found.suppressed)
    return OpenFindings(max(result.completed for result in results.values()), counts, suppressed)


def _result(plan: Plan) -> Result | None:
    """None where the plan is a retest, has no complete result, or one of a runner that keeps no history."""
    if plan.is_retest:
        return None
    status = plan.status
    completed = parse_time(status.completion_time)
    if status.phase is not Phase.COMPLETED or completed is None or status.findings is None:
        return None
    if status.findings.open is None:
        return None
    told = status.findings.open_by_age or {Age.WEEK.value: status.findings.open_by_severity or {}}
    found = {(severity, age): number for severity, age in _PLACES if (number := told.get(age, {}).get(severity, 0))}
    return Result.of(plan.run_id, completed, Counts(found, status.findings.suppressed_by_severity or {}))
