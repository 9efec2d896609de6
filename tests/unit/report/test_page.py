"""The HTML report as text: hostile findings stay text, and the page says what is not in it."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from scanplan.findings.history import State
from scanplan.report import page
from tests.unit.report import events


class Outline(HTMLParser):
    """Elements and attributes that a browser would see."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.feed(content)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]


def test_nothing_that_a_host_says_becomes_markup() -> None:
    plain = Outline(events.rendered(events.read([events.event()])))
    hostile = Outline(events.rendered(events.read(events.hostile())))
    assert set(hostile.elements) - {"br", "h3"} <= set(plain.elements) | {"span"}
    assert hostile.elements.count("script") == hostile.elements.count("style") == 1
    assert not [name for name, _ in hostile.attributes if name.startswith("on") or name == "style"]
    assert all(
        value.startswith(("https://", "#", "data:,")) or value == "nuclei_output.ndjson"
        for name, value in hostile.attributes
        if name in {"href", "src", "action"}
    )


def test_an_incomplete_scan_says_what_it_did_not_scan() -> None:
    shards = [
        events.shard(0, endpoints=3, endpointsScanned=1, endpointsUnreachable=["http://down.example"]),
        events.failed(1, "OutOfMemory", "raise the limit"),
        events.shard(2, outcome="failed", endpoints=5, endpointsScanned=0),
    ]
    content = events.rendered([], events.record(complete=False, endpoints=13, endpointsUnreachable=1, shards=shards))
    assert "The scan is not complete: 2 of 3 shards did not finish." in content
    assert "1 of 13 endpoints did not answer" in content
    assert "http://down.example" in content
    assert "OutOfMemory: raise the limit" in content
    assert "never scanned" in content
    assert "Nothing was found in what is reported here." in content
    assert "Nothing was found." in events.rendered([])


def test_a_report_of_any_scan_stays_small_and_keeps_the_most_severe() -> None:
    mild = [
        events.event(**{"matched-at": f"https://m.example/{number}", "response": "<" * 9_000})
        for number in range(9_000)
    ]
    grave = events.event(
        **{"template-id": "the-grave-one", "info": {"severity": "critical"}, "response": "the-exchange"}
    )
    content = events.rendered(events.read([*mild, grave]))
    assert len(content.encode()) <= page.MAX_BYTES
    assert "the-grave-one" in content
    assert "the-exchange" in content
    assert "9,001 findings" in content
    shown = re.search(r"The ([\d,]+) most severe are shown", content)
    assert shown
    assert content.count('class="finding"') == int(shown[1].replace(",", "")) < 9_001


def test_what_is_new_since_the_last_run_is_marked() -> None:
    old, new = events.read([events.event(), events.event(**{"matched-at": "https://app.example.com/new"})])
    scan = events.record([old, new], history={"since": "2026-11-23T06:00:00Z", "resolved": {"low": 7}})
    lives = {old.identity: events.life(old), new.identity: events.life(new, state=State.NEW)}
    content = events.rendered([old, new], scan, life=lives.get)
    assert content.count('data-new=""') == 1
    assert "<b>7</b>resolved since 2026-11-23 06:00:00 UTC" in content
    assert "since 2026-11-20" in content
