"""The page in a real Chromium: a person logs in, sees a change without reloading, and no plan can run anything in it."""

from __future__ import annotations

import asyncio
import json
import os
from functools import partial
from pathlib import Path

import aiohttp
import pytest

from scanplan.client.cluster import cluster
from scanplan.runner.artifacts import publish
from scanplan.web.running import view
from tests.client.cluster import ControlPlane
from tests.client.laboratory import Laboratory
from tests.ecosystem import browser
from tests.kubectl import eventually
from tests.unit.report import events
from tests.web.readers import SCANPLANS, Reader
from tests.web.test_page import plan

pytestmark = [pytest.mark.ecosystem, pytest.mark.integration, pytest.mark.usefixtures("kubernetes_queue")]

MANY = 1_000
HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>"


def log_in(page: browser.Page, url: str, token: str) -> None:
    """As a person does who has no mouse."""
    page.call("Page.navigate", url=url)
    eventually(lambda: page.run("document.activeElement?.id") == "token")
    accessible(page)
    page.call("Input.insertText", text=token)
    page.press("Enter")
    eventually(lambda: page.run("document.getElementById('state').textContent.startsWith('Live')"))
    assert page.run("document.cookie") == "", "scripts can't read the session"


def accessible(page: browser.Page) -> None:
    if browser.AXE.exists():
        assert page.violations() == []


def shown(page: browser.Page, plans: str, within: float = 60) -> None:
    eventually(lambda: page.run("document.getElementById('count').textContent") == f"{plans} plans", within=within)


def look(url: str, plane: ControlPlane, namespace: str, scanned: str, folder: Path) -> None:
    token = Reader(plane, namespace, "viewer", SCANPLANS).token()
    kubectl = plane.kubectl.in_namespace(namespace)
    found = kubectl.get("scanplan", scanned)
    status = found["status"]
    for condition in status["conditions"]:
        condition["message"] = HOSTILE
    with browser.chromium(folder / "profile") as page:
        page.emulate()
        log_in(page, url, token)
        kubectl.apply(plan("nightly", "web-shop"))
        shown(page, "2 of 2")
        patch = json.dumps({"status": status})
        kubectl("patch", "scanplan", scanned, "--subresource=status", "--type=merge", "--patch", patch)
        by_keyboard(page, found["metadata"]["uid"], folder)
        kubectl.apply(*(plan(f"plan-{number:04}", f"project-{number % 7}") for number in range(MANY - 2)))
        shown(page, f"{MANY} of {MANY}", within=300)
        assert page.run("document.querySelectorAll('#rows tr').length") == 100
        page.run("document.getElementById('text').focus()")
        page.call("Input.insertText", text="plan-0042")
        shown(page, f"1 of {MANY}")
        page.run("document.getElementById('text').select()")
        page.call("Input.insertText", text="")
        eventually(lambda: page.run("document.querySelectorAll('#rows tr').length") == 100)
        page.emulate(dark=True)
        page.screenshot(folder / "many.png")
        page.run("document.getElementById('everywhere').click()")
        shown(page, f"{MANY} of {MANY}")  # it may list no others
        assert page.run("document.querySelector('#rows .of').textContent") == namespace
        page.run("document.getElementById('logout').click()")
        eventually(lambda: page.run("document.getElementById('login').hidden === false"))
        assert page.run("document.querySelectorAll('#rows tr').length") == 0
        assert page.dialogs == []
        assert [each for each in page.messages if "Content Security Policy" in each or "Error" in each] == []
        assert {each.split("/")[2] for each in page.requests.values() if each.startswith("http")} == {url.split("/")[2]}


def by_keyboard(page: browser.Page, uid: str, folder: Path) -> None:
    """Open a plan and close it; what it says is text, for everybody, on the screen and on paper."""
    page.tab_to(f"[data-plan='{uid}']")
    page.press("Enter")
    eventually(lambda: page.run("document.getElementById('detail').textContent.includes('onerror')"))
    assert page.run("document.activeElement.id") == "detail"
    page.screenshot(folder / "detail.png", whole=True)
    for screen in ({}, {"dark": True}, {"width": 420}):
        page.emulate(**screen)
        accessible(page)
    page.tab_to("#detail a", most=1)
    page.emulate(dark=True, media="print", width=794, height=1123)
    assert page.run("getComputedStyle(document.body).color") == "rgb(24, 32, 43)"
    assert page.run("document.documentElement.scrollWidth") <= 794
    page.screenshot(folder / "paper.png")
    page.emulate()
    page.press("Escape")
    assert page.run("document.activeElement.dataset.plan") == uid
    assert page.run("document.getElementById('detail').hidden")


async def test_a_person_sees_plans_live_and_hostile_ones_as_text(
    api: aiohttp.ClientSession, plane: ControlPlane, namespace: str, laboratory: Laboratory, tmp_path: Path
) -> None:
    scanned = await asyncio.to_thread(laboratory.submit, laboratory.plan())
    await asyncio.to_thread(laboratory.result, scanned)
    await asyncio.to_thread(look, str(api._base_url).rstrip("/"), plane, namespace, scanned, tmp_path)


async def test_a_person_sees_what_a_running_scan_has_found_so_far(
    api: aiohttp.ClientSession,
    plane: ControlPlane,
    namespace: str,
    laboratory: Laboratory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Lost otherwise: the hours between the first finding and the end; or trust, where one goes without a word."""
    # The package has read KUBECONFIG when it was imported.
    monkeypatch.setattr(view, "connect", partial(cluster.connect, kubeconfig=Path(os.environ["KUBECONFIG"])))
    scan = laboratory.slow_plan(milliseconds=600_000)
    task_id = await asyncio.to_thread(laboratory.submit, scan)
    await asyncio.to_thread(laboratory.until_something_is_found)
    token = Reader(plane, namespace, "analyst", SCANPLANS, f"{SCANPLANS}/artifacts").token()
    url = str(api._base_url).rstrip("/")
    await asyncio.to_thread(look_at_one_that_runs, url, token, laboratory, task_id, tmp_path)


def look_at_one_that_runs(url: str, token: str, laboratory: Laboratory, task_id: str, folder: Path) -> None:
    (shard,) = laboratory.data.glob("ui_projects/nightly/tasks/*/shards/*")
    hostile = events.event(**{"template-id": "hostile", "info": {"name": HOSTILE, "severity": "high"}})
    (shard / "attempt-9").mkdir()
    (shard / "attempt-9" / publish.GROWING).write_bytes(b"".join(events.lines([hostile])))
    with browser.chromium(folder / "profile") as page:

        def text(of: str) -> str:
            return str(page.run(f"document.getElementById('{of}').textContent"))

        page.emulate()
        log_in(page, url, token)
        shown(page, "1 of 1")
        page.run("document.querySelector('[data-plan]').click()")
        eventually(lambda: page.run("document.querySelector('[data-running]') !== null"))
        page.run("document.querySelector('[data-running]').click()")
        eventually(lambda: "first" in text("running-rows") and "onerror" in text("running-rows"))
        assert page.run("document.activeElement.id") == "running"
        assert "not final" in text("running-state")
        accessible(page)
        page.screenshot(folder / "running.png", whole=True)
        publish.set_aside(shard, 9)
        eventually(lambda: page.run("document.querySelectorAll('#running-rows .withdrawn').length") == 1)
        assert "1 were taken back" in text("running-state")
        laboratory.queue.cancel_task(task_id)
        eventually(lambda: text("running-state").startswith("The scan has ended"))
        assert page.dialogs == []
        assert [each for each in page.messages if "Content Security Policy" in each or "Error" in each] == []
