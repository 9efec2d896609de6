"""Which results a project has: lost otherwise is a run whose findings nobody sees, or an old result in the place of a new one."""

from __future__ import annotations

from typing import Any

import pytest

from scanplan.api import labels
from scanplan.web.findings import published
from scanplan.web.findings.projects import Problems
from scanplan.web.findings.published import Published


def plan(name: str = "nightly-1", *, run: str = "nightly", ended: int = 1, **changes: Any) -> dict[str, Any]:
    """A plan that has ended on this day."""
    files = [
        {"name": name, "bytes": 1, "sha256": f"{ended:064x}"} for name in ("history.ndjson", "nuclei_output.ndjson")
    ]
    status: dict[str, Any] = {
        "observedGeneration": 1,
        "phase": "Completed",
        "projectId": "shop",
        "runId": run,
        "completionTime": f"2026-11-{ended:02}T06:30:00Z",
        "findings": {
            "total": 4,
            "open": 4,
            "openBySeverity": {"high": 3, "low": 1},
            "new": 1,
            "reopened": 1,
            "suppressed": 2,
        },
        "artifacts": {"claimName": "c", "path": f"ui_projects/{run}/tasks/{ended}", "complete": True, "files": files},
    }
    metadata = {
        "namespace": "team",
        "name": name,
        "uid": name,
        "generation": 1,
        "creationTimestamp": "2026-11-01T06:00:00Z",
        "labels": changes.pop("labels", {}),
    }
    return {"metadata": metadata, "spec": {"runId": run, "endpoints": ["a"]}, "status": status | changes}


def read(*plans: dict[str, Any]) -> list[Published]:
    return [found for each in plans if (found := published.read(each)) is not None]


def test_a_project_has_the_newest_result_of_each_run() -> None:
    plans = [plan("n-1", ended=1), plan("n-3", ended=3), plan("n-2", ended=2), plan("w-1", run="weekly", ended=2)]
    found, left_out = published.chosen(read(*plans, plan("other", projectId="blog")), "shop")
    assert ([each.plan for each in found], left_out) == (["n-3", "w-1"], 0)
    assert published.projects(read(*plans)) == [
        {
            "namespace": "team",
            "project": "shop",
            "runs": 2,
            "last_scan": "2026-11-03T06:30:00Z",
            "open": {"high": 6, "low": 2},
            "total": 8,
            "new": 4,
            "suppressed": 4,
        }
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"phase": None},
        {"labels": {labels.RETEST: "true"}},
        {"findings": "nonsense"},
    ],
    ids=["not looked at", "retest", "unreadable"],
)
def test_what_has_no_history_of_its_own_is_no_part_of_a_project(changes: dict[str, Any]) -> None:
    assert read(plan(**changes)) == []


def test_an_error_of_a_later_version_hides_no_result() -> None:
    error = {"class": "new", "reason": "Unheard", "message": "of a later version"}
    assert [each.problem for each in read(plan(error=error))] == [""]


RUNNING: dict[str, Any] = {"phase": "Running", "completionTime": None, "findings": None, "artifacts": None}
"""The status of a plan whose scan goes on."""


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (RUNNING, "its scan has not ended, and no earlier result of it is known here"),
        ({"phase": "Failed", "findings": None}, "its scan has left no findings over time"),
        ({"findings": {"total": 3}}, "its scan has left no findings over time"),
    ],
    ids=["running", "failed", "before histories"],
)
def test_a_run_without_a_result_is_named_and_counts_nothing(changes: dict[str, Any], problem: str) -> None:
    """Lost otherwise: open findings, of which the view says nothing while their plan is scanned again."""
    other = plan("w-1", run="weekly", ended=2)
    found, left_out = published.chosen(read(plan(**changes), other), "shop")
    assert ([each.run for each in found], left_out) == (["weekly", "nightly"], 0)
    assert [Problems().of(each) for each in found] == ["", problem]
    assert published.projects(read(plan(**changes), other)) == published.projects(read(other))


def test_a_result_of_the_run_goes_before_a_plan_without_one() -> None:
    """Lost otherwise: the last result of a schedule, while its next run goes on."""
    found, _ = published.chosen(read(plan("n-2", **RUNNING), plan("n-1", ended=1)), "shop")
    assert [each.plan for each in found] == ["n-1"]


def test_many_runs_are_bounded_and_the_newest_are_read() -> None:
    """Lost otherwise: a project with a run for each commit has the API read hundreds of claims."""
    runs = [plan(f"p-{number}", run=f"r-{number}", ended=1 + number % 28) for number in range(30)]
    found, left_out = published.chosen(read(*runs), "shop")
    assert (len(found), left_out) == (published.MOST_RUNS, 10)
    assert min(each.completed for each in found) >= "2026-11-09"


def test_artifacts_of_another_cluster_are_known_and_have_no_history_here() -> None:
    elsewhere = {"claimName": "c", "path": "p", "complete": True, "cluster": "other"}
    (found,) = read(plan(artifacts=elsewhere))
    assert (found.total, found.history) == (4, None)


@pytest.mark.parametrize(
    ("moment", "name"),
    [("2026-11-02T06:00:00.123Z", "n-2"), ("2026-11-03T06:30:00.000Z", "n-3"), ("2026-11-09T00:00:00.000Z", None)],
)
def test_the_scan_that_saw_a_finding_is_the_first_that_ended_after_it_began(moment: str, name: str | None) -> None:
    results = read(plan("n-1", ended=1), plan("n-2", ended=2), plan("n-3", ended=3), plan("w", run="weekly", ended=2))
    found = published.seen_by(results, results[0], moment)
    assert (found.plan if found else None) == name
