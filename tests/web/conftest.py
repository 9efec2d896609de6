"""The API on a port of its own, over queues with real scans in them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest

from scanplan.client import settings
from scanplan.client.queues.local import SyncTaskQueue
from scanplan.web import server
from scanplan.web.settings import ApiSettings
from tests.client.laboratory import Laboratory

LINE_BYTES = 1 << 24
"""Room for an event with all plans of the session's cluster, which is one line."""
StartApi = Callable[..., Awaitable[aiohttp.ClientSession]]


@pytest.fixture
async def start_api(laboratory: Laboratory) -> AsyncIterator[StartApi]:
    """Start the API with the environment's settings, changed; returns a client of it."""
    assert laboratory
    async with AsyncExitStack() as stack:

        async def start(**changes: Any) -> aiohttp.ClientSession:
            api_settings = ApiSettings.model_validate({"port": 0, "authentication": "none", **changes})
            port = await stack.enter_async_context(server.running(settings.load(), api_settings))
            client = aiohttp.ClientSession(f"http://127.0.0.1:{port}", read_bufsize=LINE_BYTES)
            return await stack.enter_async_context(client)

        yield start


@pytest.fixture
async def api(laboratory: Laboratory, start_api: StartApi) -> aiohttp.ClientSession:
    """The API over the `sync` queue, open to everybody."""
    laboratory.queue = SyncTaskQueue(settings.load())
    return await start_api()


@pytest.fixture
def namespace(queue_namespace: str) -> str:
    """The test's namespace, as `kubernetes_queue` has named it."""
    return queue_namespace
