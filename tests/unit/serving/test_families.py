"""A server on all addresses, of both families or of the one that there is."""

from __future__ import annotations

import errno
import socket
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from scanplan.controller.engine import http
from scanplan.serving import server
from tests import ports

LOOPBACK = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "[::1]"}


async def reached(port: int) -> set[str]:
    found = set()
    async with aiohttp.ClientSession() as session:
        for host in LOOPBACK.values():
            try:
                async with session.get(f"http://{host}:{port}/") as answer:
                    assert answer.status == 200
            except aiohttp.ClientConnectorError:
                continue
            found.add(host)
    return found


async def root(_: web.Request) -> web.Response:
    return web.Response()


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
async def test_probes_and_metrics_are_reached_by_both_families() -> None:
    """Lost otherwise: an operator on an IPv6-only cluster, which no kubelet finds ready."""
    port = ports.free_port()
    async with http.serving([web.get("/", root)], port, "SCANPLAN_PROBE_PORT"):
        assert await reached(port) == {"127.0.0.1", "[::1]"}


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
async def test_any_port_is_the_same_for_both() -> None:
    application = web.Application()
    application.add_routes([web.get("/", root)])
    async with server.serving(application, server.EVERYWHERE, 0) as port:
        assert await reached(port) == {"127.0.0.1", "[::1]"}


@pytest.mark.parametrize("missing", LOOPBACK)
async def test_a_machine_without_one_family_serves_the_other(monkeypatch: pytest.MonkeyPatch, missing: int) -> None:
    make = socket.create_server

    def create(address: Any, *, family: int, **more: Any) -> socket.socket:
        if family == missing:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        return make(address, family=family, **more)

    left = ({*LOOPBACK} - {missing}).pop()
    if left == socket.AF_INET6 and not has_ipv6():
        pytest.skip("this machine has no IPv6")
    monkeypatch.setattr(socket, "create_server", create)
    application = web.Application()
    application.add_routes([web.get("/", root)])
    async with server.serving(application, server.EVERYWHERE, 0) as port:
        assert await reached(port) == {LOOPBACK[left]}


async def test_a_port_that_one_family_has_taken_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(http.CannotListen, match=f"SCANPLAN_PROBE_PORT: port {port}"):
            async with http.serving([], port, "SCANPLAN_PROBE_PORT"):
                pass
