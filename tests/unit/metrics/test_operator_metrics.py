"""What an on-call person reads of the operator: few label values, and each end of a scan counted once."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from kubernetes.aio.client import ApiException

from scanplan.api.v1alpha1.scanplan import ScanPlanSpec
from scanplan.api.v1alpha1.scanplan_status import ScanPlanStatus
from scanplan.controller.cache.notifiers import Notifiers
from scanplan.controller.cache.schedules import Schedules
from scanplan.controller.cache.store import Store
from scanplan.controller.engine.http import CannotListen
from scanplan.controller.engine.workqueue import WorkQueue
from scanplan.core.planning.task import Plan
from scanplan.metrics import server
from scanplan.metrics.operator import OperatorMetrics, resource_of
from tests.ports import free_port

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
    return Plan(namespace="n", name="p", uid="u", generation=1, created=CREATED, spec=spec, status=written(status))


def written(status: dict[str, Any]) -> ScanPlanStatus:
    return ScanPlanStatus.of({"status": status})


def edited(before: Plan, **fields: Any) -> Plan:
    spec = before.spec.model_copy(update=fields)
    return dataclasses.replace(before, generation=before.generation + 1, spec=spec)


def counting(*, working: bool = True) -> OperatorMetrics:
    return OperatorMetrics(Store(), WorkQueue(), Schedules(), Notifiers(), lambda: working)


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
    metrics = counting()
    metrics.status_written(plan(phase="Running", taskId="scan-1"), written(ENDED))
    metrics.status_written(plan(**ENDED), written({**ENDED, "observedGeneration": 2}))
    found = values(metrics)
    assert found["scanplan_operator_scans_total Completed"] == 1
    assert found["scanplan_operator_findings_total critical"] == 2
    assert found["scanplan_operator_scan_wait_seconds_sum"] == 20
    assert found["scanplan_operator_scan_duration_seconds_sum"] == 90


def test_counters_begin_with_nought_so_that_the_first_event_is_an_increase() -> None:
    found = values(counting())
    for name in (
        "scans_total Failed",
        "retries_total Unknown",
        "findings_total critical",
        "reconcile_errors_total bug",
    ):
        assert found[f"scanplan_operator_{name}"] == 0


def test_another_run_is_counted_again() -> None:
    metrics = counting()
    metrics.status_written(plan(phase="Running", taskId="scan-1"), written(ENDED))
    metrics.status_written(plan(**ENDED), written({**ENDED, "taskId": "scan-2"}))
    assert values(metrics)["scanplan_operator_scans_total Completed"] == 2


def test_a_rerun_has_waited_since_it_was_asked_for() -> None:
    """Lost otherwise: a nightly rerun of a plan made a year ago would say that scans wait for a year."""
    metrics = counting()
    first = plan(**ENDED)
    again = edited(first, rerun="nightly-1")
    asked = CREATED + timedelta(days=1)
    metrics.plan_changed(first, again, asked + timedelta(milliseconds=300))
    wider = edited(again, parallelism=7)
    metrics.plan_changed(again, wider, asked + timedelta(seconds=20))  # asks for no other scan
    metrics.status_written(wider, written({**ENDED, "taskId": "scan-2", "startTime": "2026-11-25T08:00:07Z"}))
    assert waits(metrics) == (1, 7)


def test_a_wait_that_nobody_can_know_is_not_counted() -> None:
    metrics = counting()
    first = plan(**ENDED)
    unseen = edited(first, rerun="while the operator was away")
    metrics.status_written(unseen, written({**ENDED, "taskId": "scan-2", "startTime": "2026-11-25T08:00:07Z"}))
    reusing = edited(first, rerun="has been made before")
    metrics.plan_changed(first, reusing, CREATED + timedelta(days=1))
    metrics.status_written(reusing, written({**ENDED, "taskId": "scan-3"}))
    gone = edited(first, rerun="deleted")
    metrics.plan_changed(first, gone, CREATED)
    metrics.plan_changed(gone, None, CREATED)
    metrics.status_written(gone, written({**ENDED, "taskId": "scan-4"}))
    assert waits(metrics) == (0, 0)


def waits(metrics: OperatorMetrics) -> tuple[float, float]:
    found = values(metrics)
    return found["scanplan_operator_scan_wait_seconds_count"], found["scanplan_operator_scan_wait_seconds_sum"]


def test_each_failed_attempt_is_counted_by_its_class() -> None:
    metrics = counting()
    retrying = {
        "phase": "Retrying",
        "attempts": 1,
        "error": {"class": "Temporary", "reason": "DiskFull", "message": "full"},
    }
    metrics.status_written(plan(phase="Running"), written(retrying))
    metrics.status_written(plan(**retrying), written({**retrying, "progress": "1/2"}))
    metrics.status_written(plan(**retrying), written({**retrying, "attempts": 2}))
    assert values(metrics)["scanplan_operator_retries_total Temporary"] == 2


@pytest.mark.parametrize("working", [True, False])
def test_only_an_operator_that_works_shows_plans_and_a_queue(working: bool) -> None:
    """Lost otherwise: the alert that nobody leads, which a standby's zeros would silence."""
    found = values(counting(working=working))
    assert ("scanplan_operator_queue_length" in found) is working
    assert ("scanplan_operator_plans Completed" in found) is working
    assert "scanplan_operator_retries_total Unknown" in found


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ApiException(status=500, reason="x"), "api"),
        (aiohttp.ClientOSError(), "connection"),
        (TimeoutError(), "connection"),
        (KeyError("x"), "bug"),
        (None, None),
    ],
)
def test_a_failed_reconcile_is_counted_by_whose_fault_it_is(error: Exception | None, kind: str | None) -> None:
    metrics = counting()
    metrics.reconciled(0.5, error)
    found = values(metrics)
    assert found["scanplan_operator_reconcile_seconds_sum"] == 0.5
    failed = {name for name, value in found.items() if name.startswith("scanplan_operator_reconcile_errors") and value}
    assert {name.rsplit(" ", 1)[1] for name in failed if "_total" in name} == ({kind} if kind else set())


@pytest.mark.parametrize(("status", "label"), [(200, "2xx"), (201, "2xx"), (409, "409"), (None, "none")])
def test_a_request_is_counted_by_its_answer(status: int | None, label: str) -> None:
    metrics = counting()
    metrics.count_request("GET", "/apis/batch/v1/jobs", status)
    found = values(metrics)
    (counted,) = [name for name in found if name.startswith("scanplan_operator_api_requests_total")]
    assert sorted(counted.split()[1:]) == sorted(["GET", "jobs", label])


async def test_the_metrics_are_served_on_a_port_of_their_own() -> None:
    port = free_port()
    async with server.serving(counting(), port), aiohttp.ClientSession() as session:
        async with session.get(f"http://127.0.0.1:{port}/metrics") as answer:
            assert answer.status == 200
            assert answer.headers["Content-Type"].startswith("text/plain; version=")
            assert "scanplan_operator_queue_length 0.0" in await answer.text()
        async with session.get(f"http://127.0.0.1:{port}/api/v1/queue/health") as answer:
            assert answer.status == 404, "only numbers are there for everybody"
        with pytest.raises(CannotListen, match=f"SCANPLAN_METRICS_PORT: port {port}"):
            async with server.serving(counting(), port):
                pass
    async with server.serving(counting(), 0):
        pass
