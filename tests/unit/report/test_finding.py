"""Reading findings: no report may lose one, or say something else of it than it says."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanplan.api.documents.words import Severity
from scanplan.findings import fingerprint
from scanplan.report import finding, page, sarif, spreadsheet
from scanplan.report.text import block, line, web_address
from tests.unit.report import events

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
MEMBERS = (
    "template-id",
    "info",
    "host",
    "matched-at",
    "matcher-name",
    "extracted-results",
    "request",
    "timestamp",
    "type",
)
INFORMATION = ("name", "severity", "description", "tags", "reference", "classification")
ANY_EVENT = st.fixed_dictionaries({}, optional=dict.fromkeys(MEMBERS, JSON)) | st.fixed_dictionaries(
    {"info": st.fixed_dictionaries({}, optional=dict.fromkeys(INFORMATION, JSON))}
)


def test_what_nuclei_says_is_what_the_reports_get() -> None:
    (found,) = events.read([events.event()])
    assert found.severity is Severity.MEDIUM
    assert found.name == "Exposed Git configuration"
    assert found.host == "app.example.com"
    assert found.cwe == ("cwe-527",)
    assert found.cve == ()
    assert found.cvss_score == 5.3
    assert found.fingerprint == fingerprint.of(events.lines([events.event()])[0]).hex()


@given(event=ANY_EVENT)
def test_no_event_however_odd_ends_a_report(event: dict[str, object]) -> None:
    found = events.read([event])
    scan = events.record(found)
    assert len(found) == 1
    assert b"".join(sarif.render(scan, found, "1")).count(b'"ruleIndex"') == 1
    assert b'class="finding"' in b"".join(page.render(scan, found, "1"))
    assert len(list(spreadsheet.render(found))) == 2


@pytest.mark.parametrize("broken", [b"{", b'{"info":', b"\xff\xfe", b"[" * 5_000, b"null", b'"text"', b"[1]"])
def test_a_line_that_cannot_be_read_is_still_a_finding(broken: bytes) -> None:
    (found,) = finding.read([broken, b"\n", b"  \n"])
    assert found.severity is Severity.UNKNOWN
    assert found.name


@pytest.mark.parametrize(
    "address",
    [
        *events.HOSTILE_ADDRESSES,
        "//x",
        "http://",
        "ftp://x/",
        "http://[",
        "https://a/\u202eb",
        "https://a/\0",
        "x" * 9_000,
        "",
    ],
)
def test_only_web_addresses_become_links(address: str) -> None:
    assert web_address(address) == ""


@pytest.mark.parametrize(
    ("address", "link"),
    [
        ("https://a.example/\"><b x='y z", "https://a.example/%22%3E%3Cb%20x='y%20z"),
        ("https://a.example/[x]?a[]=1%2F%zz#b#c", "https://a.example/%5Bx%5D?a%5B%5D=1%2F%25zz#b%23c"),
        ("http://[::1]:80/", "http://[::1]:80/"),
        (" https://a.example ", "https://a.example"),
    ],
)
def test_a_web_address_cannot_leave_its_attribute_and_is_a_valid_uri(address: str, link: str) -> None:
    assert web_address(address) == link


def test_whatever_is_not_seen_is_replaced() -> None:
    hidden = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
    every = "".join(c for c in map(chr, range(0x110000)) if unicodedata.category(c) in hidden and c not in "\n\t")
    assert set(block(every, len(every)).replace("\n", "")) == {"\N{REPLACEMENT CHARACTER}"}
    assert block("Größe ✓ 大きさ\n\tx", 100) == "Größe ✓ 大きさ\n\tx"


def test_terminal_escapes_and_overrides_are_seen_not_obeyed() -> None:
    assert line("\x1b[31mred\u202e\n\ttwo") == "\N{REPLACEMENT CHARACTER}[31mred\N{REPLACEMENT CHARACTER} two"
