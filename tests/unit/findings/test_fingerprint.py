"""Doubles after a second attempt, and losses by a fingerprint that is too coarse."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanplan.findings import fingerprint, identity
from tests.unit.runner.documents import finding

SAME = [
    {"timestamp": "2027-01-01T00:00:00Z"},
    {"request": "GET / HTTP/1.1", "response": "x", "curl-command": "curl"},
    {"ip": "192.0.2.9"},
]
OTHER = [
    {"template-id": "other"},
    {"type": "dns"},
    {"matcher-name": "second"},
    {"extractor-name": "second"},
    {"matched-at": "http://a.example/y"},
    {"host": "b.example"},
    {"port": "8443"},
    {"extracted-results": ["1.2.3"]},
    {"meta": {"username": "admin"}},
]


@pytest.mark.parametrize("change", SAME)
def test_what_differs_from_run_to_run_is_the_same_finding(change: dict[str, str]) -> None:
    assert fingerprint.of(finding(**change)) == fingerprint.of(finding())


@pytest.mark.parametrize("change", OTHER)
def test_what_identifies_a_finding_makes_it_another(change: dict[str, object]) -> None:
    assert fingerprint.of(finding(**change)) != fingerprint.of(finding())


def test_the_order_of_extracted_results_is_chance() -> None:
    one, two = finding(**{"extracted-results": ["a", "b"]}), finding(**{"extracted-results": ["b", "a"]})
    assert fingerprint.of(one) == fingerprint.of(two)


@given(st.binary(max_size=100), st.binary(max_size=100))
def test_every_line_has_one_and_different_rubbish_stays_different(one: bytes, two: bytes) -> None:
    one, two = one.rstrip(b"\n"), two.rstrip(b"\n")
    assert len(fingerprint.of(one)) == fingerprint.DIGEST_BYTES
    assert fingerprint.of(one) == fingerprint.of(one + b"\n")
    if one != two and not one.lstrip().startswith(b"{"):
        assert fingerprint.of(one) != fingerprint.of(two)


@given(
    st.dictionaries(
        st.sampled_from(["template-id", "meta", "extracted-results", "port"]),
        st.none() | st.integers() | st.text(max_size=4) | st.lists(st.text(max_size=3) | st.integers(), max_size=3),
    )
)
def test_members_of_any_type_have_a_fingerprint(members: dict[str, object]) -> None:
    assert fingerprint.of(finding(**members)) == fingerprint.of(finding(**members, timestamp="later"))


@given(
    st.dictionaries(
        st.sampled_from(["template-id", "meta", "extracted-results", "port", "type", "matcher-name"]),
        st.none() | st.integers() | st.text(max_size=4) | st.lists(st.text(max_size=3) | st.integers(), max_size=3),
    )
)
def test_a_line_that_was_read_has_the_same_fingerprint(members: dict[str, object]) -> None:
    """The history otherwise names a fingerprint that no report has."""
    line = finding(**members)
    assert fingerprint.of_event(identity.read(line)) == fingerprint.of(line)
