"""The page in a real Chromium: a person logs in, sees a change without reloading, and no plan can run anything in it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import aiohttp
import pytest

from tests.client.cluster import ControlPlane
from tests.client.laboratory import Laboratory
from tests.kubectl import eventually
from tests.report import browser
from tests.web.test_access import SCANPLANS, Reader, api, namespace
from tests.web.test_page import plan

__all__ = ["api", "namespace"]

pytestmark = [pytest.mark.ecosystem, pytest.mark.integration, pytest.mark.usefixtures("kubernetes_queue")]

MANY = 1_000
HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>"


def look(url: str, plane: ControlPlane, namespace: str, scanned: str, folder: Path) -> None:
    token = Reader(plane, namespace, "viewer", SCANPLANS).token()
    kubectl = plane.kubectl.in_namespace(namespace)
    found = kubectl.get("scanplan", scanned)
    uid, status = found["metadata"]["uid"], found["status"]
    for condition in status["conditions"]:
        condition["message"] = HOSTILE
    with browser.chromium(folder / "profile") as page:
        page.emulate()
        page.call("Page.navigate", url=url)
        eventually(lambda: page.run("document.getElementById('login')?.hidden === false"))
        page.screenshot(folder / "login.png")
        page.run(f"document.getElementById('token').value = {json.dumps(token)}")
        page.run("document.getElementById('login-form').requestSubmit()")
        eventually(lambda: page.run("document.getElementById('state').textContent.startsWith('Live')"))
        assert page.run("document.cookie") == "", "scripts can't read the session"
        shown = "document.getElementById('count').textContent"
        kubectl.apply(plan("nightly", "web-shop"))
        eventually(lambda: page.run(shown) == "2 of 2 plans")
        patch = json.dumps({"status": status})
        kubectl("patch", "scanplan", scanned, "--subresource=status", "--type=merge", "--patch", patch)
        page.run(f"document.querySelector('[data-plan=\"{uid}\"]').click()")
        eventually(lambda: page.run("document.getElementById('detail').textContent.includes('onerror')"))
        page.screenshot(folder / "detail.png")
        kubectl.apply(*(plan(f"plan-{number:04}", f"project-{number % 7}") for number in range(MANY - 2)))
        eventually(lambda: page.run(shown) == f"{MANY} of {MANY} plans", within=300)
        assert page.run("document.querySelectorAll('#rows tr').length") == 100
        page.run(
            "const t = document.getElementById('text'); t.value = 'plan-0042'; t.dispatchEvent(new Event('input', {bubbles: true}))"
        )
        eventually(lambda: page.run(shown) == f"1 of {MANY} plans")
        page.run("t.value = ''; t.dispatchEvent(new Event('input', {bubbles: true}))")
        eventually(lambda: page.run("document.querySelectorAll('#rows tr').length") == 100)
        page.emulate(dark=True)
        page.screenshot(folder / "many.png")
        unnamed = "[...document.querySelectorAll('input, select')].filter((each) => !each.labels.length).length"
        assert page.run(unnamed) == 0, "every field has a label"
        page.run("document.getElementById('logout').click()")
        eventually(lambda: page.run("document.getElementById('login').hidden === false"))
        assert page.run("document.querySelectorAll('#rows tr').length") == 0
        assert page.dialogs == []
        assert [each for each in page.messages if "Content Security Policy" in each or "Error" in each] == []
        assert {each.split("/")[2] for each in page.requests.values() if each.startswith("http")} == {url.split("/")[2]}


async def test_a_person_sees_plans_live_and_hostile_ones_as_text(
    api: aiohttp.ClientSession, plane: ControlPlane, namespace: str, laboratory: Laboratory, tmp_path: Path
) -> None:
    scanned = await asyncio.to_thread(laboratory.submit, laboratory.plan())
    await asyncio.to_thread(laboratory.result, scanned)
    await asyncio.to_thread(look, str(api._base_url).rstrip("/"), plane, namespace, scanned, tmp_path)
