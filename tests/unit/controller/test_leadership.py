"""One operator at work, by a Lease; tests/integration/test_leadership.py has the same with a real API server."""

from __future__ import annotations

import asyncio
import logging
from copy import deepcopy
from typing import Any

import pytest
from kubernetes.aio.client import ApiException, V1Lease

from scanplan.controller.engine import leadership


class Server:
    """An API server with one lease. Like the real one, it refuses a write that names another version than the newest."""

    def __init__(self) -> None:
        self.lease: Any = None
        self.renewed = asyncio.Event()

    async def read_namespaced_lease(self, *_: object) -> Any:
        if self.lease is None:
            raise _refusal(404)
        return deepcopy(self.lease)

    async def create_namespaced_lease(self, _namespace: str, lease: V1Lease) -> Any:
        return self._store(lease, 1)

    async def replace_namespaced_lease(self, _name: str, _namespace: str, lease: Any) -> Any:
        if lease.metadata.resource_version != self.lease.metadata.resource_version:
            raise _refusal(409)
        self.renewed.set()
        return self._store(lease, self.version + 1)

    @property
    def version(self) -> int:
        return int(self.lease.metadata.resource_version)

    def annotate(self) -> None:
        """A write of somebody else's, as some tools make to all objects."""
        self._store(self.lease, self.version + 1)

    def _store(self, lease: V1Lease, version: int) -> Any:
        self.lease = deepcopy(lease)
        self.lease.metadata.resource_version = str(version)
        return deepcopy(self.lease)


def _refusal(status: int) -> ApiException:
    refusal = ApiException(status=status, reason="no")
    refusal.body = f'{{"code":{status}}}'
    return refusal


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    server = Server()
    monkeypatch.setattr("kubernetes.aio.client.CoordinationV1Api", lambda **_: server)
    return server


@pytest.fixture
def lease(server: Server) -> leadership.Lease:
    assert server
    client: Any = None
    return leadership.Lease(client, "scanplan-system", "scanplan-operator", "pod")


async def test_a_renewal_that_is_refused_once_is_made_again_and_is_no_error(
    server: Server, lease: leadership.Lease, caplog: pytest.LogCaptureFixture
) -> None:
    """Lost otherwise: an alert on errors in logs wakes somebody for what has mended itself."""

    async def work() -> None:
        server.annotate()
        server.renewed.clear()
        await server.renewed.wait()

    await lease.lead(work, asyncio.Event())
    (refusal,) = (record for record in caplog.records if "409" in record.getMessage())
    assert refusal.levelno == logging.WARNING
    assert "trying again in 1.5 s" in refusal.getMessage()


async def test_a_lease_that_somebody_else_has_changed_is_given_back_all_the_same(
    server: Server, lease: leadership.Lease
) -> None:
    """Lost otherwise: seven seconds of an update, in which no operator works."""

    async def work() -> None:
        assert lease.held()
        server.annotate()

    await lease.lead(work, asyncio.Event())
    assert not server.lease.spec.holder_identity
    assert not lease.held()
