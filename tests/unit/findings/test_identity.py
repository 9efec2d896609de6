"""One finding keeps one life: what an identity that is too fine would call new every night, and one too coarse would hide."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanplan.findings import aliases
from scanplan.findings.identity import LENGTH, identity
from tests.unit.runner.documents import finding

BASE = "http://a.example/x"

SAME_MEMBERS = [
    {"timestamp": "2027-01-01T00:00:00Z"},
    {"request": "GET / HTTP/1.1", "response": "x", "curl-command": "curl"},
    {"ip": "192.0.2.9"},
    {"extracted-results": ["1.2.4"]},
    {"meta": {"username": "admin"}},
    {"info": {"name": "A better name", "severity": "low"}},
    {"host": "http://a.example", "port": "80", "url": "http://a.example"},
]
OTHER_MEMBERS = [
    {"template-id": "other"},
    {"matcher-name": "second"},
    {"extractor-name": "second"},
    {"matched-at": "http://a.example/y"},
    {"matched-at": "http://a.example/X"},
    {"matched-at": "http://b.example/x"},
    {"matched-at": "http://a.example:8080/x"},
    {"matched-at": "https://a.example/x"},
]


@pytest.mark.parametrize("change", SAME_MEMBERS)
def test_what_differs_from_scan_to_scan_is_the_same_finding(change: dict[str, object]) -> None:
    assert identity(finding(**change)) == identity(finding())


@pytest.mark.parametrize("change", OTHER_MEMBERS)
def test_another_weakness_is_another_finding(change: dict[str, object]) -> None:
    assert identity(finding(**change)) != identity(finding())


SAME_PLACES = [
    ("http://a.example/x", "HTTP://A.EXAMPLE:80/x"),
    ("http://a.example/x", "http://a.example./x/"),
    ("http://a.example/x", "http://a.example//x"),
    ("http://a.example/x", "http://user:secret@a.example/x"),
    ("http://a.example/x", "http://a.example/x#top"),
    ("http://a.example", "http://a.example/"),
    ("http://a.example/~x", "http://a.example/%7Ex"),
    ("http://[::1]:8080/x", "http://[::1]:8080/x/"),
    ("http://bücher.example/x", "http://xn--bcher-kva.example/x"),
    ("http://a.example/orders/17", "http://a.example/orders/4"),
    ("http://a.example/orders/17.json", "http://a.example/orders/4.json"),
    ("http://a.example/order-10023/print", "http://a.example/order-10024/print"),
    ("http://a.example/user123456", "http://a.example/user234567"),
    (
        "http://a.example/u/9b2d1a9e-5c0f-4c5e-9d7a-2f6f7b1c0a11",
        "http://a.example/u/0F2D1A9E-5C0F-4C5E-9D7A-2F6F7B1C0A12",
    ),
    ("http://a.example/main.3f2a9c1b.js", "http://a.example/main.0d11e77f.js"),
    ("http://a.example/app-3f2a9c1.css", "http://a.example/app-9b2e4d7.css"),
    ("http://a.example/f/d41d8cd98f00b204e9800998ecf8427e", "http://a.example/f/0cc175b9c0f1b6a831c399e269772661"),
    ("http://a.example/2PQzXv7Yk3mN8rTb5cWd9fGh1jL", "http://a.example/3aBcDeFgHi4jKlMnOp5qRsTuVw6"),
    ("http://a.example/d4k3mq2vkc2s73f1a9hg", "http://a.example/d4k3mr2vkc2s73f1a9i0"),
    ("http://a.example/backup-2026-11-25.zip", "http://a.example/backup-2026-11-26.zip"),
    ("http://a.example/t/eyJhbGciOi.eyJzdWIiOi.c2ln", "http://a.example/t/eyJhbGciOj.eyJzdWIiOj.YWJj"),
    ("http://a.example/x", "http://a.example/x;jsessionid=0F4B"),
    ("http://a.example/x;jsessionid=0F4B/y", "http://a.example/x;jsessionid=11/y"),
    ("http://a.example/x", "http://a.example/x?PHPSESSID=u1v2"),
    ("http://a.example/x", "http://a.example/x?_=1732511111"),
    ("http://a.example/x?a=b", "http://a.example/x?a=b&cachebuster=9"),
    ("http://a.example/x?a=b", "http://a.example/x?utm_source=n&a=b"),
    ("http://a.example/x?a=b&c=d", "http://a.example/x?c=d&a=b"),
    ("http://a.example/x?v=1.2", "http://a.example/x?v=1.3"),
    ("http://a.example/x?id=1", "http://a.example/x?id=22"),
    ("http://a.example/x?q=<i>48151</i>", "http://a.example/x?q=%3Ci%3E62342%3C/i%3E"),
]
OTHER_PLACES = [
    ("http://a.example/x", "http://a.example/x/y"),
    ("http://a.example/api/v1/users", "http://a.example/api/v2/users"),
    ("http://a.example/x?id=1", "http://a.example/x?name=1"),
    ("http://a.example/x?page=admin", "http://a.example/x?page=login"),
    ("http://a.example/x?v=1", "http://a.example/x?t=1"),
    ("http://a.example/facade", "http://a.example/decade"),
    ("http://a.example/wp-content/plugins/one", "http://a.example/wp-content/plugins/two"),
    ("http://a.example/orders/17", "http://a.example/orders/list"),
    ("http://a.example:8080/x", "http://a.example:8081/x"),
    ("http://[::1]/x", "http://[::2]/x"),
    ("a.example:6379", "a.example:6380"),
    ("a.example:6379", "b.example:6379"),
]


@pytest.mark.parametrize(("one", "two"), SAME_PLACES)
def test_what_changes_by_itself_in_an_address_makes_no_new_finding(one: str, two: str) -> None:
    assert identity(finding(at=one)) == identity(finding(at=two))


@pytest.mark.parametrize(("one", "two"), OTHER_PLACES)
def test_two_places_are_two_findings(one: str, two: str) -> None:
    assert identity(finding(at=one)) != identity(finding(at=two))


def test_a_port_that_only_the_record_names_counts() -> None:
    assert identity(finding(at="a.example", port="22")) == identity(finding(at="a.example:22"))
    assert identity(finding(at="a.example", port="22")) != identity(finding(at="a.example", port="2222"))


def test_a_name_in_dns_has_no_port() -> None:
    assert identity(finding(at="a.example", type="dns", port="443")) == identity(finding(at="a.example.", type="dns"))


@pytest.mark.parametrize("names", [["old"], ["old", "between"], "old, between"])
def test_a_renamed_template_goes_on_with_its_findings(names: object) -> None:
    """Lost otherwise: who accepted the finding, and since when it is there."""
    renamed = {"name": "x", "severity": "high", "metadata": {"aliases": names}}
    assert identity(finding("new", info=renamed)) == identity(finding("old"))
    assert identity(finding("new")) != identity(finding("old"))


@pytest.mark.parametrize(("old", "new"), aliases.RENAMED.items())
def test_public_templates_that_were_renamed_are_known(old: str, new: str) -> None:
    assert identity(finding(old)) == identity(finding(new))
    assert new not in aliases.RENAMED, "a chain would need a loop"


@given(st.binary(max_size=100))
def test_every_line_has_an_identity(line: bytes) -> None:
    line = line.rstrip(b"\n")
    assert re.fullmatch(rf"[0-9a-f]{{{LENGTH}}}", identity(line))
    assert identity(line) == identity(line + b"\n")


@given(
    st.dictionaries(
        st.sampled_from(["template-id", "matcher-name", "host", "port", "url", "matched-at", "info", "type"]),
        st.none()
        | st.integers()
        | st.text(max_size=9)
        | st.lists(st.text(max_size=3), max_size=3)
        | st.just({"metadata": 1}),
    )
)
def test_members_of_any_type_have_an_identity(members: dict[str, object]) -> None:
    assert identity(finding(**members)) == identity(finding(**members, timestamp="later"))


@given(st.text(max_size=60))
def test_an_address_of_any_text_is_stable(text: str) -> None:
    assert identity(finding(at=text)) == identity(finding(at=text))


@pytest.mark.parametrize(
    "text", ["a" * 100_000, "-a" * 50_000, "1a" * 50_000, "%41" * 40_000, "/1" * 50_000, ";a=" * 40_000]
)
def test_a_hostile_address_costs_little(text: str) -> None:
    """A host could otherwise keep every merge busy with one line."""
    assert identity(finding(at=f"http://a.example/{text}"))
