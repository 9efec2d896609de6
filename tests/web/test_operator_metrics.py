"""What an on-call person reads of the operator: few label values, and each end of a scan counted once."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from kubernetes.aio.client import ApiClient

from scanplan.api.v1alpha1.scanplan import ScanPlanSpec
from scanplan.controller.settings import OperatorSettings
from scanplan.core.planning.task import Plan
from scanplan.metrics.operator import MeasuredApi, MeasuredController, OperatorMetrics, resource_of

CREATED = datetime(2026, 11, 24, 8, 0, 0, tzinfo=UTC)
ENDED = {
    "phase": "Completed",
    "taskId": "scan-1",
    "attempts": 1,
    "findings": {"total": 3, "critical": 2, "info": 1},
    "startTime": "2026-11-24T08:00:20Z",
    "durationMs": 90_000,
}


def plan(**status: Any) -> Plan:
    spec = ScanPlanSpec.model_validate({"endpoints": ["a.example"], "templates": ["http/"]})
    return Plan(namespace="n", name="p", uid="u", generation=1, created=CREATED, spec=spec, status=status)


def edited(before: Plan, **fields: Any) -> Plan:
    spec = before.spec.model_copy(update=fields)
    return dataclasses.replace(before, generation=before.generation + 1, spec=spec)


def values(metrics: OperatorMetrics) -> dict[str, float]:
    return {
        " ".join([sample.name, *sorted(sample.labels.values())]): sample.value
        for family in metrics.collect()
        for sample in family.samples
    }


@pytest.mark.parametrize(
    ("path", "resource"),
    [
        ("/apis/batch/v1/namespaces/a/jobs", "jobs"),
        ("/apis/batch/v1/namespaces/a/jobs/scan-1", "jobs"),
        ("/apis/batch/v1/jobs", "jobs"),
        ("/api/v1/namespaces/a/pods", "pods"),
        ("/apis/scanplan.dev/v1alpha1/namespaces/a/scanplans/p", "scanplans"),
        ("/apis/scanplan.dev/v1alpha1/namespaces/a/scanplans/p/status", "scanplans/status"),
        ("/apis/scanplan.dev/v1alpha1/namespaces/a/scanplans/p/unheard", "other"),
        ("/version", "other"),
    ],
)
def test_a_path_is_counted_by_its_resource(path: str, resource: str) -> None:
    assert resource_of(path) == resource


def test_an_end_is_counted_once_with_its_findings_and_times() -> None:
    metrics = OperatorMetrics()
    metrics.count_status(plan(phase="Running", taskId="scan-1"), ENDED)
    metrics.count_status(plan(**ENDED), {**ENDED, "observedGeneration": 2})
    found = values(metrics)
    assert found["scanplan_operator_scans_total Completed"] == 1
    assert found["scanplan_operator_findings_total critical"] == 2
    assert found["scanplan_operator_scan_wait_seconds_sum"] == 20
    assert found["scanplan_operator_scan_duration_seconds_sum"] == 90


def test_counters_begin_with_nought_so_that_the_first_event_is_an_increase() -> None:
    found = values(OperatorMetrics())
    for name in (
        "scans_total Failed",
        "retries_total Unknown",
        "findings_total critical",
        "reconcile_errors_total bug",
    ):
        assert found[f"scanplan_operator_{name}"] == 0


def test_another_run_is_counted_again() -> None:
    metrics = OperatorMetrics()
    metrics.count_status(plan(phase="Running", taskId="scan-1"), ENDED)
    metrics.count_status(plan(**ENDED), {**ENDED, "taskId": "scan-2"})
    assert values(metrics)["scanplan_operator_scans_total Completed"] == 2


def test_a_rerun_has_waited_since_it_was_asked_for() -> None:
    """Lost otherwise: a nightly rerun of a plan made a year ago would say that scans wait for a year."""
    metrics = OperatorMetrics()
    first = plan(**ENDED)
    again = edited(first, rerun="nightly-1")
    asked = CREATED + timedelta(days=1)
    metrics.see_plan(first, again, asked + timedelta(milliseconds=300))
    wider = edited(again, parallelism=7)
    metrics.see_plan(again, wider, asked + timedelta(seconds=20))  # asks for no other scan
    metrics.count_status(wider, {**ENDED, "taskId": "scan-2", "startTime": "2026-11-25T08:00:07Z"})
    assert waits(metrics) == (1, 7)


def test_a_wait_that_nobody_can_know_is_not_counted() -> None:
    metrics = OperatorMetrics()
    first = plan(**ENDED)
    unseen = edited(first, rerun="while the operator was away")
    metrics.count_status(unseen, {**ENDED, "taskId": "scan-2", "startTime": "2026-11-25T08:00:07Z"})
    reusing = edited(first, rerun="has been made before")
    metrics.see_plan(first, reusing, CREATED + timedelta(days=1))
    metrics.count_status(reusing, {**ENDED, "taskId": "scan-3"})
    gone = edited(first, rerun="deleted")
    metrics.see_plan(first, gone, CREATED)
    metrics.see_plan(gone, None, CREATED)
    metrics.count_status(gone, {**ENDED, "taskId": "scan-4"})
    assert waits(metrics) == (0, 0)


def waits(metrics: OperatorMetrics) -> tuple[float, float]:
    found = values(metrics)
    return found["scanplan_operator_scan_wait_seconds_count"], found["scanplan_operator_scan_wait_seconds_sum"]


def test_each_failed_attempt_is_counted_by_its_class() -> None:
    metrics = OperatorMetrics()
    retrying = {"phase": "Retrying", "attempts": 1, "error": {"class": "Temporary"}}
    metrics.count_status(plan(phase="Running"), retrying)
    metrics.count_status(plan(**retrying), {**retrying, "progress": "1/2"})
    metrics.count_status(plan(**retrying), {**retrying, "attempts": 2})
    assert values(metrics)["scanplan_operator_retries_total Temporary"] == 2


async def test_only_an_operator_that_works_shows_plans_and_a_queue() -> None:
    """Else a standby would hide from the alert about it that nobody leads."""
    metrics = OperatorMetrics()
    policy = OperatorSettings(scanner_image="scanner").policy()
    async with ApiClient() as client:
        controller = MeasuredController(MeasuredApi(client, metrics), policy, metrics, lambda *_: None)
        assert "scanplan_operator_queue_length" not in values(metrics)
        assert "scanplan_operator_retries_total Unknown" in values(metrics)
        working = asyncio.create_task(controller.run(1))
        await asyncio.sleep(0)
        assert values(metrics)["scanplan_operator_queue_length"] == 0
        assert values(metrics)["scanplan_operator_plans Completed"] == 0
        working.cancel()
        with pytest.raises(asyncio.CancelledError):
            await working
