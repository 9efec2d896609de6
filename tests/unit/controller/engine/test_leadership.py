"""One operator at work, by a Lease; tests/integration/test_leadership.py has the same with a real API server."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from copy import deepcopy
from typing import Any

import pytest
from kubernetes.aio.client import ApiClient, ApiException, Configuration, V1Lease

from scanplan.controller.engine import leadership


class Server:
    """An API server with one lease. Like the real one, it refuses a write that names another version than the newest."""

    def __init__(self) -> None:
        self.lease: Any = None
        self.renewed = asyncio.Event()

    async def read_namespaced_lease(self, *_: object, **__: object) -> Any:
        if self.lease is None:
            raise _refusal(404)
        return deepcopy(self.lease)

    async def create_namespaced_lease(self, _namespace: str, lease: V1Lease, **_: object) -> Any:
        return self._store(lease, 1)

    async def replace_namespaced_lease(self, _name: str, _namespace: str, lease: Any, **_: object) -> Any:
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


class Connections:
    """An API server with one lease, over HTTP. While it is silent, it takes requests and never answers."""

    def __init__(self, silent: bool = False) -> None:
        self.silent = silent
        self.asked = asyncio.Event()
        self._version = 1
        self._lease: dict[str, Any] = {
            "metadata": {"namespace": "scanplan-system", "name": "scanplan-operator"},
            "spec": {},
        }

    @asynccontextmanager
    async def client(self) -> AsyncIterator[ApiClient]:
        async with await asyncio.start_server(self._serve, "127.0.0.1", 0) as server:
            configuration = Configuration()
            configuration.host = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            configuration.retries = None
            async with ApiClient(configuration) as client:
                yield client

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
                body = await reader.readexactly(int(lengths[0].split(b":")[1])) if lengths else b""
                self.asked.set()
                if self.silent:
                    continue
                if body:
                    self._version += 1
                    self._lease |= json.loads(body)
                self._lease["metadata"]["resourceVersion"] = str(self._version)
                answer = json.dumps(self._lease).encode()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
                writer.write(b"Content-Length: %d\r\n\r\n%s" % (len(answer), answer))
                await writer.drain()
        except asyncio.IncompleteReadError:
            writer.close()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leadership, "LEASE_SECONDS", 2)
    monkeypatch.setattr(leadership, "RENEW_DEADLINE_SECONDS", 1.3)
    monkeypatch.setattr(leadership, "REQUEST_SECONDS", 0.3)
    monkeypatch.setattr(leadership, "RETRY_SECONDS", 1)


@pytest.mark.usefixtures("quick")
async def test_a_leader_ends_soon_where_the_server_no_longer_answers() -> None:
    """Lost otherwise: five minutes without scans, in which it waits for one answer and may do nothing."""
    server = Connections()

    async def work() -> None:
        server.silent = True
        await asyncio.Event().wait()

    async with server.client() as client:
        lease = leadership.Lease(client, "scanplan-system", "scanplan-operator", "pod")
        with pytest.raises(leadership.LeadershipLost):
            await asyncio.wait_for(lease.lead(work, asyncio.Event()), 10)
    assert not lease.held()


@pytest.mark.usefixtures("quick")
async def test_a_standby_asks_again_where_the_server_has_not_answered() -> None:
    """Lost otherwise: the takeover, for the same five minutes."""
    server = Connections(silent=True)

    async def answer() -> None:
        await server.asked.wait()
        server.silent = False

    async with server.client() as client:
        standby = leadership.Lease(client, "scanplan-system", "scanplan-operator", "pod")

        async def work() -> None:
            assert standby.held()

        answering = asyncio.create_task(answer())
        await asyncio.wait_for(standby.lead(work, asyncio.Event()), 10)
        await answering
