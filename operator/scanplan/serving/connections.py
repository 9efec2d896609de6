"""Bounds connections: their number, and the bytes and seconds that each may use before its request is answered.

aiohttp bounds one header but not their sum, and waits without end for a first request. So a `Connection` stands between the socket
and aiohttp's protocol. It counts incoming bytes and parses nothing. Where connections run out, it cuts the one that has waited the
longest without a whole request. So whole requests are answered, however many clients send only a part of one.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable, Container
from dataclasses import dataclass
from typing import cast

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_TOO_LATE = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_READ_BYTES = 8 << 10
_FAREWELL_SECONDS = 1.0
"""Seconds for the error response to reach a client that was too slow or sent too much."""
_SETTLE_SECONDS = 0.25
"""Seconds from too many bytes to the cut. The bytes may still prove to be the body of a request that has begun."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a server's connections."""

    connections: int = 512
    """Connections at the same time."""
    per_address: int = 128
    """Connections from one IPv4 address or one IPv6 /64 network."""
    request_bytes: int = 48 << 10
    """Bytes of a request's line and headers; its body may have as many again."""
    request_seconds: float = 10.0
    """Seconds from a request's first byte, or from the connection, to the last header."""
    idle_seconds: float = 75.0
    """Seconds from an answer to the first byte of the next request."""
    stalled_seconds: float = 30.0
    """Seconds within which a client must read some tens of KiB of its waiting answer."""


class Connections:
    """All connections of one server."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.buffer = bytearray(_READ_BYTES)
        """One read buffer for all connections, since each read is passed on at once. So a traceback keeps only one read alive."""
        self._open: dict[asyncio.BaseTransport, Connection] = {}
        self._by_address: dict[str, set[Connection]] = {}
        self._waiting: dict[Connection, None] = {}
        """Connections without a request in progress, in the order in which they began to wait."""

    def __len__(self) -> int:
        return len(self._open)

    @web.middleware
    async def noticed(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Middleware that records when a request is complete, and when it was handled."""
        connection = self._open.get(request.transport) if request.transport else None
        if connection is None:
            return await handler(request)
        self._waiting.pop(connection, None)
        connection.begun()
        try:
            response = await handler(request)
            if connection.cut_short and not response.prepared:
                response.force_close()
            return response
        finally:
            if connection.transport in self._open:
                self._waiting[connection] = None
                connection.handled()

    def admit(self, connection: Connection) -> bool:
        """Count a new connection; False where there is no room for it."""
        same = self._by_address.get(connection.address, set())
        if len(same) >= self.limits.per_address and not self._make_room(same):
            return False
        if len(self._open) >= self.limits.connections:
            most = max(self._by_address.values(), key=len)
            if not self._make_room(most) and not self._make_room(self._waiting):
                return False
        self._open[connection.transport] = connection
        self._waiting[connection] = None
        self._by_address.setdefault(connection.address, set()).add(connection)
        return True

    def forget(self, connection: Connection) -> None:
        """Remove a connection that has ended; it may be called twice."""
        self._open.pop(connection.transport, None)
        self._waiting.pop(connection, None)
        if same := self._by_address.get(connection.address):
            same.discard(connection)
            if not same:
                del self._by_address[connection.address]

    def _make_room(self, among: Container[Connection]) -> bool:
        """Cut the connection among these that has waited the longest; False where none waits."""
        longest = next((each for each in self._waiting if each in among), None)
        if longest is None:
            return False
        self.forget(longest)
        longest.transport.abort()
        return True


class Connection(asyncio.BufferedProtocol):
    """One connection, in front of aiohttp's protocol of it."""

    def __init__(self, connections: Connections, inner: asyncio.Protocol) -> None:
        """`inner` is the protocol that an `aiohttp.web.Server` made for this connection."""
        self.transport: asyncio.Transport
        self.address = ""
        self._connections = connections
        self._limits = connections.limits
        self._inner = inner
        self._loop = asyncio.get_running_loop()
        self._received = 0
        """Bytes since the request in progress began, or since the last one was handled."""
        self._answering = False
        self._used = False
        """Whether a whole request has arrived on it."""
        self._refused = False
        self.cut_short = False
        """Whether bytes were dropped. Then later bytes can't be parsed as a request."""
        self._deadline: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.address = network_of(transport.get_extra_info("peername"))
        if not self._connections.admit(self):
            self._refused = True
            self.transport.abort()
            return
        self._end_in(self._limits.request_seconds)
        self._inner.connection_made(transport)

    def get_buffer(self, sizehint: int) -> bytearray:  # noqa: ARG002 - as asyncio calls it
        return self._connections.buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self._refused:
            return
        if not self._answering and not self._received:
            self._end_in(self._limits.request_seconds)
        fitting = min(nbytes, max(0, self._limits.request_bytes - self._received))
        self._received += nbytes
        if fitting:
            self._inner.data_received(bytes(self._connections.buffer[:fitting]))
        if fitting < nbytes and not self.cut_short:
            self.cut_short = True
            if not self._answering:
                self._end_in(_SETTLE_SECONDS)

    def begun(self) -> None:
        """A request's line and headers are complete."""
        self._answering = self._used = True
        if not self.cut_short:
            self._received = 0
        self._end_in(None)

    def handled(self) -> None:
        """The request was handled; its answer is being sent, or was streamed already."""
        self._answering = False
        self._received = 0
        self._end_in(_SETTLE_SECONDS if self.cut_short else self._limits.idle_seconds)

    def pause_writing(self) -> None:
        self._inner.pause_writing()
        self._stalled = self._loop.call_later(self._limits.stalled_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        if self._stalled:
            self._stalled.cancel()
        self._inner.resume_writing()

    def eof_received(self) -> bool | None:
        return None if self._refused else self._inner.eof_received()

    def connection_lost(self, error: Exception | None) -> None:
        self._end_in(None)
        if self._stalled:
            self._stalled.cancel()
        self._connections.forget(self)
        if not self._refused:
            self._inner.connection_lost(error)

    def _end_in(self, seconds: float | None) -> None:
        if self._deadline:
            self._deadline.cancel()
        self._deadline = None if seconds is None else self._loop.call_later(seconds, self._too_late)

    def _too_late(self) -> None:
        """Cut the connection: no whole request came in time, or too many bytes came."""
        # After an answer, these bytes may be the rest of that request's body. An error would look like the next request's answer.
        if self._received and not self._used and not self.transport.is_closing():
            self.transport.write(_TOO_LARGE if self.cut_short else _TOO_LATE)
            self.transport.close()
        self._deadline = self._loop.call_later(_FAREWELL_SECONDS, self.transport.abort)


def network_of(peer: object) -> str:
    """What counts as one client: an IPv4 address, an IPv6 /64 network, or all clients of a socket without addresses."""
    if not isinstance(peer, tuple):
        return ""
    address = ipaddress.ip_address(str(peer[0]).partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or address
    return str(ipaddress.ip_network((address, 32 if address.version == 4 else 64), strict=False))
