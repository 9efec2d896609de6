"""What the operator tells Redis: keys and results of its own cluster and namespace, and nothing that it waits for."""

from __future__ import annotations

import asyncio
from typing import Any

from scanplan.api.v1alpha1.scanplan_status import ScanPlanStatus
from scanplan.client import models
from scanplan.client.models import ScanResult
from scanplan.client.redis.publication import Publication, PublicationOutcome
from tests.client.servers import RedisServer
from tests.kubectl import eventually
from tests.unit.metrics.test_operator_metrics import ENDED, plan

STATUS: dict[str, Any] = {
    **ENDED,
    "observedGeneration": 1,
    "taskKey": "scan:acme:nightly:a:b:c",
    "endpointCount": 3,
    "artifacts": {
        "claimName": "c",
        "path": "ui_projects/nightly/tasks/x",
        "complete": True,
        "files": [{"name": "nuclei_output.ndjson", "bytes": 1, "sha256": "00"}],
    },
}


async def test_keys_and_results_are_published(redis_of_session: RedisServer) -> None:
    client = redis_of_session.client()
    client.flushall()
    publication = Publication(redis_of_session.url, "east")
    async with publication.publishing():
        publication.status_written(plan(), ScanPlanStatus.of({"status": {**STATUS, "phase": "Running"}}))
        publication.status_written(plan(), ScanPlanStatus.of({"status": STATUS}))
        await asyncio.to_thread(eventually, lambda: client.exists("east:n:task_result:p"))
    assert client.get("east:n:task_key:scan:acme:nightly:a:b:c") == b"p"
    value: Any = client.get("east:n:task_result:p")
    result = models.load(ScanResult, value, "the result")
    assert (result.success, result.finding_count, result.endpoint_count, result.complete) == (True, 3, 3, True)
    assert len(client.keys("*")) == 2
    assert all(client.ttl(key) > 0 for key in client.keys("*"))


async def test_a_redis_that_is_away_holds_nothing_up(own_redis: RedisServer) -> None:
    server = own_redis
    publication = Publication(server.url, "east")
    async with publication.publishing():
        for _ in range(3_000):  # more than it keeps waiting
            publication.status_written(plan(), ScanPlanStatus.of({"status": STATUS}))
        await asyncio.sleep(0.1)
        server.start()
        publication.status_written(plan(), ScanPlanStatus.of({"status": STATUS}))
        await asyncio.to_thread(eventually, lambda: server.client().exists("east:n:task_result:p"))
        await asyncio.to_thread(eventually, lambda: publication.outcomes[PublicationOutcome.PUBLISHED] > 0)
    assert publication.outcomes[PublicationOutcome.DROPPED] >= 2_000
