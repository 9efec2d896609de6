"""The page over HTTP: its policy, a login that only the page itself can do, and a stream that shows what changes."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest
from yarl import URL

from scanplan.web import browser, live, sessions
from tests.client.cluster import ControlPlane
from tests.client.laboratory import Laboratory
from tests.web.test_access import SCANPLANS, Reader, api, namespace

__all__ = ["api", "namespace"]

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("kubernetes_queue")]


async def login(api: aiohttp.ClientSession, token: str, **headers: str) -> aiohttp.ClientResponse:
    origin = str(api._base_url).rstrip("/")
    async with api.post("/login", data={"token": token}, headers={"Origin": origin, **headers}) as answer:
        await answer.read()
        return answer


async def next_event(stream: aiohttp.ClientResponse) -> tuple[str, dict[str, Any]]:
    """The next event of a stream; signs of life are passed over."""
    while True:
        kind = (await stream.content.readline()).decode().strip()
        if kind.startswith("event: "):
            data = (await stream.content.readline()).decode()
            return kind.removeprefix("event: "), json.loads(data.removeprefix("data: "))
        assert stream.content.at_eof() is False, "the stream has ended"


async def test_the_page_runs_nothing_but_its_own_files(api: aiohttp.ClientSession) -> None:
    for path in ("/", "/page.js", "/page.css"):
        async with api.get(path) as answer:
            text = await answer.text()
            assert answer.status == 200
            policy = answer.headers["Content-Security-Policy"]
            assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'")
            assert "unsafe" not in policy
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Referrer-Policy"] == "no-referrer"
            assert "innerHTML" not in text
            assert "style=" not in text


async def test_a_session_has_its_tokens_rights_and_ends(
    api: aiohttp.ClientSession, plane: ControlPlane, namespace: str, laboratory: Laboratory
) -> None:
    task_id = await asyncio.to_thread(laboratory.submit, laboratory.plan())
    jar = api.cookie_jar
    assert isinstance(jar, aiohttp.CookieJar)
    jar._unsafe = True  # addresses without names get no cookies else
    health = "/api/v1/queue/health"
    artifacts = f"/api/v1/tasks/{task_id}/artifacts"
    token = Reader(plane, namespace, "viewer", SCANPLANS).token()
    answer = await login(api, token)
    assert answer.status == 204
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert "Secure" not in cookie
    assert token not in cookie
    for path, code in ((health, 200), (f"{health}?namespace=default", 403), (artifacts, 403)):
        async with api.get(path) as got:
            assert got.status == code, path
    async with api.get(health, headers={"Authorization": "Bearer nonsense"}) as got:
        assert got.status == 401  # a cookie adds nothing to a token that is given
    async with api.post("/logout") as got:
        assert got.status == 403
    async with api.post("/logout", headers={"Origin": str(api._base_url).rstrip("/")}) as got:
        assert got.status == 204
    assert (await login(api, token, **{"X-Forwarded-Proto": "https"})).headers["Set-Cookie"].count("Secure") == 1
    jar.clear()
    jar.update_cookies({sessions.COOKIE: cookie.partition("=")[2].partition(";")[0]}, URL(str(api._base_url)))
    async with api.get(health) as got:
        assert got.status == 401


async def test_no_other_site_can_log_anybody_in(
    api: aiohttp.ClientSession, plane: ControlPlane, namespace: str
) -> None:
    token = Reader(plane, namespace, "viewer", SCANPLANS).token()
    for origin in ("https://evil.example", "null", ""):
        assert (await login(api, token, Origin=origin)).status == 403


async def test_guessing_is_slowed_down(api: aiohttp.ClientSession) -> None:
    codes = [(await login(api, f"guess-{number}")).status for number in range(sessions.FAILURES + 1)]
    assert codes == [401] * sessions.FAILURES + [429]


async def test_the_stream_shows_what_is_there_and_what_changes(
    api: aiohttp.ClientSession, plane: ControlPlane, namespace: str, laboratory: Laboratory
) -> None:
    first = await asyncio.to_thread(laboratory.submit, laboratory.plan())
    await asyncio.to_thread(laboratory.result, first)
    headers = {"Authorization": f"Bearer {Reader(plane, namespace, 'viewer', SCANPLANS).token()}"}
    for path, sent, code in (
        ("/api/v1/events", {}, 401),
        ("/api/v1/events?namespace=default", headers, 403),
        ("/api/v1/events?namespace=%2A", headers, 400),
    ):
        async with api.get(path, headers=sent) as answer:
            assert answer.status == code, path
    async with api.get("/api/v1/events", headers=headers) as stream:
        assert stream.content_type == "text/event-stream"
        kind, content = await next_event(stream)
        assert (kind, [plan["name"] for plan in content["plans"]]) == ("snapshot", [first])
        assert content["plans"][0]["phase"] == "Completed", content
        await asyncio.to_thread(plane.kubectl.in_namespace(namespace), "delete", "scanplan", first, "--wait=false")
        kind, content = await next_event(stream)
        while first not in content["gone"]:
            kind, content = await next_event(stream)
        assert kind == "change"


async def test_a_stream_ends_with_its_session_and_a_viewer_that_left_is_no_error(
    api: aiohttp.ClientSession,
    plane: ControlPlane,
    namespace: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Lost otherwise: a browser that was logged out would go on seeing plans."""
    monkeypatch.setattr(browser, "HEARTBEAT_SECONDS", 0.2)
    token = Reader(plane, namespace, "viewer", SCANPLANS).token()
    session = (await login(api, token)).cookies[sessions.COOKIE].value
    cookie = {"Cookie": f"{sessions.COOKIE}={session}"}
    async with api.get("/api/v1/events", headers=cookie) as left:
        await next_event(left)
    async with api.get("/api/v1/events", headers=cookie) as stream:
        assert (await next_event(stream))[0] == "snapshot"
        async with api.post("/logout", headers={**cookie, "Origin": str(api._base_url).rstrip("/")}) as answer:
            assert answer.status == 204
        kind, content = await next_event(stream)
        assert (kind, content["status"]) == ("refused", 401)
        assert not (await stream.content.read()).strip()
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_a_reader_that_does_not_keep_up_is_cut_and_takes_no_memory() -> None:
    viewer = live.Viewer()
    for number in range(1_000):
        viewer.offer(live.event("change", number))
        if viewer.events.qsize() == 1 and number:
            break
    assert viewer.events.get_nowait() is None
