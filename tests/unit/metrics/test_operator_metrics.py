"""What an on-call person reads of the operator: few label values, and each end of a scan counted once."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from kubernetes.aio.client import ApiException
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from scanplan.api import labels
from scanplan.api.v1alpha1.scanplan import ScanPlanSpec
from scanplan.api.v1alpha1.scanplan_status import ScanPlanStatus
from scanplan.controller.cache import projects
from scanplan.controller.cache.notifiers import Notifiers
from scanplan.controller.cache.schedules import Schedules
from scanplan.controller.cache.store import Store
from scanplan.controller.engine.http import CannotListen
from scanplan.controller.engine.workqueue import ObjectName, WorkQueue
from scanplan.core.planning.task import Plan
from scanplan.kube.failures import ResponseTooLarge
from scanplan.metrics import projects as metrics_of_projects
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


def body(name: str, number: int, **spec: Any) -> dict[str, Any]:
    """A plan that completed on a day, with so many critical findings known for long, and a low one that is new."""
    findings = {
        "total": number + 1,
        "open": number + 1,
        "openBySeverity": {"critical": number, "low": 1},
        "suppressed": 1,
        "suppressedBySeverity": {"low": 1},
        "openByAge": {"90d+": {"critical": number}, "0-7d": {"low": 1}},
    }
    return {
        "metadata": {
            "namespace": "n",
            "name": name,
            "uid": name,
            "generation": 1,
            "resourceVersion": str(number),
            "creationTimestamp": "2026-11-24T06:00:00Z",
        },
        "spec": {"endpoints": ["a.example"], "templates": ["http/"], "projectId": "shop", **spec},
        "status": {"phase": "Completed", "completionTime": f"2026-11-{number:02}T08:00:00Z", "findings": findings},
    }


def of_projects(store: Store) -> dict[str, float]:
    metrics = OperatorMetrics(store, WorkQueue(), Schedules(), Notifiers(), lambda: True)
    return {name: value for name, value in values(metrics).items() if name.startswith("scanplan_project_")}


def test_open_findings_of_a_project_are_those_of_the_newest_result_of_each_run() -> None:
    """Lost otherwise: what is open in the weekly scan, on each morning after the nightly one."""
    store = Store()
    for name, number, run in (("nightly-2", 12, "nightly"), ("nightly-1", 11, "nightly"), ("weekly", 5, "weekly")):
        store.put_plan(body(name, number, runId=run))
    assert of_projects(store) == {
        "scanplan_project_open_findings 90d+ critical n shop": 17.0,
        "scanplan_project_open_findings 0-7d low n shop": 2.0,
        "scanplan_project_suppressed_findings low n shop": 2.0,
        "scanplan_project_last_complete_timestamp_seconds n shop": datetime(2026, 11, 12, 8, tzinfo=UTC).timestamp(),
    }
    store.drop_plan(ObjectName("n", "nightly-2"), "nightly-2")
    assert of_projects(store)["scanplan_project_open_findings 90d+ critical n shop"] == 16.0
    again = body("nightly-1", 13, runId="nightly")
    again["status"] = {"phase": "Running"}
    store.put_plan(again)
    assert of_projects(store)["scanplan_project_open_findings 90d+ critical n shop"] == 16.0, (
        "while it is scanned again"
    )
    for name in ("nightly-1", "weekly"):
        store.drop_plan(ObjectName("n", name), name)
    assert of_projects(store) == {}


NO_RESULT: dict[str, dict[str, Any]] = {
    "failed": {"phase": "Failed"},
    "without a history": {"findings": {"total": 3}},
    "without findings": {"findings": None},
    "without an end": {"completionTime": None},
}


@pytest.mark.parametrize("case", NO_RESULT)
def test_what_is_no_complete_result_says_nothing_of_a_project(case: str) -> None:
    store = Store()
    plan = body("p", 1)
    plan["status"] = {key: value for key, value in (plan["status"] | NO_RESULT[case]).items() if value is not None}
    store.put_plan(plan)
    assert of_projects(store) == {}


def test_a_retest_says_nothing_of_a_project() -> None:
    """Lost otherwise: the truth of a chart, in which a finding counts twice because somebody looked at it again."""
    store = Store()
    retest = body("p", 1)
    retest["metadata"]["labels"] = {labels.RETEST: "true"}
    store.put_plan(retest)
    assert of_projects(store) == {}


def test_the_series_of_projects_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost otherwise: a Prometheus, by a tenant who makes a project for each scan."""
    monkeypatch.setattr(projects, "MOST_RESULTS", 2)
    store = Store()
    for number in range(1, 9):
        store.put_plan(body(f"p-{number}", number, runId=f"run-{number % 3}"))
    assert of_projects(store)["scanplan_project_open_findings 90d+ critical n shop"] == 8 + 7
    for module in (projects, metrics_of_projects):
        monkeypatch.setattr(module, "MOST_PROJECTS", 3)
    for number in range(10, 15):
        store.put_plan(body(f"q-{number}", number, projectId=f"project-{number}"))
    assert {name.split()[-1] for name in of_projects(store)} == {"shop", "project-14", "project-13"}
    metrics = OperatorMetrics(store, WorkQueue(), Schedules(), Notifiers(), lambda: True)
    assert values(metrics)["scanplan_operator_projects_left_out"] == 3


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


BROKEN = [
    *(
        aiohttp.ClientOSError(),
        aiohttp.ServerDisconnectedError(),
        aiohttp.ClientPayloadError(),
        aiohttp.ClientConnectionError(),
    ),
    *(TimeoutError(), ConnectionResetError(), ResponseTooLarge()),
]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ApiException(status=500, reason="x"), "api"),
        *((error, "connection") for error in BROKEN),
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


def test_who_asks_all_the_time_takes_little_of_the_operators(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost otherwise: the lease, since the text of many projects takes a part of a second to make."""
    now = [100.0]
    monkeypatch.setattr(server, "time", SimpleNamespace(monotonic=lambda: now[0]))

    class Slow(Collector):
        asked = 0

        def collect(self) -> Iterator[Metric]:
            self.asked += 1
            now[0] += 2.0
            yield GaugeMetricFamily("asked", "How often.", self.asked)

    slow = Slow()
    page = server._Page(slow)
    made, asked = page.text(), slow.asked
    now[0] += 19.0
    assert (page.text(), slow.asked) == (made, asked)
    now[0] += 2.0
    assert page.text() != made


def test_each_export_that_has_ended_counts_once_by_kind() -> None:
    """Lost otherwise: an alert for a bucket that takes nothing, or one for each look at a settled plan."""
    exports = [
        {"name": "hook", "http": {"url": "https://in.example.com"}},
        {
            "name": "bucket",
            "s3": {
                "endpoint": "https://s3.example.com",
                "bucket": "scans",
                "credentialsFrom": {"secretRef": {"name": "s3"}},
            },
        },
    ]
    spec = ScanPlanSpec.model_validate({"endpoints": ["a.example"], "templates": ["http/"], "exports": exports})
    metrics = counting()

    def status(*states: str) -> ScanPlanStatus:
        records = [
            {"name": name, "state": state, "reason": "x", "at": "2026-11-24T08:02:00Z", "digest": "d"}
            for name, state in zip(("hook", "bucket"), states, strict=True)
        ]
        return written({**ENDED, "exports": records})

    before = dataclasses.replace(plan(**ENDED), spec=spec)
    for known, now in (
        (before.status, status("Exporting", "Exporting")),
        (status("Exporting", "Exporting"), status("Exported", "Failed")),
        (status("Exported", "Failed"), status("Exported", "Failed")),
    ):
        metrics.status_written(dataclasses.replace(before, status=known), now)
    found = values(metrics)
    assert found["scanplan_exports_total Exported http"] == 1
    assert found["scanplan_exports_total Failed s3"] == 1
    assert found["scanplan_exports_total Failed http"] == 0
