"""Which finding falls under an exception: a table, and properties. Wrong here is a weakness that nobody sees, or noise for ever."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanplan.api.times import format_time
from scanplan.findings import exceptions, fingerprint, history
from scanplan.findings.exceptions import Exceptions, Match, ScanException, Suppressor, Traits
from scanplan.findings.identity import identity
from tests.unit.report import events

NOW = datetime(2026, 11, 27, 14, tzinfo=UTC)
LATER = NOW + timedelta(days=30)
FINDING = exceptions.traits(
    "CVE-2021-44228",
    "header",
    "https://shop.example.com:8443",
    "https://shop.example.com:8443/api/v1/login?x=1",
    "ab" * 16,
)
GIT = exceptions.traits("git-config", "", "app.example.com", "https://app.example.com/.git/config")
IPV6 = exceptions.traits("open-port", "", "2001:db8::1", "[2001:db8::1]:22")
NAMES = st.text(alphabet="ab/.*?[]-:(|", max_size=12)


def exception(name: str = "x", until: datetime = LATER, **match: Any) -> ScanException:
    lists = {key: tuple(values) for key, values in match.items()}
    return ScanException(name=name, match=Match(**lists), expires_at=until)


def body(name: str = "x", generation: int = 1, **spec: Any) -> dict[str, Any]:
    given = {"match": {"templates": ["git-config"]}, "reason": "a test", "expiresAt": "2026-12-24T00:00:00Z", **spec}
    return {"metadata": {"name": name, "generation": generation}, "spec": given}


@pytest.mark.parametrize(
    ("finding", "match", "expected"),
    [
        (FINDING, {"templates": ["CVE-2021-44228"]}, True),
        (FINDING, {"templates": ["cve-2021-44228"]}, True),
        (FINDING, {"templates": ["CVE-2021-*"]}, True),
        (FINDING, {"templates": ["CVE-2021-4422?"]}, True),
        (FINDING, {"templates": ["CVE-2021"]}, False),
        (FINDING, {"templates": ["CVE-2020-*", "*-44228"]}, True),
        (FINDING, {"hosts": ["shop.example.com"]}, True),
        (FINDING, {"hosts": ["SHOP.example.com"]}, True),
        (FINDING, {"hosts": ["*.example.com"]}, True),
        (FINDING, {"hosts": ["example.com"]}, False),
        (FINDING, {"hosts": ["shop.example.com:8443"]}, True),
        (FINDING, {"hosts": ["shop.example.com:443"]}, False),
        (FINDING, {"hosts": ["*:8443"]}, True),
        (FINDING, {"hosts": ["shop.example.co"]}, False),
        (FINDING, {"hosts": ["shop-example.com", "shopXexample.com"]}, False),
        (FINDING, {"paths": ["/api/v1/login"]}, True),
        (FINDING, {"paths": ["/api/*"]}, True),
        (FINDING, {"paths": ["/api"]}, False),
        (FINDING, {"paths": ["/API/*"]}, False),
        (FINDING, {"matchers": ["header"]}, True),
        (FINDING, {"matchers": ["body"]}, False),
        (FINDING, {"fingerprints": ["ab" * 16]}, True),
        (FINDING, {"fingerprints": ["cd" * 16]}, False),
        (FINDING, {"templates": ["CVE-*"], "hosts": ["app.example.com"]}, False),
        (FINDING, {"templates": ["CVE-*"], "hosts": ["shop.*"], "paths": ["/api/*"], "matchers": ["h*"]}, True),
        (FINDING, {"hosts": [".*"]}, False),
        (FINDING, {"templates": ["[A-Z]*"]}, False),
        (FINDING, {"templates": ["(CVE-2021-44228)"]}, False),
        (FINDING, {}, False),
        (GIT, {"hosts": ["app.example.com:443"]}, True),
        (GIT, {"matchers": ["*"]}, True),
        (GIT, {"paths": ["/.git/*"]}, True),
        (GIT, {"fingerprints": ["ab" * 16]}, False),
        (IPV6, {"hosts": ["2001:db8::1"]}, True),
        (IPV6, {"hosts": ["[2001:db8::1]:22"]}, True),
        (IPV6, {"hosts": ["[2001:db8::1]"]}, True),
        (IPV6, {"hosts": ["2001:db8::2"]}, False),
        (IPV6, {"paths": ["/"]}, True),
    ],
    ids=str,
)
def test_what_matches(finding: Traits, match: dict[str, Any], expected: bool) -> None:
    found = Exceptions([exception(**match)]).matching(finding, NOW)
    assert (found is not None) is expected


@pytest.mark.parametrize(
    ("until", "acts"),
    [(NOW + timedelta(seconds=1), True), (NOW, False), (NOW - timedelta(seconds=1), False)],
)
def test_the_clock_alone_ends_an_exception(until: datetime, acts: bool) -> None:
    """Lost otherwise: a risk that stays accepted because no job ran that would have taken the mark away."""
    prepared = Exceptions([exception(until=until, templates=["git-config"])])
    assert bool(prepared.matching(GIT, NOW)) is acts
    assert prepared.matching(GIT, until - timedelta(seconds=1))
    assert not prepared.matching(GIT, until)


@pytest.mark.parametrize(
    ("written", "found", "declared", "acts"),
    [
        ("CVE-2024-0713", "monitorr-file-upload", None, True),
        ("monitorr-file-upload", "CVE-2024-0713", None, True),
        ("ours-1", "ours-2", ["ours-1"], True),
        ("ours-2", "ours-2", ["ours-1"], True),
        ("ours-3", "ours-2", ["ours-1"], False),
    ],
)
def test_an_exception_lives_on_when_its_template_is_renamed(
    written: str, found: str, declared: object, acts: bool
) -> None:
    """Lost otherwise: an accepted risk that wakes people up, because somebody gave the check a better name."""
    event = {"template-id": found, "host": "h", "info": {"metadata": {"aliases": declared}}}
    match = Exceptions([exception(templates=[written])]).matching(exceptions.traits_of_event(event), NOW)
    assert bool(match) is acts


def test_of_several_the_one_that_lasts_longest_counts_in_any_order() -> None:
    """Lost otherwise: two readers that name different decisions for one finding."""
    several = [
        exception("b", templates=["git-config"]),
        exception("a", templates=["git-*"]),
        exception("z", LATER + timedelta(days=1), hosts=["*.example.com"]),
        exception("gone", NOW, hosts=["*.example.com"]),
        exception("other", LATER + timedelta(days=9), templates=["other"]),
    ]
    for order in (several, several[::-1], several[2:] + several[:2]):
        found = Exceptions(order).matching(GIT, NOW)
        assert found
        assert found.name == "z"
        assert [each.name for each in Exceptions(order).each(GIT, NOW)] == ["z", "a", "b"]


@given(pattern=NAMES, text=NAMES)
def test_a_glob_has_two_signs_and_no_others(pattern: str, text: str) -> None:
    """As a slow, plain matcher says. A pattern that means more than it says hides findings."""
    finding = Traits(("t",), text, "h", "", "/")
    found = Exceptions([exception(matchers=[pattern])]).matching(finding, NOW)
    assert bool(found) == _plain(pattern, text)


def _plain(pattern: str, text: str) -> bool:
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(_plain(pattern[1:], text[start:]) for start in range(len(text) + 1))
    return bool(text) and pattern[0] in {"?", text[0]} and _plain(pattern[1:], text[1:])


def test_no_pattern_takes_more_than_linear_time() -> None:
    """Lost otherwise: a merge that one tenant's exception holds up for hours."""
    hostile = exception(paths=["*a" * 400 + "b"], hosts=["*" * 250 + "x"])
    began = time.process_time()
    finding = exceptions.traits("t", "", "h" * 200, f"https://h/{'a' * 10_000}")
    assert not Exceptions([hostile]).matching(finding, NOW)
    assert time.process_time() - began < 30


@given(
    event=st.dictionaries(
        st.sampled_from(["template-id", "matcher-name", "host", "matched-at", "port", "url"]),
        st.none() | st.integers() | st.text(max_size=20) | st.lists(st.text(max_size=3), max_size=2),
    )
)
def test_no_finding_however_odd_ends_a_merge(event: dict[str, Any]) -> None:
    finding = exceptions.traits_of_event(event)
    assert Exceptions([exception(hosts=["*"], paths=["*"])]).matching(finding, NOW)


@pytest.mark.parametrize(
    "end", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "1999-12-31T00:00:00Z", "3000-01-01T00:00:00Z"]
)
def test_a_time_of_no_believable_year_is_refused(end: str) -> None:
    """Lost otherwise: the conditions of all exceptions after it, since in UTC it is no time at all."""
    with pytest.raises(ValueError, match=r"spec\.expiresAt is not in the years 2000 to 2999"):
        exceptions.read(body(expiresAt=end))


@pytest.mark.parametrize("end", ["2000-01-01T00:00:00+14:00", "2999-12-31T23:59:59-14:00"])
def test_any_other_time_is_read_and_told_in_utc(end: str) -> None:
    assert format_time(exceptions.read(body(expiresAt=end)).expires_at).endswith("Z")


@pytest.mark.parametrize(
    ("match", "any_finding"),
    [
        ({"templates": ["*"]}, True),
        ({"templates": ["a", "**"], "hosts": ["*"]}, True),
        ({"templates": ["*"], "hosts": ["*.example.com"]}, False),
        ({"fingerprints": ["ab" * 8]}, False),
        ({}, False),
    ],
    ids=str,
)
def test_a_match_that_excludes_nothing_is_known_before_any_scan(match: dict[str, Any], any_finding: bool) -> None:
    assert exception(**match).match.is_any is any_finding


URL = events.event()
PLACES = {
    "a URL": URL,
    "another port": events.event(
        **{"url": "https://app.example.com:8443", "matched-at": "https://app.example.com:8443/a"}
    ),
    "host and port": events.event(**{"type": "tcp", "port": "22", "url": None, "matched-at": "app.example.com:22"}),
    "a port apart": events.event(**{"type": "ssl", "port": "8443", "url": None, "matched-at": "app.example.com:8443"}),
    "IPv6": events.event(**{"host": "2001:db8::1", "port": "22", "url": None, "matched-at": "[2001:db8::1]:22"}),
    "a redirect": events.event(**{"matched-at": "https://other.example.com/login"}),
    "DNS": events.event(**{"type": "dns", "url": None, "matched-at": "app.example.com"}),
    "an extractor": events.event(**{"matcher-name": None, "extractor-name": "version"}),
}
MATCHES: list[dict[str, Any]] = [
    {"templates": ["GIT-*"]},
    {"templates": ["other"]},
    {"hosts": ["app.example.com"]},
    {"hosts": ["app.example.com:*"]},
    {"hosts": ["*:22"]},
    {"hosts": ["*:443"]},
    {"hosts": ["[2001:db8::1]:22"]},
    {"hosts": ["other.example.com"]},
    {"paths": ["/*"]},
    {"paths": ["/a"]},
    {"matchers": ["version"]},
]


@pytest.mark.parametrize("place", PLACES)
def test_a_line_of_a_history_falls_under_what_its_record_falls_under(place: str) -> None:
    """Lost otherwise: `diff` stops a pipeline for what `results` lets pass, or the other way round."""
    (line,) = events.lines([PLACES[place]])
    sighting = history.sighting(line)
    assert sighting is not None
    (lived,) = history.continued((), [history.record(sighting)], "2026-11-01", lambda _: True, history.Tally())
    (entry,) = history.entries([lived])
    own: list[dict[str, Any]] = [{"fingerprints": [mark]} for mark in (fingerprint.of(line).hex(), identity(line))]
    for match in MATCHES + own:
        suppressor = Suppressor([exception(**match)], NOW)
        assert suppressor.of_entry(entry) == suppressor(line), match
    assert Suppressor([exception(until=NOW, templates=["*"])], NOW).of_entry(entry) is None
