"""Bounds on the connections of a server; small ones, so that a few connections reach them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web

from scanplan.serving.connections import Limits, network_of
from scanplan.serving.server import serving

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
LARGE = bytes(16 << 20)

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@contextlib.asynccontextmanager
async def served(
    limits: Limits, release: asyncio.Event | None = None
) -> AsyncIterator[Callable[..., Awaitable[Connection]]]:
    """A server with these limits; gives what connects to it, from an address of loopback."""

    async def root(_: web.Request) -> web.Response:
        return web.Response(text="here")

    async def large(_: web.Request) -> web.Response:
        return web.Response(body=LARGE)

    async def slow(_: web.Request) -> web.Response:
        if release:
            await release.wait()
        return web.Response(text="at last")

    async def read(request: web.Request) -> web.Response:
        return web.Response(text=str(len(await request.read())))

    application = web.Application(client_max_size=1_000)
    application.add_routes([web.get("/", root), web.get("/large", large), web.get("/slow", slow), web.post("/", read)])
    async with serving(application, "127.0.0.1", 0, limits) as port, contextlib.AsyncExitStack() as stack:

        async def connect(address: str = "127.0.0.1") -> Connection:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
            stack.callback(writer.close)
            return reader, writer

        yield connect


async def answer_of(connection: Connection, request: bytes = GET) -> bytes:
    """The status line of the answer; empty where the connection was cut."""
    reader, writer = connection
    try:
        writer.write(request)
        line = await asyncio.wait_for(reader.readline(), 20)
        while (await reader.readline()).strip():
            pass
        return line.strip()
    except ConnectionError:
        return b""


async def is_cut(connection: Connection) -> bool:
    with contextlib.suppress(ConnectionError):
        return await asyncio.wait_for(connection[0].read(), 20) is not None
    return True


async def test_who_waits_the_longest_makes_room_for_who_asks() -> None:
    """Lost otherwise: connections that ask nothing keep everybody else out."""
    async with served(Limits(connections=4, per_address=4)) as connect:
        idle = [await connect() for _ in range(4)]
        assert (await answer_of(await connect())).endswith(b"200 OK")
        assert await is_cut(idle[0])
        assert (await answer_of(idle[3])).endswith(b"200 OK")


async def test_an_address_makes_room_for_itself_and_takes_none_from_others() -> None:
    async with served(Limits(connections=8, per_address=2)) as connect:
        other = await connect("127.0.0.2")
        for _ in range(8):
            await connect()
        assert (await answer_of(other)).endswith(b"200 OK")


async def test_the_address_with_most_connections_makes_room_for_the_others() -> None:
    async with served(Limits(connections=4, per_address=3)) as connect:
        other = await connect("127.0.0.2")
        for _ in range(3):
            await connect()
        assert (await answer_of(await connect("127.0.0.3"))).endswith(b"200 OK")
        assert (await answer_of(other)).endswith(b"200 OK")


async def test_who_is_being_answered_is_never_cut_for_another() -> None:
    release = asyncio.Event()
    async with served(Limits(connections=2, per_address=2), release) as connect:
        asking = [asyncio.create_task(answer_of(await connect(), GET.replace(b"/ ", b"/slow "))) for _ in range(2)]
        await asyncio.sleep(0.2)
        assert await is_cut(await connect())
        release.set()
        assert [each.endswith(b"200 OK") for each in await asyncio.gather(*asking)] == [True, True]


@pytest.mark.parametrize("begin", [b"", b"GET", GET[:-2], GET + b"GET / HT"])
async def test_a_request_has_its_time(begin: bytes) -> None:
    async with served(Limits(request_seconds=0.2, idle_seconds=0.3)) as connect:
        connection = await connect()
        connection[1].write(begin)
        assert await is_cut(connection)


async def test_a_connection_serves_many_requests() -> None:
    async with served(Limits(request_bytes=200)) as connect:
        connection = await connect()
        for _ in range(20):
            assert (await answer_of(connection)).endswith(b"200 OK")
            assert await connection[0].readexactly(4) == b"here"


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"GET /" + b"a" * 500, b"431"),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 500, b"431"),
        (b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * 100, b"431"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n" + b"a" * 100, b"200"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999\r\n\r\n" + b"a" * 99_999, b"413"),
    ],
)
async def test_a_request_has_its_size(request_line: bytes, status: bytes) -> None:
    async with served(Limits(request_bytes=400 if status == b"431" else 4_000)) as connect:
        assert (await answer_of(await connect(), request_line)).split()[1] == status


async def test_who_takes_no_answer_is_cut() -> None:
    """Lost otherwise: whoever asks and never reads keeps the answer in the server's memory."""
    async with served(Limits(stalled_seconds=0.2)) as connect:
        reader, writer = await connect()
        writer.write(GET.replace(b"/ ", b"/large "))
        await asyncio.sleep(1)
        with contextlib.suppress(ConnectionError):
            assert len(await reader.read(-1)) < len(LARGE)


@pytest.mark.parametrize(
    ("peer", "network"),
    [
        (("192.0.2.7", 1), "192.0.2.7/32"),
        (("::ffff:192.0.2.7", 1, 0, 0), "192.0.2.7/32"),
        (("2001:db8::7", 1, 0, 0), "2001:db8::/64"),
        (("fe80::1%eth0", 1, 0, 2), "fe80::/64"),
        ("", ""),
        (None, ""),
    ],
)
def test_an_ipv6_network_counts_as_one_address(peer: object, network: str) -> None:
    """Lost otherwise: one host has 2^64 addresses of its own."""
    assert network_of(peer) == network
