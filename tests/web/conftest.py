"""The API on a port of its own, over queues with real scans in them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest
import yaml

from scanplan.client import settings
from scanplan.web import server
from scanplan.web.settings import ApiSettings
from tests.client.cluster import ControlPlane
from tests.client.laboratory import Laboratory
from tests.deploy import ROOT

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
            port = await stack.enter_async_context(server.running(settings.load_settings(), api_settings))
            client = aiohttp.ClientSession(f"http://127.0.0.1:{port}", read_bufsize=LINE_BYTES)
            return await stack.enter_async_context(client)

        yield start


@pytest.fixture
def namespace(queue_namespace: str) -> str:
    """The test's namespace, as `kubernetes_queue` has named it."""
    return queue_namespace


@pytest.fixture
async def api(
    plane: ControlPlane, namespace: str, start_api: StartApi, monkeypatch: pytest.MonkeyPatch
) -> aiohttp.ClientSession:
    """The API with the rights that are documented for it."""
    plane.kubectl.apply(*yaml.safe_load_all((ROOT / "examples/python/api-rbac.yaml").read_text()))
    monkeypatch.setenv("KUBECONFIG", str(plane.kubeconfig_of("scanplan-system", "scanplan-api")))
    monkeypatch.setenv("SCANPLAN_NAMESPACE", namespace)
    return await start_api(authentication="kubernetes")
