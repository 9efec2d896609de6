"""An HTTP proxy between an operator and its API server that can do to every call what networks and servers do at their worst.

It speaks plain HTTP to the operator and TLS to the API server, and passes the operator's credentials through. A test scripts it
with faults: each sees every call and may hold it, answer it itself, lose its answer or edit its stream; without faults it changes
nothing. All that passes is kept in `calls`.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import ssl
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import yaml
from aiohttp import web
from multidict import CIMultiDict

T = TypeVar("T")

LINE_BYTES = 8 << 20
"""Longest event of a watch."""
_HOP_BY_HOP = {
    "connection",
    "content-encoding",
    "content-length",
    "host",
    "keep-alive",
    "transfer-encoding",
    "accept-encoding",
}
_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


class Dropped(Exception):
    """The connection is closed without an answer, or in the middle of one."""


@dataclass(frozen=True)
class Torn(Exception):
    """The connection is closed inside an HTTP chunk, after a part of it."""

    part: bytes


@dataclass
class Reply:
    """An answer; that of a watch has its events as a stream of lines."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    events: AsyncIterator[bytes] | None = None

    @property
    def object(self) -> dict[str, Any]:
        """The body, decoded."""
        decoded: dict[str, Any] = json.loads(self.body)
        return decoded


@dataclass
class Call:
    """One request of the operator, in the words of an RBAC rule, and what became of it."""

    number: int
    method: str
    target: str
    """Path and query."""
    headers: dict[str, str]
    body: bytes
    at: float = field(default_factory=time.monotonic)
    reply: Reply | None = None
    """What the API server answered; None: the call never got there."""

    def __post_init__(self) -> None:
        path, _, query = self.target.partition("?")
        parts = path.strip("/").split("/")
        self.group = parts[1] if parts[0] == "apis" and len(parts) > 1 else ""
        rest = parts[3 if parts[0] == "apis" else 2 :]
        if rest[:1] == ["namespaces"] and len(rest) > 2:
            rest = rest[2:]
        resource, self.name, subresource = [*rest, "", "", ""][:3]
        self.resource = "/".join(filter(None, (resource, subresource)))
        self.is_watch = "watch=true" in query
        reading = "watch" if self.is_watch else "get" if self.name else "list"
        self.verb = _VERBS.get(self.method, reading)

    @property
    def is_write(self) -> bool:
        """It changes something; the lease aside, which is renewed whatever happens."""
        return self.method in _VERBS and self.resource != "leases"

    @property
    def accepted(self) -> bool:
        """The API server has done it, whether or not the operator ever heard of it."""
        return self.reply is not None and self.reply.status < 300

    def __str__(self) -> str:
        """In words: for a status that was written also which one."""
        what = self.reply.object if self.is_write and self.reply and self.reply.body else {}
        name = self.name or what.get("metadata", {}).get("name", "")
        status = (
            what.get("status", {}) if self.resource.endswith("/status") and isinstance(what["status"], dict) else {}
        )
        reason = next((each["reason"] for each in status.get("conditions", ()) if each["type"] == "Ready"), "")
        return " ".join(filter(None, (self.verb, self.resource, name, status.get("phase", ""), reason)))


Forward = Callable[[], Awaitable[Reply]]


class Fault:
    """Does nothing; a fault overrides what it bends."""

    async def call(self, call: Call, forward: Forward) -> Reply:
        """Answer a call, usually by what `forward` returns; may raise `Dropped`."""
        del call
        return await forward()

    def stream(self, call: Call, events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Edit the events of a watch, one JSON document each; may raise `Dropped` or `Torn`."""
        del call
        return events


class _Loop:
    """The event loop of all proxies, in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True, name="proxies").start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=120)


_loop: _Loop | None = None
_lock = threading.Lock()


def _shared_loop() -> _Loop:
    global _loop  # noqa: PLW0603 - one for the process
    with _lock:
        _loop = _loop or _Loop()
        return _loop


class Proxy:
    """A proxy of one operator, from `start` to `stop`. `faults` may be changed at any time; the first one is the outermost."""

    def __init__(self, identity: Path) -> None:
        """`identity` is the operator's kubeconfig for the API server itself."""
        self._configuration = yaml.safe_load(identity.read_text())
        self._cluster = self._configuration["clusters"][0]["cluster"]
        self.faults: Sequence[Fault] = ()
        self.calls: list[Call] = []
        self.port = 0
        self._numbers = itertools.count()

    def start(self, kubeconfig: Path) -> Proxy:
        """Listen, and write the kubeconfig with which the operator comes here."""
        _shared_loop().run(self._start())
        server = {
            "name": self._configuration["clusters"][0]["name"],
            "cluster": {"server": f"http://127.0.0.1:{self.port}"},
        }
        kubeconfig.touch(mode=0o600)
        kubeconfig.write_text(yaml.safe_dump({**self._configuration, "clusters": [server]}))
        return self

    def stop(self) -> None:
        _shared_loop().run(self._stop())

    @property
    def writes(self) -> list[Call]:
        """The writes that the API server has accepted, in order."""
        return [call for call in self.calls if call.is_write and call.accepted]

    def attempts_since(self, moment: float) -> list[Call]:
        """Writes that were tried since a time (`time.monotonic`), whatever became of them."""
        return [call for call in self.calls if call.is_write and call.at >= moment]

    async def _start(self) -> None:
        authority = base64.b64decode(self._cluster["certificate-authority-data"]).decode()
        self._upstream = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=ssl.create_default_context(cadata=authority), limit=0),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
            auto_decompress=True,
            read_bufsize=LINE_BYTES,
        )
        self._runner = web.ServerRunner(
            web.Server(self._answer, access_log=None, handler_cancellation=True), shutdown_timeout=0.1
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def _stop(self) -> None:
        await self._runner.cleanup()
        await self._upstream.close()
        await asyncio.sleep(0.05)  # for the connections' transports to be closed in the loop

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        call = Call(next(self._numbers), request.method, request.raw_path, dict(request.headers), await request.read())
        self.calls.append(call)
        faults = tuple(self.faults)

        async def forward(position: int) -> Reply:
            if position < len(faults):
                return await faults[position].call(call, lambda: forward(position + 1))
            # What a client has sent before it died arrives all the same, and is known of.
            return await (self._forward(call) if call.is_watch else asyncio.shield(self._forward(call)))

        try:
            reply = await forward(0)
            if reply.events is None:
                return web.Response(status=reply.status, headers=_headers(reply.headers), body=reply.body)
            events = reply.events
            for fault in reversed(faults):
                events = fault.stream(call, events)
            return await self._stream(request, reply, events)
        except (
            Dropped,
            aiohttp.ClientError,
            OSError,
        ):  # the API server's own failures look like this to its clients too
            if request.transport:
                request.transport.abort()
            return web.Response()

    async def _forward(self, call: Call) -> Reply:
        headers = CIMultiDict({name: text for name, text in call.headers.items() if name.lower() not in _HOP_BY_HOP})
        url = f"{self._cluster['server']}{call.target}"
        response = await self._upstream.request(call.method, url, headers=headers, data=call.body or None)
        passed = {name: text for name, text in response.headers.items() if name.lower() not in _HOP_BY_HOP}
        if call.is_watch and response.status == 200:
            call.reply = Reply(response.status, passed, events=_lines(response))
            return call.reply
        async with response:
            call.reply = Reply(response.status, passed, await response.read())
            return call.reply

    async def _stream(self, request: web.BaseRequest, reply: Reply, events: AsyncIterator[bytes]) -> web.StreamResponse:
        response = web.StreamResponse(status=reply.status, headers=_headers(reply.headers))
        response.enable_chunked_encoding()
        await response.prepare(request)
        try:
            async for event in events:
                await response.write(event)
        except Torn as torn:
            if request.transport:
                request.transport.write(b"%x\r\n%s" % (len(torn.part) + 1000, torn.part))
                await asyncio.sleep(0.1)
            raise Dropped from torn
        return response


def _headers(headers: dict[str, str]) -> CIMultiDict[str]:
    return CIMultiDict(headers)


async def _lines(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    async with response:
        async for line in response.content:
            yield line
