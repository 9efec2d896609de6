"""What is new and what is gone is on the status: lost otherwise without reading thousands of findings."""

from __future__ import annotations

import pytest

from scanplan.api.documents.report import FindingCounts, HistoryCounts, MergedResult
from scanplan.api.documents.words import Age
from scanplan.api.v1alpha1.scanplan_status import Findings
from scanplan.core.status import findings

HISTORY = HistoryCounts(
    new=FindingCounts(high=2),
    resolved=FindingCounts(low=1),
    open=FindingCounts(high=2, info=3),
    open_by_age={Age.WEEK: FindingCounts(high=2), Age.OLDER: FindingCounts(info=3)},
)


def merged(history: HistoryCounts | None) -> MergedResult:
    return MergedResult(
        path="x",
        complete=True,
        shards=1,
        endpoints_scanned=1,
        endpoints_unreachable=0,
        findings=FindingCounts(high=2, info=3),
        history=history,
        files=(),
    )


def test_what_a_scan_has_changed_is_on_the_status() -> None:
    assert findings.of_result(merged(HISTORY)).model_dump(by_alias=True, exclude_none=True) == {
        "total": 5,
        "critical": 0,
        "high": 2,
        "medium": 0,
        "low": 0,
        "info": 3,
        "unknown": 0,
        "new": 2,
        "resolved": 1,
        "reopened": 0,
        "open": 5,
        "newBySeverity": {"high": 2},
        "resolvedBySeverity": {"low": 1},
        "openBySeverity": {"high": 2, "info": 3},
        "openByAge": {"0-7d": {"high": 2}, "90d+": {"info": 3}},
    }


def test_a_runner_that_keeps_no_history_says_nothing_of_changes() -> None:
    """Zero new findings would be a promise that nobody has checked."""
    found = findings.of_result(merged(None))
    assert (found.new, found.resolved, found.open) == (None, None, None)
    assert "new" not in found.counts


@pytest.mark.parametrize("history", [None, HISTORY, HistoryCounts()])
def test_another_cluster_that_takes_over_a_result_says_the_same(history: HistoryCounts | None) -> None:
    assert findings.history_of(findings.of_result(merged(history))) == history


def test_severities_of_a_newer_version_are_passed_over() -> None:
    assert findings.history_of(Findings(new=1, new_by_severity={"apocalyptic": 1, "low": 1})) == HistoryCounts(
        new=FindingCounts(low=1)
    )
