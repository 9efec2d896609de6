"""What programs read from the API: the first design's fields, artifacts that can be trusted, errors that say what they are."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from scanplan.client import models, settings
from scanplan.client.models import TaskStatus
from scanplan.client.queues.local import SyncTaskQueue
from scanplan.report import page
from tests.client.laboratory import Laboratory
from tests.client.servers import RedisServer
from tests.fixtures.queues import StartWorker
from tests.web.conftest import StartApi

FINDINGS = "nuclei_output.ndjson"


async def get(api: aiohttp.ClientSession, path: str, **options: Any) -> tuple[int, dict[str, Any]]:
    async with api.get(path, **options) as answer:
        return answer.status, await answer.json(content_type=None)


@pytest.fixture
async def api(laboratory: Laboratory, start_api: StartApi) -> aiohttp.ClientSession:
    """The API over the `sync` queue, open to everybody."""
    laboratory.queue = SyncTaskQueue(settings.load_settings())
    return await start_api()


async def test_the_status_of_an_ended_task_carries_its_result(
    api: aiohttp.ClientSession, laboratory: Laboratory
) -> None:
    task_id = laboratory.submit(laboratory.plan())
    code, body = await get(api, f"/api/v1/tasks/{task_id}/status")
    assert code == 200
    assert body == {
        "task_id": task_id,
        "status": "completed",
        "result": models.dump(laboratory.result(task_id)),
    }
    assert body["result"]["finding_count"] == 14


async def test_a_running_task_has_no_result_yet(api: aiohttp.ClientSession, laboratory: Laboratory) -> None:
    plan = laboratory.slow_plan()
    task_id = models.task_id_of(plan)
    laboratory.in_background(lambda: laboratory.submit(plan))
    await asyncio.to_thread(laboratory.until, task_id, TaskStatus.RUNNING)
    assert await get(api, f"/api/v1/tasks/{task_id}/status") == (
        200,
        {"task_id": task_id, "status": "running", "result": None},
    )
    assert (await get(api, f"/api/v1/tasks/{task_id}/artifacts"))[0] == 404
    laboratory.queue.cancel_task(task_id)


async def test_an_unknown_task_is_not_a_failed_one(api: aiohttp.ClientSession) -> None:
    for task_id in ("scan-00000000000000000000", "x", "..%2f..%2fetc"):
        code, body = await get(api, f"/api/v1/tasks/{task_id}/status")
        assert (code, body["title"]) == (404, "Unknown task")


async def test_health_has_the_first_designs_fields(api: aiohttp.ClientSession, laboratory: Laboratory) -> None:
    laboratory.submit(laboratory.plan(templates=["no-such-template.yaml"]))
    assert await get(api, "/api/v1/queue/health") == (
        200,
        {"queue_size": 0, "active_workers": 0, "failed_jobs": 1, "redis_connected": False},
    )


# artifacts


async def artifact(api: aiohttp.ClientSession, task_id: str, **headers: str) -> tuple[aiohttp.ClientResponse, bytes]:
    async with api.get(f"/api/v1/tasks/{task_id}/artifacts/{FINDINGS}", headers=headers) as answer:
        return answer, await answer.read()


async def test_artifacts_are_listed_and_served_with_their_checksums(
    api: aiohttp.ClientSession, laboratory: Laboratory
) -> None:
    task_id = laboratory.submit(laboratory.plan())
    code, listed = await get(api, f"/api/v1/tasks/{task_id}/artifacts")
    assert (code, listed["complete"]) == (200, True)
    sums = {file["name"]: file["sha256"] for file in listed["files"]}
    answer, content = await artifact(api, task_id)
    assert answer.status == 200
    assert hashlib.sha256(content).hexdigest() == sums[FINDINGS]
    assert answer.headers["ETag"] == f'"{sums[FINDINGS]}"'
    digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
    assert answer.headers["Repr-Digest"] == f"sha-256=:{digest}:"
    assert answer.content_type == "application/x-ndjson"
    assert len([json.loads(line) for line in content.splitlines()]) == 14
    again, nothing = await artifact(api, task_id, **{"If-None-Match": answer.headers["ETag"]})
    assert (again.status, nothing) == (304, b"")
    async with api.head(f"/api/v1/tasks/{task_id}/artifacts/{FINDINGS}") as head:
        assert (head.status, int(head.headers["Content-Length"])) == (200, len(content))


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        ("bytes=0-9", slice(0, 10)),
        ("bytes=100-", slice(100, None)),
        ("bytes=-7", slice(-7, None)),
        ("bytes=5-99999999", slice(5, None)),
    ],
)
async def test_a_download_that_broke_off_goes_on(
    api: aiohttp.ClientSession, laboratory: Laboratory, asked: str, part: slice
) -> None:
    task_id = laboratory.submit(laboratory.plan())
    _, whole = await artifact(api, task_id)
    answer, content = await artifact(api, task_id, Range=asked)
    assert (answer.status, content) == (206, whole[part])
    start, end, _ = part.indices(len(whole))
    assert answer.headers["Content-Range"] == f"bytes {start}-{end - 1}/{len(whole)}"


@pytest.mark.parametrize("asked", ["bytes=0-1,5-6", "lines=1-2", "bytes=9-3", "bytes=-", "nonsense"])
async def test_a_range_that_is_not_understood_gives_everything(
    api: aiohttp.ClientSession, laboratory: Laboratory, asked: str
) -> None:
    task_id = laboratory.submit(laboratory.plan())
    _, whole = await artifact(api, task_id)
    answer, content = await artifact(api, task_id, Range=asked)
    assert (answer.status, content) == (200, whole)


async def test_a_range_beyond_the_end_and_one_of_another_version(
    api: aiohttp.ClientSession, laboratory: Laboratory
) -> None:
    task_id = laboratory.submit(laboratory.plan())
    answer, _ = await artifact(api, task_id, Range="bytes=99999999-")
    assert answer.status == 416
    answer, whole = await artifact(api, task_id, Range="bytes=0-1", **{"If-Range": '"other"'})
    assert (answer.status, len(whole)) == (200, int(answer.headers["Content-Length"]))


async def test_what_was_not_published_is_not_served(api: aiohttp.ClientSession, laboratory: Laboratory) -> None:
    """A scan pod that was taken over could leave anything on the volume: a link to the API's own secrets, other bytes."""
    secret = laboratory.folder / "secret"
    secret.write_text("token")
    task_id = laboratory.submit(laboratory.plan())
    folder = laboratory.data / str(laboratory.result(task_id).artifact_path)
    for name in ("run.json", "task.json", "..%2f..%2frun.json", ".."):
        assert (await get(api, f"/api/v1/tasks/{task_id}/artifacts/{name}"))[0] == 404
    published = folder / FINDINGS
    original = published.read_bytes()
    published.write_bytes(original + b"more\n")
    assert (await get(api, f"/api/v1/tasks/{task_id}/artifacts/{FINDINGS}"))[0] == 500
    published.unlink()
    published.symlink_to(secret)
    assert (await get(api, f"/api/v1/tasks/{task_id}/artifacts/{FINDINGS}"))[0] == 404
    published.unlink()
    aside = folder.rename(folder.with_name("aside"))
    (aside / FINDINGS).write_bytes(original)
    folder.symlink_to(aside)
    assert (await get(api, f"/api/v1/tasks/{task_id}/artifacts/{FINDINGS}"))[0] == 404
    assert (await get(api, f"/api/v1/tasks/{task_id}/reports/csv"))[0] == 404


@pytest.mark.parametrize("form", ["sarif", "csv", "html"])
async def test_findings_are_reported_in_the_usual_forms(
    api: aiohttp.ClientSession, laboratory: Laboratory, form: str
) -> None:
    task_id = laboratory.submit(laboratory.plan())
    async with api.get(f"/api/v1/tasks/{task_id}/reports/{form}") as answer:
        content = await answer.text()
        assert answer.status == 200
        assert answer.headers["Content-Disposition"] == f'attachment; filename="nightly.{form}"'
        assert answer.headers["Content-Security-Policy"] == "sandbox"  # it is made of what scanned hosts have said
    match form:
        case "sarif":
            assert len(json.loads(content)["runs"][0]["results"]) == 14
        case "csv":
            assert len(content.splitlines()) == 15
        case _:
            result = laboratory.result(task_id)
            assert content == (laboratory.data / str(result.artifact_path) / "report.html").read_text()
            assert answer.headers["Content-Disposition"] == f'attachment; filename="{result.run_id}.html"'
    assert (await get(api, f"/api/v1/tasks/{task_id}/reports/pdf"))[0] == 404


async def test_a_scan_that_left_no_report_gets_one(
    api: aiohttp.ClientSession, laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as disk:
        disk.setattr(page, "compose", Mock(side_effect=OSError("full")))
        task_id = laboratory.submit(laboratory.plan())
    assert "report.html" not in {file.name for file in laboratory.result(task_id).artifacts}
    async with api.get(f"/api/v1/tasks/{task_id}/reports/html") as answer:
        assert (await answer.text()).startswith("<!doctype html>")
        assert answer.status == 200


# Redis


@pytest.mark.usefixtures("redis_queue")
async def test_over_redis(laboratory: Laboratory, start_worker: StartWorker, start_api: StartApi) -> None:
    api = await start_api()
    task_id = laboratory.submit(laboratory.plan())
    assert (await get(api, f"/api/v1/tasks/{task_id}/status"))[1]["status"] == "pending"
    assert (await get(api, "/api/v1/queue/health"))[1] == {
        "queue_size": 1,
        "active_workers": 0,
        "failed_jobs": 0,
        "redis_connected": True,
    }
    start_worker()
    await asyncio.to_thread(laboratory.result, task_id)
    assert (await get(api, f"/api/v1/tasks/{task_id}/status"))[1]["status"] == "completed"
    failed = laboratory.submit(laboratory.plan(templates=["no-such-template.yaml"]))
    await asyncio.to_thread(laboratory.result, failed)
    assert (await get(api, "/api/v1/queue/health"))[1] == {
        "queue_size": 0,
        "active_workers": 2,
        "failed_jobs": 1,
        "redis_connected": True,
    }
    metrics = await scraped(api)
    assert metrics["scanplan_queue_up"] == 1
    assert metrics["scanplan_findings_total{severity=critical}"] == 3
    assert metrics["scanplan_tasks_total{status=completed}"] == 1
    assert metrics["scanplan_tasks_total{status=failed}"] == 1
    assert metrics["scanplan_task_wait_seconds_count"] == 2
    assert metrics["scanplan_task_duration_seconds_count"] == 2


async def scraped(api: aiohttp.ClientSession) -> dict[str, float]:
    async with api.get("/metrics") as answer:
        assert answer.status == 200
        families = list(text_string_to_metric_families(await answer.text()))
    return {
        sample.name
        + ("{" + ",".join(f"{k}={v}" for k, v in sample.labels.items()) + "}" if sample.labels else ""): sample.value
        for family in families
        for sample in family.samples
    }


async def test_a_redis_that_is_away_is_said_and_never_guessed(
    start_api: StartApi, own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = own_redis.start()
    for name, value in {"REDIS_URL": server.url, "TASK_QUEUE_TYPE": "redis", "ENABLE_ASYNC_TASKS": "true"}.items():
        monkeypatch.setenv(name, value)
    api = await start_api()
    assert (await get(api, "/readyz"))[0] == 200
    server.kill()
    await asyncio.sleep(2.5)  # an answer is good for two seconds
    assert (await get(api, "/readyz"))[0] == 503
    assert (await get(api, "/healthz"))[0] == 200
    code, body = await get(api, "/api/v1/tasks/scan-00000000000000000000/status")
    assert (code, body["title"]) == (503, "Queue unavailable")
    assert (await get(api, "/api/v1/queue/health"))[1]["redis_connected"] is False
    assert (await scraped(api))["scanplan_queue_up"] == 0


# the whole surface


async def test_metrics_have_routes_for_labels_and_not_what_callers_make_up(api: aiohttp.ClientSession) -> None:
    for path in ("/api/v1/tasks/a/status", "/api/v1/tasks/b/status", "/c", "/d"):
        await get(api, path)
    metrics = await scraped(api)
    requests = {name: value for name, value in metrics.items() if name.startswith("scanplan_api_requests_total")}
    assert requests == {
        "scanplan_api_requests_total{method=GET,route=/api/v1/tasks/{task_id}/status,status=404}": 2,
        "scanplan_api_requests_total{method=GET,route=none,status=404}": 2,
    }


async def test_schemathesis_finds_nothing(api: aiohttp.ClientSession, laboratory: Laboratory) -> None:
    laboratory.submit(laboratory.plan())
    url = str(api._base_url).rstrip("/")
    command = [str(Path(sys.prefix) / "bin/schemathesis"), "run", f"{url}/api/v1/openapi.json", "--url", url]
    command += ["--checks", "all", "--max-examples", "25", "--workers", "1", "--seed", "1", "--no-color"]
    done = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, check=False, cwd=laboratory.folder
    )
    assert done.returncode == 0, done.stdout + done.stderr
