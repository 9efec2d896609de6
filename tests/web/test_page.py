"""The page over HTTP: its policy, a login that only the page itself can do, and a stream that shows what changes."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import jsonschema
import pytest
from yarl import URL

from scanplan.web.api import openapi, sessions, throttle
from scanplan.web.ui import browser, feeds, streams
from tests.client.cluster import ControlPlane
from tests.client.laboratory import Laboratory
from tests.integration import audit
from tests.kubectl import Manifest
from tests.web.conftest import StartApi
from tests.web.readers import SCANPLANS, Reader, code_of

DOCUMENT = {"components": openapi.document()["components"]}

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("kubernetes_queue")]


def plan(name: str, project: str = "web-shop") -> Manifest:
    """One that waits: this is about the page."""
    return {
        "apiVersion": "scanplan.dev/v1alpha1",
        "kind": "ScanPlan",
        "metadata": {"name": name},
        "spec": {
            "endpoints": [f"http://{name}.example"],
            "templates": ["http/"],
            "projectId": project,
            "suspend": True,
        },
    }


async def login(api: aiohttp.ClientSession, token: str, **headers: str) -> aiohttp.ClientResponse:
    origin = str(api._base_url).rstrip("/")
    async with api.post("/login", data={"token": token}, headers={"Origin": origin, **headers}) as answer:
        await answer.read()
        return answer


async def next_event(stream: aiohttp.ClientResponse) -> tuple[str, dict[str, Any]]:
    """The next event of a stream, held against the API's document; signs of life are passed over."""
    while True:
        kind = (await stream.content.readline()).decode().strip()
        if kind.startswith("event: "):
            data = json.loads((await stream.content.readline()).decode().removeprefix("data: "))
            kind = kind.removeprefix("event: ")
            if kind in {"snapshot", "change"}:
                jsonschema.validate(data, {**DOCUMENT, "$ref": f"#/components/schemas/Plans{kind.capitalize()}"})
            return kind, data
        assert stream.content.at_eof() is False, "the stream has ended"


async def test_the_page_runs_nothing_but_its_own_files(api: aiohttp.ClientSession) -> None:
    for path in browser._FILES:
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
    codes = [(await login(api, f"guess-{number}")).status for number in range(throttle.FAILURES + 1)]
    assert codes == [401] * throttle.FAILURES + [429]


async def test_a_guesser_behind_the_same_proxy_locks_nobody_out(
    api: aiohttp.ClientSession, plane: ControlPlane, namespace: str
) -> None:
    """Lost otherwise: ten wrong tokens a minute keep out everybody who comes from the same address."""
    token = Reader(plane, namespace, "viewer", SCANPLANS).token()
    guesses = [f"{token[:-20]}{number:020}" for number in range(2 * throttle.FAILURES)]
    codes = [(await login(api, guess)).status for guess in guesses]
    assert set(codes) == {401, 429}
    assert (await login(api, token)).status == 204
    assert await code_of(api, "/api/v1/queue/health", token) == 200


async def test_the_stream_shows_what_is_there_and_what_changes(
    api: aiohttp.ClientSession, plane: ControlPlane, namespace: str, laboratory: Laboratory
) -> None:
    first = await asyncio.to_thread(laboratory.submit, laboratory.plan())
    await asyncio.to_thread(laboratory.result, first)
    headers = {"Authorization": f"Bearer {Reader(plane, namespace, 'viewer', SCANPLANS).token()}"}
    for path, sent, code in (
        ("/api/v1/events", {}, 401),
        ("/api/v1/events?namespace=default", headers, 403),
        ("/api/v1/events?namespace=-", headers, 400),
    ):
        async with api.get(path, headers=sent) as answer:
            assert answer.status == code, path
    async with api.get("/api/v1/events", headers=headers) as stream:
        assert stream.content_type == "text/event-stream"
        kind, content = await next_event(stream)
        assert (kind, [plan["name"] for plan in content["plans"]]) == ("snapshot", [first])
        assert content["plans"][0]["phase"] == "Completed", content
        await asyncio.to_thread(plane.kubectl.in_namespace(namespace).delete, "scanplan", first)
        uid, changed = content["plans"][0]["uid"], content
        while uid not in changed.get("gone", ()):
            kind, changed = await next_event(stream)
        assert kind == "change"


async def test_a_plan_outside_of_its_windows_says_when_it_goes_on(
    api: aiohttp.ClientSession, plane: ControlPlane, namespace: str
) -> None:
    """Lost otherwise: whether a plan that stands still waits for the night, or for somebody."""
    opens = datetime.now(UTC) + timedelta(hours=4)
    times = {"from": f"{opens:%H:%M}", "to": f"{opens + timedelta(hours=1):%H:%M}"}
    waiting = plan("waiting")
    waiting["spec"] |= {"suspend": False, "windows": [times]}
    kubectl = plane.kubectl.in_namespace(namespace)
    await asyncio.to_thread(kubectl.apply, waiting)
    headers = {"Authorization": f"Bearer {Reader(plane, namespace, 'viewer', SCANPLANS).token()}"}
    async with api.get("/api/v1/events", headers=headers) as stream:
        row: dict[str, Any] = {}
        while row.get("phase") != "Suspended":
            _, content = await next_event(stream)
            row = next((each for each in content["plans"] if each["name"] == "waiting"), row)
    assert row["reason"] == "OutsideWindow"
    (ready,) = [each for each in row["conditions"] if each["type"] == "Ready"]
    assert ready["status"] == "False"
    said = f"it will start at {opens:%Y-%m-%dT%H:%M}:00Z ({opens:%a %H:%M} in Etc/UTC)"
    assert said in ready["message"]
    assert "OutsideWindow" in await asyncio.to_thread(kubectl, "get", "scanplan", "waiting")
    for more in ([], ["-o", "wide"]):
        done = await asyncio.create_subprocess_exec(
            *[sys.executable, "-m", "scanplan", "get", "waiting", "-n", namespace, *more],
            env={"KUBECONFIG": str(plane.kubectl.kubeconfig), "HOME": "/nonexistent", "COLUMNS": "250"},
            stdout=asyncio.subprocess.PIPE,
        )
        shown = (await done.communicate())[0].decode()
        assert "OutsideWindow" in shown
        assert (said in shown) == bool(more), shown


async def test_all_namespaces_are_those_that_the_viewer_may_list(
    api: aiohttp.ClientSession, plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lost otherwise: one team's findings in another's browser, or a page for each of many namespaces."""
    monkeypatch.setattr(streams, "HEARTBEAT_SECONDS", 0.01)  # shorter than it takes to ask about each namespace
    others = plane.namespace(f"{namespace}-others")
    for where, name in ((namespace, "mine"), (others, "theirs")):
        await asyncio.to_thread(plane.kubectl.in_namespace(where).apply, plan(name))
    one, all_of = Reader(plane, namespace, "one", SCANPLANS), Reader(plane, namespace, "all")
    grant = ("--clusterrole=scanplan-api", f"--serviceaccount={namespace}:all")
    plane.kubectl("create", "clusterrolebinding", f"{namespace}-all", *grant)
    everything = "/api/v1/events?namespace=*"
    async with api.get(everything) as answer:
        assert answer.status == 401

    def named(event: dict[str, Any]) -> set[str]:
        return {row["name"] for row in event["plans"] if row["namespace"] in {namespace, others}}

    async with (
        api.get(everything, headers={"Authorization": f"Bearer {one.token()}"}) as narrow,
        api.get(everything, headers={"Authorization": f"Bearer {all_of.token()}"}) as wide,
    ):
        assert named((await next_event(narrow))[1]) == {"mine"}
        assert named((await next_event(wide))[1]) == {"mine", "theirs"}
        for where, name in ((others, "theirs-later"), (namespace, "mine-later")):
            await asyncio.to_thread(plane.kubectl.in_namespace(where).apply, plan(name))
        seen: set[str] = set()
        while "mine-later" not in seen:
            seen |= named((await next_event(narrow))[1])
        assert not {name for name in seen if name.startswith("theirs")}
        role = (f"rolebinding/{one.name}", "--namespace", namespace)
        await asyncio.to_thread(plane.kubectl, "delete", *role)
        content: dict[str, Any] = {}
        while content.get("plans") != []:
            content = (await next_event(narrow))[1]


async def test_all_namespaces_are_those_that_the_api_was_given(
    api: aiohttp.ClientSession, plane: ControlPlane, namespace: str, start_api: StartApi
) -> None:
    others = plane.namespace(f"{namespace}-others")
    for where in (namespace, others):
        await asyncio.to_thread(plane.kubectl.in_namespace(where).apply, plan("nightly"))
    assert api  # with its rights to the whole cluster
    of_one = await start_api(namespaces=namespace)
    async with of_one.get("/api/v1/events?namespace=*") as stream:
        assert [row["namespace"] for row in (await next_event(stream))[1]["plans"]] == [namespace]


async def test_an_api_that_may_not_watch_says_so_and_goes_on_when_it_may(
    api: aiohttp.ClientSession,
    plane: ControlPlane,
    namespace: str,
    monkeypatch: pytest.MonkeyPatch,
    start_api: StartApi,
) -> None:
    """Lost otherwise: an empty page, as if nothing had ever been scanned."""
    assert api
    monkeypatch.setattr(feeds, "PAUSE_SECONDS", 0.2)
    await asyncio.to_thread(plane.kubectl.in_namespace(namespace).apply, plan("nightly"))
    account = Reader(plane, namespace, "half")
    monkeypatch.setenv("KUBECONFIG", str(plane.kubeconfig_of(namespace, account.name)))
    half = await start_api()
    async with half.get("/api/v1/events") as stream:
        kind, content = await next_event(stream)
        assert (kind, content["detail"]) == ("trouble", f"this API may not watch plans in namespace {namespace}")
        kubectl = plane.kubectl.in_namespace(namespace)
        await asyncio.to_thread(kubectl.allow, "half", "half", "list,watch", SCANPLANS)
        while kind != "snapshot":
            kind, content = await next_event(stream)
        assert [row["name"] for row in content["plans"]] == ["nightly"]


async def test_many_viewers_cost_the_api_server_one_watch(
    api: aiohttp.ClientSession, plane: ControlPlane, namespace: str
) -> None:
    headers = {"Authorization": f"Bearer {Reader(plane, namespace, 'viewer', SCANPLANS).token()}"}

    def asked() -> list[str]:
        found = audit.requests(plane.audit_log, namespace, "system:serviceaccount:scanplan-system:scanplan-api")
        return [each.verb for each in found if each.resource == "scanplans" and each.verb != "get"]

    async with AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(api.get("/api/v1/events", headers=headers)) for _ in range(20)]
        for stream in streams:
            assert (await next_event(stream))[0] == "snapshot"
        await asyncio.to_thread(plane.kubectl.in_namespace(namespace).apply, plan("new"))
        for stream in streams:
            assert [row["name"] for row in (await next_event(stream))[1]["plans"]] == ["new"]
    assert asked() == ["list", "watch"]


async def test_a_stream_ends_with_its_session_and_a_viewer_that_left_is_no_error(
    api: aiohttp.ClientSession,
    plane: ControlPlane,
    namespace: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Lost otherwise: a browser that was logged out would go on seeing plans."""
    monkeypatch.setattr(streams, "HEARTBEAT_SECONDS", 0.2)
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
