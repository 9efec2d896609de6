"""The findings view in a real Chromium: people find, sort, read and copy, and no finding can run anything."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.ecosystem import browser
from tests.kubectl import eventually
from tests.unit.report import events
from tests.web import scene
from tests.web.scene import Scene

pytestmark = pytest.mark.ecosystem

READY = "document.getElementById('main')?.childElementCount > 0 && document.readyState === 'complete'"
ROWS = "document.querySelectorAll('#findings tbody tr').length"
NAMES = "[...document.querySelectorAll('#findings tbody th a')].map((each) => each.textContent)"
FIRST = "document.querySelector('#findings tbody th a')"
SHOP = f"/findings?namespace={scene.NAMESPACE}&project=shop"


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Scene]:
    if browser.program() is None:
        pytest.skip("no Chromium on this machine: apt install chromium")
    async with scene.shop(tmp_path / "results") as made:
        yield made


def opened(page: browser.Page, url: str) -> None:
    page.call("Page.navigate", url=url)
    eventually(lambda: page.run(f"location.href === {url!r} && {READY}"))


def accessible(page: browser.Page) -> None:
    if browser.AXE.exists():
        assert page.violations() == []


async def looking(folder: Path, look: Callable[[browser.Page], None]) -> None:
    """Look at pages in a browser, while the loop goes on serving them."""

    def run() -> None:
        with browser.chromium(folder / "profile") as page:
            page.emulate()
            look(page)
            assert page.dialogs == []
            assert [each for each in page.messages if "Content Security Policy" in each or "Error" in each] == []

    await asyncio.to_thread(run)


async def test_people_filter_sort_and_share_what_they_see(shop: Scene, tmp_path: Path) -> None:
    def look(page: browser.Page) -> None:
        opened(page, f"{shop.url}/findings?namespace={scene.NAMESPACE}")
        projects = page.run("[...document.querySelectorAll('#projects tbody th')].map((each) => each.textContent)")
        assert projects == ["blog", "intranet", "shop"]
        page.tab_to("#projects tbody tr:last-child a")
        page.press("Enter")
        eventually(lambda: page.run(f"{ROWS} > 10"))
        everything = page.run(ROWS)
        page.tab_to("#text")
        page.call("Input.insertText", text="ADMIN.shop")
        page.tab_to("#severity-critical")
        page.press(" ")
        page.press("Enter")
        fewer = f"0 < {ROWS} && {ROWS} < {everything}"
        eventually(lambda: page.run(f"location.search.includes('severity=critical') && {fewer}"))
        address = page.run("location.href")
        shown = page.run("document.getElementById('findings').textContent")
        opened(page, f"{shop.url}/findings?namespace={scene.NAMESPACE}")
        opened(page, address)
        assert page.run("document.getElementById('findings').textContent") == shown
        assert page.run("document.getElementById('text').value") == "ADMIN.shop"
        assert page.run("document.getElementById('severity-critical').checked")
        opened(page, f"{shop.url}{SHOP}")
        assert page.run("document.querySelector('[aria-sort]').textContent") == "Severity"
        page.tab_to("th[aria-sort] + th a")
        page.press("Enter")
        eventually(lambda: page.run("document.querySelector('[aria-sort=ascending]')?.textContent === 'Finding'"))
        names = page.run(NAMES)
        assert names == sorted(names, key=str.casefold)

    await looking(tmp_path, look)


async def test_a_finding_is_read_and_accepted_by_keyboard(shop: Scene, tmp_path: Path) -> None:
    def look(page: browser.Page) -> None:
        opened(page, f"{shop.url}{SHOP}")
        page.tab_to("#findings tbody th a")
        page.press("Enter")
        eventually(lambda: page.run("document.getElementById('exception') !== null"))
        words = page.run("document.getElementById('main').textContent")
        for part in ("Update the component", "Request", "GET /", "HTTP/1.1 200 OK", "scanplan retest"):
            assert part in words
        exception = yaml.safe_load(page.run("document.getElementById('exception').textContent"))
        assert (exception["kind"], exception["spec"]["reason"]) == ("ScanException", "")
        page.tab_to("#main button")
        page.press("Enter")
        eventually(lambda: page.run("[...document.querySelectorAll('[role=status]')].at(-1).textContent !== ''"))
        assert page.run("getSelection().toString().includes('kind: ScanException')")

    await looking(tmp_path, look)


@pytest.mark.parametrize("screen", [{}, {"dark": True}, {"width": 420}], ids=["light", "dark", "narrow"])
async def test_axe_finds_nothing(shop: Scene, tmp_path: Path, screen: dict[str, Any]) -> None:
    def look(page: browser.Page) -> None:
        page.emulate(**screen)
        opened(page, f"{shop.url}/findings?namespace={scene.NAMESPACE}")
        accessible(page)
        opened(page, f"{shop.url}{SHOP}")
        eventually(lambda: page.run("document.getElementById('trend') !== null"))
        page.run("document.querySelectorAll('details').forEach((each) => (each.open = true))")
        accessible(page)
        assert page.run("document.documentElement.scrollWidth <= innerWidth"), "the page does not scroll sideways"
        opened(page, page.run(f"{FIRST}.href"))
        accessible(page)
        opened(page, f"{shop.url}/findings?namespace={scene.FORBIDDEN}&project=shop")
        accessible(page)

    await looking(tmp_path, look)


async def test_paper_has_the_list_in_dark_ink_without_controls(shop: Scene, tmp_path: Path) -> None:
    """Lost otherwise: light text on white paper, or a form that nobody can fill in."""

    def look(page: browser.Page) -> None:
        page.emulate(dark=True, media="print", width=794, height=1123)
        opened(page, f"{shop.url}{SHOP}")
        eventually(lambda: page.run("document.getElementById('trend') !== null"))
        assert page.run("getComputedStyle(document.body).color") == "rgb(24, 32, 43)"
        assert page.run("document.documentElement.scrollWidth") <= 794
        assert page.run("document.getElementById('filter').offsetParent") is None
        assert page.run(f"{FIRST}.offsetParent !== null")
        assert page.run("document.querySelector('h1').textContent") == "Findings of shop", "the trail is not on paper"
        page.pdf(tmp_path / "paper.pdf")
        assert (tmp_path / "paper.pdf").read_bytes().startswith(b"%PDF")

    await looking(tmp_path, look)


@pytest.mark.parametrize(
    ("query", "title", "advice"),
    [
        (f"namespace={scene.FORBIDDEN}&project=shop", "You may not read these findings", "kubectl create role"),
        (f"namespace={scene.UNLISTED}&project=shop", "Service Unavailable", "Try again"),
        (f"namespace={scene.NAMESPACE}&project=none", "Not Found", "scanplan findings"),
        (f"namespace={scene.NAMESPACE}&project=shop&after={'0' * 32}", "This page of the list is gone", "first page"),
        (f"namespace={scene.NAMESPACE}&project=shop&sort=x", "Bad Request", "Try again"),
        ("namespace=team-new", "No findings yet", "its first result"),
        (f"namespace={scene.NAMESPACE}&project=intranet", "Nothing to show", "Nothing is open"),
        (f"namespace={scene.NAMESPACE}&project=shop&text=nowhere", "Nothing to show", "Clear them"),
    ],
)
async def test_an_empty_or_failed_page_says_why_and_what_to_do(
    shop: Scene, tmp_path: Path, query: str, title: str, advice: str
) -> None:
    def look(page: browser.Page) -> None:
        opened(page, f"{shop.url}/findings?{query}")
        assert page.run("document.querySelector('#main h2').textContent") == title
        assert advice in page.run("document.getElementById('main').textContent")

    await looking(tmp_path, look)


async def test_pages_lead_on_and_back(tmp_path: Path) -> None:
    many = Scene(tmp_path / "results")
    places = [f"https://h.example/{one}/{other}" for one in "abcdefghij" for other in "klmnopqrst"]
    seen = [events.event(**{"matched-at": place}) for place in places]
    many.add("many", "nightly", [(datetime(2026, 11, 20, tzinfo=UTC), seen)])

    def look(page: browser.Page) -> None:
        opened(page, f"{many.url}/findings?namespace={scene.NAMESPACE}&project=many&limit=40")
        first = page.run(f"{FIRST}.href")
        for relation, count in (("next", 40), ("next", 20), ("prev", 40), ("prev", 40)):
            before = page.run(f"{FIRST}.href")
            page.tab_to(f"nav a[rel={relation}]", most=200)
            page.press("Enter")
            turned = f"{READY} && {ROWS} === {count} && {FIRST}.href !== {before!r}"
            eventually(functools.partial(page.run, turned))
        assert page.run(f"{FIRST}.href") == first

    async with many:
        await looking(tmp_path, look)


async def test_hostile_findings_run_nothing_and_ask_nobody(tmp_path: Path) -> None:
    """Lost otherwise: the reader's session, to a host that was scanned."""
    hostile = Scene(tmp_path / "results")
    hostile.add("shop", "nightly", [(datetime(2026, 11, 20, tzinfo=UTC), events.hostile())])

    def look(page: browser.Page) -> None:
        opened(page, f"{hostile.url}{SHOP}")
        links = page.run("[...document.querySelectorAll('#findings tbody th a')].map((each) => each.href)")
        assert len(links) >= len(events.HOSTILE)
        for address in links:
            opened(page, address)
            made = "document.querySelectorAll('#main :is(script, iframe, img, form, input, meta, link, base, style)').length"
            assert page.run(made) == 0
            obeys = "document.querySelectorAll('[onerror], [onload], [onfocus], [onmouseover], [style]').length"
            assert page.run(obeys) == 0
            outside = (
                "[...document.querySelectorAll('#main a')].filter((each) => !/^https?:$/.test(each.protocol)).length"
            )
            assert page.run(outside) == 0
        asked = {each.split("/")[2] for each in page.requests.values() if each.startswith("http")}
        assert asked == {hostile.url.split("/")[2]}

    async with hostile:
        await looking(tmp_path, look)
