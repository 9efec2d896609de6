"""Tasks shared by clusters, on a real Redis: one cluster scans, and no answer of Redis keeps a scan from being made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from scanplan.api.times import format_time
from scanplan.api.v1alpha1.scanplan import ScanPlanSpec
from scanplan.api.v1alpha1.scanplan_status import ScanPlanStatus
from scanplan.client.redis import sharing
from scanplan.client.redis.sharing import SharedTasks, shared_key
from scanplan.core.observed.jobs import JobView
from scanplan.core.observed.sharing import OtherCluster
from scanplan.core.planning.task import Plan
from tests.client.servers import RedisServer
from tests.kubectl import eventually

CREATED = datetime(2026, 11, 25, 8, 0, 0, tzinfo=UTC)
KEY = "scan:acme:nightly:a:b:c"
FILES = [{"name": "nuclei_output.ndjson", "bytes": 12, "sha256": "00"}]
ENDED: dict[str, Any] = {
    "phase": "Completed",
    "taskKey": KEY,
    "jobRef": {"name": "scan-1", "uid": "u"},
    "endpointsScanned": 3,
    "findings": {"total": 3, "critical": 2, "info": 1},
    "artifacts": {"claimName": "east-claim", "path": "ui_projects/nightly/tasks/x", "complete": True, "files": FILES},
}
FAILED = {**ENDED, "phase": "Failed"}


def plan() -> Plan:
    spec = ScanPlanSpec.model_validate({"endpoints": ["a.example"], "templates": ["http/"]})
    return Plan(namespace="n", name="p", uid="u", generation=1, created=CREATED, spec=spec, status=ScanPlanStatus())


def written(status: dict[str, Any]) -> ScanPlanStatus:
    return ScanPlanStatus.of({"status": status})


class Clusters:
    """East and west, on one Redis."""

    def __init__(self, server: RedisServer) -> None:
        self.redis = server.client()
        self.east, self.west = (SharedTasks(server.url, name, 3600) for name in ("east", "west"))


@pytest.fixture
async def clusters(redis_of_session: RedisServer) -> AsyncIterator[Clusters]:
    redis_of_session.client().flushall()
    made = Clusters(redis_of_session)
    async with made.east.kept(list), made.west.kept(list):
        yield made


async def test_of_a_hundred_that_take_a_task_at_once_one_gets_it(
    redis_of_session: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharing, "ANSWER_SECONDS", 60.0)  # who gets no answer scans, and a busy machine answers late
    redis_of_session.client().flushall()
    async with AsyncExitStack() as stack:
        many = [SharedTasks(redis_of_session.url, f"cluster-{number}", 3600) for number in range(100)]
        for each in many:
            await stack.enter_async_context(each.kept(list))
        answers = await asyncio.gather(*(each.take("n", KEY, "claim") for each in many))
    assert answers.count(None) == 1


async def test_the_other_cluster_sees_who_runs_it_and_then_what_was_found(clusters: Clusters) -> None:
    assert await clusters.east.take("n", KEY, "east-claim") is None
    assert await clusters.east.take("n", KEY, "east-claim") is None, "taken again after a restart"
    assert await clusters.west.take("n", KEY, "west-claim") == OtherCluster("east", "east-claim", None)
    assert await clusters.west.take("other", KEY, "west-claim") is None, "another namespace is another tenant"
    await clusters.east.settle(plan(), written(ENDED))
    found = await clusters.west.take("n", KEY, "west-claim")
    assert found
    assert found.result
    assert (found.result.findings.critical, found.result.findings.total, found.result.path) == (
        2,
        3,
        "ui_projects/nightly/tasks/x",
    )
    assert await clusters.east.take("n", KEY, "east-claim") is None, "its own result is on its own claim"


async def test_a_task_that_failed_is_the_others_at_once(clusters: Clusters) -> None:
    await clusters.east.take("n", KEY, "east-claim")
    await clusters.east.settle(plan(), written(FAILED))
    assert await clusters.west.take("n", KEY, "west-claim") is None
    await clusters.east.settle(plan(), written(FAILED))
    assert await clusters.east.take("n", KEY, "east-claim") == OtherCluster("west", "west-claim", None), (
        "not its to give"
    )


@pytest.mark.parametrize("end", [ENDED, FAILED], ids=["completed", "failed"])
async def test_an_end_is_told_once(clusters: Clusters, end: dict[str, Any]) -> None:
    """Lost otherwise: a month-old result is taken for a new one, or a task that runs here again is given away."""
    known = replace(plan(), status=written(end))
    await clusters.east.settle(known, written({**end, "reason": "edited"}))
    assert not clusters.redis.exists(shared_key("n", KEY))
    await clusters.east.take("n", KEY, "east-claim")
    await clusters.east.settle(known, written({**end, "reason": "edited"}))
    assert await clusters.west.take("n", KEY, "west-claim") == OtherCluster("east", "east-claim", None)


@pytest.mark.parametrize(("minutes", "seconds"), [(0, 3600), (20, 2400), (60, 0), (43_200, 0), (-5, 3600)])
async def test_a_result_answers_for_as_long_as_the_window_goes_on(
    redis_of_session: RedisServer, minutes: int, seconds: int
) -> None:
    """Lost otherwise: a result that was taken over late is used for longer than the window."""
    redis = redis_of_session.client()
    redis.flushall()
    east = SharedTasks(redis_of_session.url, "east", 3600, lambda: CREATED + timedelta(minutes=minutes))
    async with east.kept(list):
        await east.take("n", KEY, "east-claim")
        await east.settle(plan(), written({**ENDED, "completionTime": format_time(CREATED)}))
    left = redis.ttl(shared_key("n", KEY))
    assert isinstance(left, int)
    assert max(0, seconds - 20) <= max(0, left) <= seconds


async def test_a_task_is_kept_while_its_job_lives_and_no_longer(
    clusters: Clusters, redis_of_session: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharing, "RENEW_SECONDS", 0.01)
    job = JobView(
        namespace="n", name="scan-1", uid="u", key=KEY, claim="east-claim", resource_version=1, created=CREATED
    )
    east = SharedTasks(redis_of_session.url, "east", 3600)
    await east.take("n", KEY, "east-claim")
    clusters.redis.expire(shared_key("n", KEY), 1)
    async with east.kept(lambda: [job]):
        await asyncio.to_thread(eventually, lambda: clusters.redis.ttl(shared_key("n", KEY)) > 60)
    clusters.redis.delete(shared_key("n", KEY))  # as if it had run out: the cluster had died
    assert await clusters.west.take("n", KEY, "west-claim") is None


@pytest.mark.parametrize("value", [b"", b"\xff", b"{}", b'{"cluster": 1, "claim": "c"}', b"[" * 100_000])
async def test_a_value_of_somebody_else_keeps_no_scan_from_being_made(clusters: Clusters, value: bytes) -> None:
    clusters.redis.set(shared_key("n", KEY), value)
    assert await clusters.east.take("n", KEY, "east-claim") is None


async def test_without_redis_each_scans_for_itself(tmp_path: Path) -> None:
    away = RedisServer(tmp_path)
    alone = SharedTasks(away.url, "east", 3600)
    async with alone.kept(list):
        assert await alone.take("n", KEY, "east-claim") is None
