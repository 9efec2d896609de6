"""Queues over real parts: the real runner, the stand-in for Nuclei, a real Redis, real workers, a real API server."""

from __future__ import annotations

import pytest

from scanplan.client import settings
from scanplan.client.queues.local import SyncTaskQueue
from tests.client.laboratory import Laboratory


@pytest.fixture(params=["sync", "redis", pytest.param("kubernetes", marks=pytest.mark.integration)])
def bench(request: pytest.FixtureRequest, laboratory: Laboratory) -> Laboratory:
    """A laboratory with a queue at work: each test runs on every kind."""
    match request.param:
        case "sync":
            laboratory.queue = SyncTaskQueue(settings.load_settings())
        case "redis":
            request.getfixturevalue("redis_queue")
            request.getfixturevalue("start_worker")()
        case _:
            request.getfixturevalue("kubernetes_queue")
    return laboratory
