"""A template whose id or severity is misread is dropped, and its check silently not made."""

from __future__ import annotations

import pytest

from scanplan.runner.nuclei.choosing import definition

HTTP = b"http: [{method: GET, path: ['{{BaseURL}}/']}]\n"
IDS = [
    (b"id: a-1\ninfo: {}\n", "a-1"),
    (b"id: a # comment\r\ninfo: {}\r\n", "a"),
    (b"'id': \"a\"\ninfo: {}\n", "a"),
    (b"{id: a, info: {}}", "a"),
    (b'{"id": "a", "info": {}}', "a"),
    (b"\xef\xbb\xbfid: a\n", "a"),
    (b"id:\n  a\ninfo: {}\n", "a"),
    (b"id: >-\n  a\ninfo: {}\n", "a"),
    (b"id: a\ninfo:\n  name: [\n", "a"),  # broken, and still to be told about
    (b"info: {}\nid: a\n", "a"),
    (b"info:\n  description: |\n    id: b\nid: a\n", "a"),
    (b"---\nid: a\n---\nid: b\n", "a"),
    (b"id: a\ninfo: {x: !!timestamp foo}\n---\n{", "a"),
    (b"id: 'a'\ninfo: {x: !!timestamp foo, y: !!bool foo, z: !!int ''}\n", ""),
    (b"name: profile\nseverity: high\n", None),
    (b"ids: [a]\n", None),
    (b"", None),
    (b"\xff\xfe\x00id", None),
    (b"[" * 100_000 + b"id", None),
    (b"id: >\n a\nx: " + b"[" * 100_000, None),
    (b"- " * 100_000 + b"id", None),
]


@pytest.mark.parametrize(("content", "expected"), IDS)
def test_an_id_in_any_spelling(content: bytes, expected: str | None) -> None:
    assert definition.identifier(content) == expected


@pytest.mark.parametrize("value", ["!!timestamp foo", "!!bool foo", "!!int ''", "!!float ''", "0b_"])
def test_a_value_that_its_tag_does_not_allow_breaks_that_template_alone(value: str) -> None:
    """Lost otherwise: the scan, by one template among thousands."""
    assert definition.parse(f"id: a\ninfo: {{x: {value}}}\n".encode()) is None


SEVERITIES = [
    (b"info:\n  severity: high\n", "high"),
    (b"info:\n  severity: high # grave\n", None),
    (b"info: {severity: high}\n", None),
    (b"info:\n  severity: 'high'\n", None),
    (b"info:\n  severity: HIGH\n", None),
    (b"info:\n  description: |\n    severity: low\n  severity: high\n", None),
    (b"info:\n  name: x\n", None),
]


@pytest.mark.parametrize(("content", "expected"), SEVERITIES)
def test_a_severity_is_known_only_without_doubt(content: bytes, expected: str | None) -> None:
    assert definition.severity(content) == expected


def key(text: str) -> str | None:
    document = definition.parse(b"id: a\ninfo: {}\n" + text.encode())
    assert document is not None
    return definition.request_key(document)


def test_templates_with_the_same_request_have_the_same_key() -> None:
    one = "http: [{method: GET, path: ['{{BaseURL}}/'], matchers: [{type: word}], stop-at-first-match: true}]"
    other = "http:\n  - path:\n      - '{{BaseURL}}/'\n    method: get\n    extractors: [{type: regex}]\n"
    assert key(one) == key(other) is not None


@pytest.mark.parametrize(
    "text",
    [
        "http: [{method: POST, path: ['{{BaseURL}}/']}]",
        "http: [{method: GET, path: ['{{BaseURL}}/x']}]",
        "http: [{method: GET, path: ['{{BaseURL}}/'], headers: {A: b}}]",
        "http: [{method: GET, path: ['{{BaseURL}}/']}, {method: GET, path: ['{{BaseURL}}/']}]",
        "flow: http(1)\nhttp: [{method: GET, path: ['{{BaseURL}}/']}]",
        "tcp: [{host: ['{{Hostname}}']}]",
        "dns: [{name: '{{FQDN}}'}]",
    ],
)
def test_other_requests_have_another_key(text: str) -> None:
    assert key(text) != key("http: [{method: GET, path: ['{{BaseURL}}/']}]")
