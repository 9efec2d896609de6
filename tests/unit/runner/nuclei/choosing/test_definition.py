"""A template whose id or severity is misread is dropped, and its check silently not made."""

from __future__ import annotations

import datetime
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from scanplan.runner.nuclei.choosing import definition, index, selecting, unguarded

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


def test_payloads_are_counted_from_files_of_the_source(tmp_path: Path) -> None:
    root = tmp_path / "source"
    (root / "helpers").mkdir(parents=True)
    (root / "http").mkdir()
    (root / "helpers/words.txt").write_text("x\n" * 30)
    (root / "http/own.txt").write_text("x\n" * 20)
    (root / "linked.txt").symlink_to("helpers/words.txt")
    (tmp_path / "outside.txt").write_text("x\n" * 50)
    (root / "out.txt").symlink_to("../outside.txt")
    os.mkfifo(root / "pipe.txt")
    (root / "large.txt").write_bytes(b"\n" * (17 << 20))
    sizes = {
        "helpers/words.txt": 30,
        "own.txt": 20,
        "linked.txt": 30,
        str(root / "linked.txt"): 30,
        "out.txt": 1,
        "../../outside.txt": 1,
        "/dev/zero": 1,
        "pipe.txt": 1,
        "helpers": 1,
        "a\nb\nc\n": 3,
        "x" * 5000: 1,
        "large.txt": 16 << 20,
    }
    counted = {}
    for payload in sizes:
        content = yaml.safe_dump({"id": "a", "http": [{"path": ["{{BaseURL}}/"], "payloads": {"p": payload}}]})
        counted[payload] = definition.requests(content.encode(), root / "http/a.yaml", root)
    assert counted == sizes


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.binary(max_size=4),
    st.dates(),
    st.datetimes(),
)
WORDS = st.sampled_from(
    [*definition.PROTOCOLS, "id", "info", "metadata", "aliases", "tags", "payloads", "flow", "headers"]
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS | SCALARS, inner, max_size=4),
    max_leaves=12,
)
LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 60))


def read(content: bytes) -> None:
    """Read a file in every way that a scan does."""
    document = definition.parse(content)
    if document is not None:
        definition.request_key(document)
        definition.kind(document)
        definition.stated_severity(document)
    identifier = definition.identifier(content)
    definition.severity(content)
    selecting.facts(identifier or "", content)
    unguarded.is_refused(content)
    index.encode([index.entry(Path("/t/a.yaml"), Path("/t"), content, identifier or "")])


@given(st.dictionaries(WORDS | SCALARS, VALUES, max_size=6))
@example({"http": [{"headers": {404: "x", "Accept": "y"}}]})
@example({"http": [{"headers": {True: "x", "Accept": "y"}}]})
@example({"http": 1, "x": "payloads"})
@example({"http": {"payloads": 1}})
@example({"id": datetime.date(2026, 11, 24), "info": [1]})
def test_any_yaml_can_be_read(document: dict[Any, Any]) -> None:
    """Lost otherwise: all findings of a scan, for one odd template among thousands."""
    read(yaml.safe_dump(document, allow_unicode=True).encode(errors="replace"))


@pytest.mark.parametrize(
    "text",
    [
        "id: !!int ''",
        "id: !!bool x",
        "id: !!timestamp x",
        "id: 0x" + "f" * 5000,
        "0x" + "f" * 5000 + ": id",
        "id: 0001-01-01T00:00:00+99:00",
        "id: !!set {payloads, aliases}",
        "id: !!omap [payloads: 1]",
        "id: &a [*a]",
        "id: a\nhttp: &a [{x: *a, payloads: *a}]",
        f"id: a\n{LAUGHS}http: [{{x: *a59, payloads: *a59}}]\nx: whois",
        '{"id": "a", "http": ' + '[{"payloads":' * 400 + "1" + "}]" * 400 + "}",
    ],
)
def test_no_spelling_of_a_value_is_too_much_to_read(text: str) -> None:
    """Lost otherwise: as above; or a scan that takes all memory and time for a few lines."""
    read(text.encode())


@given(st.binary(max_size=60) | st.text(alphabet="id:whos &*!?-[]{}<>|\"'\n\\", max_size=40).map(str.encode))
def test_any_bytes_can_be_read(content: bytes) -> None:
    read(b"id: a\nx: whois payloads aliases\n" + content)
    read(content)
