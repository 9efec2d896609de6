"""The code of the users' own design, imports adapted: every name that it has is there and works.

What the design leaves broken is mended, and each test of that says what used to happen.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import pytest

import scanplan.client
from scanplan.api.errors import TargetDenied
from scanplan.client import (
    InvalidPayload,
    NucleiBinaryError,
    ScanPlan,
    ScanResult,
    TaskStatus,
    TemporaryError,
    UnknownTask,
    append_findings,
    build_endpoints_from_queue,
    check_existing_task,
    compat_task_key,
    document,
    execute_nuclei_pipeline,
    findings,
    generate_task_key,
    get_scan_result,
    get_task_result,
    get_task_status,
    queue_endpoints,
    settings,
    store_scan_artifacts,
    store_task_result,
    stored_findings,
    submit_scan,
    submit_scan_async,
    to_internal_findings,
    update_run_artifacts,
)
from scanplan.client.compat import nuclei_integration, nuclei_wrapper
from scanplan.client.queues.base import RQTaskQueue, TaskQueue
from tests.client.laboratory import Laboratory
from tests.client.servers import RedisServer
from tests.doubles import Doubles
from tests.fixtures.queues import StartWorker
from tests.kubectl import eventually

pytestmark = pytest.mark.usefixtures("laboratory")


def ended(task_or_run_id: str) -> ScanResult:
    """Wait for a result."""
    result = eventually(lambda: get_scan_result(task_or_run_id))
    assert result
    return result


# tasks/__init__.py


def test_submit_scan_is_synchronous_at_first(laboratory: Laboratory) -> None:
    plan = ScanPlan(
        run_id="nightly",
        project_id="acme",
        endpoints=[laboratory.webapp.url],
        templates=["http/"],
        severity_levels=["critical", "high"],
        priority=5,
    )
    result = submit_scan(plan)
    assert isinstance(result, ScanResult)
    assert (result.run_id, result.success, result.endpoint_count, result.finding_count, result.error) == (
        "nightly",
        True,
        1,
        4,
        None,
    )


# tasks/nuclei.py


def test_the_pipeline_scans_the_endpoints_that_it_is_given(laboratory: Laboratory) -> None:
    """It used to ignore them, and to scan the project's queue instead."""
    queue_endpoints("acme", ["http://127.0.0.1:1"])
    result = execute_nuclei_pipeline(
        run_id="r1", severity_levels=["low"], templates=["http/"], endpoints=[laboratory.webapp.url], project_id="acme"
    )
    assert {**result, "duration_ms": 0} == {
        "run_id": "r1",
        "success": True,
        "findings_count": 3,
        "endpoints_scanned": 1,
        "duration_ms": 0,
    }
    assert len(list(stored_findings("acme"))) == 3


def test_the_pipeline_builds_its_endpoints_from_the_projects_queue(laboratory: Laboratory) -> None:
    assert queue_endpoints("acme", [f"{laboratory.webapp.url}/", laboratory.webapp.url]) == 1
    assert queue_endpoints("acme", [laboratory.webapp.url]) == 0
    assert build_endpoints_from_queue("acme") == [laboratory.webapp.url]
    result = execute_nuclei_pipeline("r1", ["critical"], ["http/"], None, "acme")
    assert result["findings_count"] == 3
    with pytest.raises(InvalidPayload, match="queue of project 'other' is empty"):
        execute_nuclei_pipeline("r2", ["critical"], ["http/"], None, "other")


def test_the_pipelines_errors_have_classes(laboratory: Laboratory) -> None:
    with pytest.raises(NucleiBinaryError, match=r"nope\.yaml"):
        execute_nuclei_pipeline("r1", [], ["nope.yaml"], [laboratory.webapp.url], "acme")
    with pytest.raises(TemporaryError):
        execute_nuclei_pipeline("r2", [], ["http/"], ["http://127.0.0.1:1"], "acme")


def test_the_pipelines_parts(laboratory: Laboratory) -> None:
    endpoints_data = [laboratory.webapp.url]
    result = nuclei_wrapper.scan_endpoints(endpoints_data, ["http/"], ["critical"])
    internal = nuclei_integration.to_internal_findings(dict(result))
    assert [finding.severity.value for finding in internal] == ["critical"] * 3
    assert findings.append_findings("acme", internal, "by-hand") == 3
    assert append_findings("acme", to_internal_findings(result["findings"]), "again") == 0
    seen = list(stored_findings("acme"))
    assert {(entry.first_run, entry.last_run) for entry in seen} == {("by-hand", "again")}
    assert not list(laboratory.data.glob("ui_projects/*"))


# the queue's interface


def test_the_queue_of_the_design(laboratory: Laboratory, redis_server: RedisServer, start_worker: StartWorker) -> None:
    queue: TaskQueue = RQTaskQueue(redis_server.url)
    payload = {
        "run_id": "nightly",
        "project_id": "acme",
        "endpoints": [laboratory.webapp.url],
        "templates": ["http/"],
        "severity_levels": ["critical"],
    }
    laboratory.queue = queue
    task_id = queue.submit_task("scan", payload, priority=7)
    assert queue.get_task_status(task_id) is TaskStatus.PENDING
    start_worker()
    assert laboratory.result(task_id).finding_count == 3
    assert queue.get_task_status(task_id) is TaskStatus.COMPLETED
    assert queue.cancel_task(task_id) is False


def test_two_plans_of_a_run_are_two_tasks(laboratory: Laboratory) -> None:
    """The run's id used to be the job's: the second plan took the first one's place."""
    first = submit_scan_async(laboratory.plan(severity_levels=["critical"]))
    second = submit_scan_async(laboratory.plan(severity_levels=["high"]))
    assert first != second
    found = [get_scan_result(task_id) for task_id in (first, second)]
    assert [result.finding_count for result in found if result] == [3, 1]


def test_an_unknown_task_has_not_failed() -> None:
    """It used to be FAILED, like a scan that has."""
    with pytest.raises(UnknownTask):
        get_task_status("scan-00000000000000000000")


# idempotency


def test_keys(laboratory: Laboratory) -> None:
    """Severities used to be left out, and lists joined by a character that they may hold."""
    plan = laboratory.plan(endpoints=["https://b.example", "https://a.example"])
    assert generate_task_key(plan).startswith("scan:acme:nightly:")
    swapped = laboratory.plan(endpoints=["https://A.example:443/", "https://b.example"])
    assert generate_task_key(swapped) == generate_task_key(plan)
    assert generate_task_key(laboratory.plan(severity_levels=["low"])) != generate_task_key(laboratory.plan())
    assert compat_task_key(laboratory.plan(severity_levels=["low"])) == compat_task_key(laboratory.plan())
    known = ScanPlan("nightly", "acme", ["https://a.example"], ["http/cves/"], [])
    assert compat_task_key(known) == "scan:acme:nightly:f1e9de89:5d914f3d"


def test_check_existing_task(laboratory: Laboratory) -> None:
    plan = laboratory.plan()
    assert check_existing_task(plan) is None
    task_id = submit_scan_async(plan)
    assert check_existing_task(plan) == task_id


# results and artifacts


def test_task_results_can_be_stored_and_are_checked() -> None:
    task_id = "scan-0123456789abcdef0123"
    stored = {"run_id": "r", "success": True, "endpoint_count": 1, "finding_count": 2, "duration_ms": 3}
    store_task_result(task_id, stored)
    found = get_task_result(task_id)
    assert found
    assert {name: found[name] for name in stored} == stored
    assert get_task_status(task_id) is TaskStatus.COMPLETED
    made = {"run_id": "r", "success": True, "findings_count": 2, "endpoints_scanned": 1, "duration_ms": 3}
    store_task_result(task_id, made)  # of `execute_nuclei_pipeline`
    found = get_task_result(task_id)
    assert found
    assert {name: found[name] for name in stored} == stored
    store_task_result(task_id, {**stored, "success": False, "error": "it broke"})
    assert get_task_status(task_id) is TaskStatus.FAILED
    with pytest.raises(InvalidPayload, match="duration_ms"):
        store_task_result(task_id, {**stored, "duration_ms": "long"})


def test_scan_artifacts_can_be_stored_and_recorded(laboratory: Laboratory) -> None:
    paths = store_scan_artifacts("manual", {"nuclei_output": [{"template-id": "x"}], "metadata": {"by": "hand"}})
    assert paths == {
        "nuclei_output": "ui_projects/manual/artifacts/nuclei_output.ndjson",
        "metadata": "ui_projects/manual/artifacts/scan_metadata.json",
    }
    assert json.loads((laboratory.data / paths["nuclei_output"]).read_text()) == {"template-id": "x"}
    recorded = update_run_artifacts("manual", {"report": "ui_projects/manual/report.pdf"})
    assert recorded == {**paths, "report": "ui_projects/manual/report.pdf"}
    for wrong in ("/etc/passwd", "../x", "ui_projects/../../x"):
        with pytest.raises(InvalidPayload):
            update_run_artifacts("manual", {"report": wrong})


def test_a_scans_artifacts_are_not_written_over(laboratory: Laboratory) -> None:
    submit_scan(laboratory.plan())
    with pytest.raises(InvalidPayload, match="another run id"):
        store_scan_artifacts("nightly", {"nuclei_output": []})


def test_results_do_not_only_expire(
    laboratory: Laboratory, redis_server: RedisServer, start_worker: StartWorker
) -> None:
    """After 24 hours a result used to be gone, though its artifacts were there."""
    start_worker()
    task_id = submit_scan_async(laboratory.plan())
    assert isinstance(task_id, str)
    before = ended(task_id)
    redis_server.client().delete(f"scanplan:task_result:{task_id}", f"rq:job:{task_id}")
    after = get_scan_result(task_id)
    assert after
    assert (after.success, after.findings, after.artifacts) == (True, before.findings, before.artifacts)


# the migration's phases


def test_phase_1_the_asynchronous_interface_falls_back(laboratory: Laboratory) -> None:
    assert not scanplan.client.ENABLE_ASYNC_TASKS
    task_id = submit_scan_async(laboratory.plan())
    result = get_scan_result(task_id)
    assert result
    assert result.success
    assert get_scan_result("nightly") == result


def test_phase_2_the_flag_decides(
    laboratory: Laboratory, redis_server: RedisServer, start_worker: StartWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert redis_server
    start_worker()
    answer = submit_scan(laboratory.plan("queued"))
    assert isinstance(answer, str)
    assert ended(answer).success
    monkeypatch.setenv("ENABLE_ASYNC_TASKS", "false")
    assert isinstance(submit_scan(laboratory.plan("here")), ScanResult)


def test_phase_3_everything_is_asynchronous(
    laboratory: Laboratory, redis_server: RedisServer, start_worker: StartWorker
) -> None:
    assert redis_server
    submit_scan(laboratory.plan())
    assert get_scan_result("nightly") is None
    start_worker()
    assert ended("nightly").finding_count == 14


# one process, without anything


def test_the_base_install_needs_neither_redis_nor_kubernetes(laboratory: Laboratory) -> None:
    """A program that scans in-process must not have to install what others need."""
    program = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"redis", "rq", "kubernetes", "kopf", "aiohttp", "prometheus_client"}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Missing())
from scanplan.client import MissingDependency, ScanPlan, submit_scan
plan = ScanPlan("nightly", "acme", [sys.argv[1]], ["http/"])
print(submit_scan(plan).finding_count)
import os
os.environ.update(ENABLE_ASYNC_TASKS="true", TASK_QUEUE_TYPE="redis")
try:
    submit_scan(plan)
except MissingDependency as error:
    print(error)
"""
    assert run_program(program, laboratory.webapp.url) == [
        "14",
        "TASK_QUEUE_TYPE=redis needs more packages: pip install 'scanplan[redis]'",
    ]


def run_program(program: str, *arguments: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_scan_whose_process_was_killed_is_taken_up_by_the_next(laboratory: Laboratory, doubles: Doubles) -> None:
    assert doubles
    program = "import sys; from scanplan.client import ScanPlan, submit_scan; submit_scan(ScanPlan(*eval(sys.argv[1])))"
    plan = laboratory.slow_plan()
    fields: tuple[Any, ...] = (plan.run_id, plan.project_id, plan.endpoints, plan.templates)
    process = subprocess.Popen([sys.executable, "-c", program, repr(fields)])
    laboratory.until_something_is_found()
    process.kill()
    process.wait()
    with pytest.raises(UnknownTask):
        get_task_status(submit_id(plan))
    laboratory.template("slow")  # the same name, quick now
    result = submit_scan(plan)
    assert isinstance(result, ScanResult)
    assert result.success
    assert result.finding_count == 16
    attempts = laboratory.data.glob("ui_projects/nightly/tasks/*/shards/*/attempt-*")
    assert len(list(attempts)) == 2


def submit_id(plan: ScanPlan) -> str:
    return scanplan.client.models.task_id_of(plan)


def test_scans_can_be_awaited(laboratory: Laboratory) -> None:
    program = """
import asyncio, sys
from scanplan.client import ScanPlan, aio
async def main():
    plans = [ScanPlan(f"run-{n}", "acme", [sys.argv[1]], ["http/"]) for n in range(3)]
    ids = await asyncio.gather(*map(aio.submit_scan_async, plans))
    results = [await aio.wait_for_result(task_id) for task_id in ids]
    print([result.finding_count for result in results], await aio.get_task_status(ids[0]), await aio.cancel_task(ids[0]))
asyncio.run(main())
"""
    assert run_program(program, laboratory.webapp.url) == ["[14, 14, 14] TaskStatus.COMPLETED False"]


def test_the_api_server_of_a_programs_cluster_is_no_target(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers and programs in pods have it as near as scan pods do; no list of the owner's own lets it through."""
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    with pytest.raises(TargetDenied):
        document.check(laboratory.plan(endpoints=["https://10.96.0.1/version"]), settings.load_settings())
    task = document.build(laboratory.plan(), settings.load_settings(), datetime.now(UTC))
    assert "10.96.0.1" in task.denied_targets, "names that resolve to it"


def test_wrong_settings_are_named_all_at_once_and_no_password_is_repeated() -> None:
    variables = {
        "TASK_QUEUE_TYPE": "rabbit",
        "REDIS_URL": "http://user:secret@host",
        "WORKER_CONCURRENCY": "0",
        "TASK_TIMEOUT": "soon",
        "ASYNC_SCAN_PRIORITY": "11",
        "ENABLE_ASYNC_TASKS": "perhaps",
        "SCANPLAN_DENIED_TARGETS": "10.0.0.0/99",
    }
    for command in ("worker", "api"):
        done = subprocess.run(
            [sys.executable, "-m", "scanplan", command],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **variables},
        )
        assert done.returncode == os.EX_CONFIG
        assert all(name in done.stderr for name in variables), done.stderr
        assert "secret" not in done.stderr
        assert "Traceback" not in done.stderr


def test_a_scan_that_takes_too_long_keeps_what_it_has_found(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TASK_TIMEOUT", "10")
    result = scanplan.client.run_scan(laboratory.slow_plan())
    assert isinstance(result, ScanResult)
    assert (result.success, result.complete, result.finding_count) == (False, False, 1)
    assert result.reason
    assert result.reason.value == "AttemptTimeout"
    assert len(list(stored_findings("acme"))) == 1


def test_after_the_time_limit_no_further_shard_is_begun(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lost otherwise: minutes, in which each shard that is left is begun and given up again."""
    monkeypatch.setenv("TASK_TIMEOUT", "10")
    monkeypatch.setenv("SCANPLAN_MAX_ENDPOINTS_PER_SHARD", "1")
    here = laboratory.webapp.url
    result = scanplan.client.run_scan(laboratory.slow_plan(endpoints=[here, here.replace("127.0.0.1", "localhost")]))
    assert (result.success, result.complete, result.finding_count) == (False, False, 1)
    assert result.error
    assert result.error.startswith("2 of 2 shards failed: The attempt reached")
    assert len(list(laboratory.data.glob("ui_projects/nightly/tasks/*/shards/*/attempt-*"))) == 1
