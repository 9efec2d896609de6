"""What is read of answers: whole lines however long, and no more bytes than were allowed."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from kubernetes.aio.client import ApiClient, ApiException, Configuration

from scanplan.kube.api import Api
from scanplan.kube.failures import ResponseTooLarge
from scanplan.kube.paging import RESPONSE_BYTES
from tests.ports import free_port

LONG = 1_500_000
LINES = [b'{"a":1}', b"x" * LONG, b"", b"y" * 200_000, b"last"]


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async def lines(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        for line in LINES:
            await answer.write(line + b"\n")
        await answer.write(b"half a li")
        return answer

    async def page(_: web.Request) -> web.Response:
        answer = web.Response(body=b"x" * LONG)
        answer.enable_compression(web.ContentCoding.gzip)
        return answer

    async def refused(_: web.Request) -> web.Response:
        return web.json_response({"kind": "Status", "message": "no"}, status=403)

    application = web.Application()
    application.add_routes([web.get("/lines", lines), web.get("/page", page), web.get("/refused", refused)])
    runner = web.AppRunner(application)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    configuration = Configuration()
    configuration.host = f"http://127.0.0.1:{port}"
    requests.clear()
    async with ApiClient(configuration) as client:
        yield Api(client, lambda *request: requests.append(request))
    await runner.cleanup()


requests: list[tuple[str, str, int | None]] = []


async def test_lines_are_whole_however_long(api: Api) -> None:
    """Lost otherwise: a watch that breaks at the first plan of more than 128 KiB, again and again."""
    async with api.lines("/lines", [], 10) as lines:
        assert [line async for line in lines] == LINES
    assert requests == [("GET", "/lines", 200)]


async def test_an_answer_that_is_too_large_is_given_up(api: Api) -> None:
    """By what it takes in memory, not by what it took on the wire."""
    with pytest.raises(ResponseTooLarge):
        await api.fetch("/page", [], LONG // 2)
    assert len(await api.fetch("/page", [], LONG)) == LONG
    assert requests == [("GET", "/page", 200)] * 2


async def test_a_refusal_is_an_error_of_either(api: Api) -> None:
    with pytest.raises(ApiException, match="403"):
        await api.fetch("/refused", [], RESPONSE_BYTES)
    with pytest.raises(ApiException, match="403"):
        async with api.lines("/refused", [], 10):
            pass
    assert requests == [("GET", "/refused", 403)] * 2
