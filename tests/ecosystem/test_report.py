"""The HTML report in a real Chromium: hostile findings do no harm, and people can use it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scanplan.findings.history import State
from tests.ecosystem import browser
from tests.kubectl import eventually
from tests.unit.report import events

pytestmark = pytest.mark.ecosystem


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[browser.Page]:
    if browser.program() is None:
        pytest.skip("no Chromium on this machine: apt install chromium")
    with browser.chromium(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def test_hostile_findings_run_nothing_and_ask_nobody_in_a_real_browser(chromium: browser.Page, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    findings = events.read(events.hostile())
    scan = events.record(findings, history={"since": "<b>x</b>"})
    lives = {each.identity: events.life(each, first_seen="<b>x</b>") for each in findings}
    file.write_text(events.rendered(findings, scan, life=lives.get))
    chromium.open(file)
    chromium.run("document.querySelectorAll('td button').forEach((button) => button.click())")
    chromium.run("new Promise((done) => setTimeout(done, 500))")
    assert chromium.run("document.querySelectorAll('tbody.open').length") == len(events.hostile())
    assert chromium.dialogs == []
    assert list(chromium.requests.values()) == [file.as_uri()]
    assert chromium.messages == []
    assert (
        chromium.run("document.querySelectorAll('iframe, img, base, input[name=q], [onload], [onerror]').length") == 0
    )
    assert chromium.run("document.title").startswith("nightly")


def test_the_policy_stops_what_would_get_through_an_escape(chromium: browser.Page, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    injected = (
        "<img src=https://evil.example/x onerror=alert(1)><script>alert(2)</script><style>body{color:red}</style>"
    )
    file.write_text(events.rendered(events.read([events.event()])).replace("<main>", f"<main>{injected}"))
    chromium.open(file)
    chromium.run("new Promise((done) => setTimeout(done, 500))")
    assert chromium.dialogs == []
    assert list(chromium.requests.values()) == [file.as_uri()]
    assert len(chromium.messages) >= 3
    assert chromium.run("getComputedStyle(document.body).color") != "rgb(255, 0, 0)"


def test_people_filter_and_open_findings(chromium: browser.Page, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    found = [events.event(**{"matched-at": f"https://h/{number}"}) for number in range(5)]
    found.append(events.event(info={"severity": "critical", "name": "Only one"}))
    file.write_text(events.rendered(events.read(found)))
    chromium.open(file)
    shown = "Array.from(document.querySelectorAll('tbody.finding')).filter((each) => each.offsetParent !== null).length"
    settled = "new Promise((done) => setTimeout(done, 200))"
    change = "document.forms[0].dispatchEvent(new Event('input', {bubbles: true}))"
    assert chromium.run(shown) == 6
    chromium.run(f"document.forms[0].elements.text.value = 'ONLY'; {change}; {settled}")
    assert chromium.run(shown) == 1
    assert chromium.run("document.querySelector('[role=status]').textContent") == "1 of 6 shown"
    chromium.run(
        f"document.forms[0].elements.text.value = ''; document.querySelector('[value=critical]').click(); {settled}"
    )
    assert chromium.run(shown) == 5
    assert chromium.run("getComputedStyle(document.querySelector('.more')).display") == "none"
    chromium.run("document.querySelector('[data-severity=medium] button').click()")
    assert chromium.run("document.querySelector('[data-severity=medium] .more').offsetHeight") > 50
    assert (
        chromium.run("document.querySelector('[data-severity=medium] button').getAttribute('aria-expanded')") == "true"
    )


def report_of_all_kinds() -> str:
    """With everything that a report can have."""
    severities = ("critical", "high", "medium", "low", "info", "unknown")
    long = "HTTP/1.1 200 OK\r\n" + "line\r\n" * 200
    found = events.read([events.event(info={"severity": name, "name": name}, response=long) for name in severities])
    down = {"endpoints": 3, "endpointsScanned": 1, "endpointsUnreachable": ["http://down.example"]}
    shards = [{"shard": 0, "outcome": "complete", **down}, events.failed(1, "OutOfMemory", "raise the limit")]
    history = {"since": "2026-11-23T06:00:00Z", "new": {"critical": 1}, "resolved": {"low": 3}}
    scan = events.record(found, complete=False, endpoints=13, endpointsUnreachable=1, shards=shards, history=history)
    lives = {each.identity: events.life(each) for each in found[1:]}
    lives[found[0].identity] = events.life(found[0], state=State.NEW)
    return events.rendered(found, scan, life=lives.get)


@pytest.mark.parametrize("screen", [{}, {"dark": True}, {"width": 420}], ids=["light", "dark", "narrow"])
def test_axe_finds_nothing(chromium: browser.Page, tmp_path: Path, screen: dict[str, Any]) -> None:
    if not browser.AXE.exists():
        pytest.skip("axe-core isn't installed: it takes npm")
    file = tmp_path / "report.html"
    file.write_text(report_of_all_kinds())
    chromium.emulate(**screen)
    chromium.open(file)
    chromium.run("document.querySelectorAll('td button').forEach((button) => button.click())")
    assert chromium.violations() == []


def test_a_keyboard_is_enough(chromium: browser.Page, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(report_of_all_kinds())
    chromium.emulate()
    chromium.open(file)
    chromium.tab_to("a.skip", most=1)
    chromium.press("Enter")
    chromium.tab_to("input[name=text]", most=1)
    chromium.call("Input.insertText", text="CRITICAL")
    shown = "[...document.querySelectorAll('tbody.finding')].filter((each) => each.offsetParent).length"
    eventually(lambda: chromium.run(shown) == 1)
    chromium.tab_to("td button")
    chromium.press("Enter")
    assert chromium.run("document.querySelectorAll('tbody.open').length") == 1
    chromium.tab_to(".more a", most=1)
    chromium.tab_to(".more pre")  # it scrolls
    chromium.press("Tab")
    chromium.open(file)
    chromium.tab_to("[value=critical]")
    chromium.press(" ")
    eventually(lambda: chromium.run(shown) == 5)


def test_paper_has_what_the_screen_shows_in_dark_ink(chromium: browser.Page, tmp_path: Path) -> None:
    """Lost otherwise: light text on white paper, half a response, a form that nobody can fill in."""
    file = tmp_path / "report.html"
    file.write_text(report_of_all_kinds())
    chromium.emulate(dark=True, media="print", width=794, height=1123)
    chromium.open(file)
    chromium.run("document.querySelector('td button').click()")
    assert chromium.run("getComputedStyle(document.body).color") == "rgb(27, 35, 48)"
    assert chromium.run("document.forms[0].offsetParent") is None
    assert chromium.run("document.querySelectorAll('tbody.finding button').length") == 6
    assert chromium.run("document.querySelector('.open pre:last-of-type').clientHeight") > 2_000
    assert chromium.run("document.documentElement.scrollWidth") <= 794
    chromium.pdf(tmp_path / "report.pdf")
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_text_is_readable_in_light_and_dark(chromium: browser.Page, tmp_path: Path, dark: bool) -> None:
    """WCAG AA wants a contrast of 4.5 for text."""
    file = tmp_path / "report.html"
    every = [events.event(info={"severity": name}) for name in ("critical", "high", "medium", "low", "info", "unknown")]
    file.write_text(events.rendered(events.read(every)))
    chromium.emulate(dark=dark)
    chromium.open(file)
    contrast = """
      (() => {
        const light = (colour) => {
          const [r, g, b] = colour.match(/[\\d.]+/g).map((v) => v / 255)
            .map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
          return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        const under = (node) => {
          const colour = getComputedStyle(node).backgroundColor;
          return colour === "rgba(0, 0, 0, 0)" ? under(node.parentElement) : colour;
        };
        return Array.from(document.querySelectorAll("h1, p, a, code, td button, .severity, .quiet, th, dt, legend")).map((node) => {
          const [a, b] = [light(getComputedStyle(node).color), light(under(node))].sort((x, y) => y - x);
          return [(a + 0.05) / (b + 0.05), node.className || node.tagName];
        }).filter(([ratio]) => ratio < 4.5);
      })()
    """
    assert chromium.run(contrast) == []
