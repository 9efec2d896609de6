"""A plan's `selection`: a template too many attacks, one too few is a check that nobody knows is missing."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePath
from typing import Any

import hypothesis
import pytest
import yaml
from hypothesis import strategies as st

from scanplan.api.documents.task import TemplateFilter
from scanplan.api.documents.words import Protocol, Severity
from scanplan.api.errors import NucleiBinaryError
from scanplan.runner.nuclei.choosing import selecting, templates
from scanplan.runner.nuclei.choosing.selecting import Choice, Facts

PLAIN = b"""id: CVE-2026-1
info:
  name: x
  author: pdTeam,me
  severity: high
  tags: cve,cve2026,RCE
http:
  - method: GET
"""


def said(
    name: str,
    tags: Iterable[str] = (),
    authors: Iterable[str] = (),
    protocols: Iterable[str] = (),
    severity: str = "unknown",
) -> Facts:
    return Facts(name, frozenset(tags), frozenset(authors), frozenset(protocols), severity)


SPELLINGS = {
    "plain": (PLAIN, said("cve-2026-1", {"cve", "cve2026", "rce"}, {"pdteam", "me"}, {"http"}, "high")),
    "lists": (
        b"id: a\ninfo:\n  author: [A, b]\n  severity: LOW\n  tags: [x, Y]\ndns:\n  - type: A\n",
        said("a", {"x", "y"}, {"a", "b"}, {"dns"}, "low"),
    ),
    "block lists": (
        b"id: a\ninfo:\n  tags:\n    - x\n    - y\nhttp:\n  - method: GET\n",
        said("a", {"x", "y"}, (), {"http"}),
    ),
    "flow": (b"{id: a, info: {tags: x}, requests: [{method: GET}]}", said("a", {"x"}, (), {"http"})),
    "JSON": (b'{"id": "a", "info": {"tags": "x, y"}, "tcp": [{"host": []}]}', said("a", {"x", "y"}, (), {"tcp"})),
    "the word in a description": (
        b"id: a\ninfo:\n  description: |\n    tags: no\n  tags: yes-it-is\nhttp:\n  - method: GET\n",
        said("a", {"yes-it-is"}, (), {"http"}),
    ),
    "tags of variables": (
        b"id: a\nvariables:\n  tags: no\ninfo:\n  name: x\nhttp:\n  - method: GET\n",
        said("a", (), (), {"http"}),
    ),
    "a comment behind": (
        b"id: a\ninfo:\n  tags: x # y\nhttp:\n  - method: GET\n",
        said("a", {"x"}, (), {"http"}),
    ),
    "Windows lines": (
        PLAIN.replace(b"\n", b"\r\n"),
        said("cve-2026-1", {"cve", "cve2026", "rce"}, {"pdteam", "me"}, {"http"}, "high"),
    ),
    "deeper indentation": (
        b"id: a\ninfo:\n    tags: x\nhttp:\n  - method: GET\n",
        said("a", {"x"}, (), {"http"}),
    ),
    "several protocols": (
        b"id: a\ninfo:\n  name: x\ndns:\n  - type: A\nhttp:\n  - method: GET\n",
        said("a", (), (), {"dns", "http"}),
    ),
    "workflow": (b"id: a\ninfo:\n  name: x\nworkflows:\n  - template: b\n", said("a", (), (), {"workflow"})),
    "an empty protocol": (b"id: a\ninfo:\n  name: x\nhttp: []\ndns:\n  - type: A\n", said("a", (), (), {"dns"})),
    "old names": (b"id: a\ninfo:\n  name: x\nnetwork:\n  - host: []\n", said("a", (), (), {"tcp"})),
    "broken": (b"id: a\ninfo:\n  tags: [\n", said("a")),
    "no text": (b"id: a\n\xff\xfe", said("a")),
}


@pytest.mark.parametrize(("content", "expected"), SPELLINGS.values(), ids=SPELLINGS)
def test_what_a_template_says_of_itself_in_any_spelling(content: bytes, expected: Facts) -> None:
    assert selecting.facts(expected.id, content) == expected


WORDS = st.text(st.sampled_from("aB0-_. ,'\"#:[]{}&*|>\n\t"), max_size=12)
INFOS = st.dictionaries(
    st.sampled_from(["tags", "author", "severity", "name", "description", "metatags"]),
    WORDS | st.lists(WORDS, max_size=3),
)


@hypothesis.given(
    INFOS, st.sampled_from(["http", "dns", "requests"]), st.sampled_from([None, True, False]), st.booleans()
)
def test_a_look_at_the_lines_sees_what_the_parser_sees(
    info: dict[str, Any], protocol: str, style: bool | None, variables: bool
) -> None:
    document: dict[str, Any] = {"id": "a", "info": info, protocol: [{"method": "GET"}]}
    if variables:
        document["variables"] = {"tags": "no", "author": "nobody"}
    content = yaml.safe_dump(document, default_flow_style=style, sort_keys=False).encode()
    assert selecting.facts("a", content) == selecting._parsed("a", content)


TEMPLATE = selecting.facts("CVE-2026-1", PLAIN)
PATH = PurePath("http/cves/2026/CVE-2026-1.yaml")
RUNS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "nothing said": ({}, {}),
    "a tag": ({"tags": ("cve", "other")}, {}),
    "an author": ({"authors": ("me",)}, {}),
    "an id": ({"ids": ("cve-2026-1",)}, {}),
    "ids by a glob": ({"ids": ("cve-2026-*",)}, {}),
    "a protocol": ({"protocols": (Protocol.HTTP, Protocol.DNS)}, {}),
    "an item of each list": ({"tags": ("rce",), "authors": ("pdteam",)}, {}),
    "other exclusions": (
        {},
        {
            "tags": ("dos",),
            "ids": ("cve-2025-*", "cve-2026-?2"),
            "severities": (Severity.INFO,),
            "paths": ("http/cve",),
        },
    ),
}
LEFT_OUT: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "another tag": ({"tags": ("cv",)}, {}, "none of the included tags"),
    "another author": ({"authors": ("pd",)}, {}, "none of the included authors"),
    "another id": ({"ids": ("cve-2026-",)}, {}, "none of the included ids"),
    "another protocol": ({"protocols": (Protocol.DNS,)}, {}, "none of the included protocols"),
    "one list without an item": ({"tags": ("cve",), "authors": ("you",)}, {}, "none of the included authors"),
    "an excluded tag": ({"tags": ("cve",)}, {"tags": ("rce",)}, "an excluded tag"),
    "an excluded author": ({}, {"authors": ("me",)}, "an excluded author"),
    "an excluded id": ({}, {"ids": ("*2026*",)}, "an excluded id"),
    "an excluded protocol": ({}, {"protocols": (Protocol.HTTP,)}, "an excluded protocol"),
    "an excluded severity": ({}, {"severities": (Severity.HIGH,)}, "an excluded severity"),
    "an excluded folder": ({}, {"paths": ("http/cves/",)}, "an excluded path"),
    "an excluded file": ({}, {"paths": ("http/cves/2026/CVE-2026-1.yaml",)}, "an excluded path"),
}


@pytest.mark.parametrize(("include", "exclude"), RUNS.values(), ids=RUNS)
def test_what_runs(include: dict[str, Any], exclude: dict[str, Any]) -> None:
    assert Choice(TemplateFilter(**include), TemplateFilter(**exclude)).left_out(TEMPLATE, PATH) == ""


@pytest.mark.parametrize(("include", "exclude", "why"), LEFT_OUT.values(), ids=LEFT_OUT)
def test_what_is_left_out(include: dict[str, Any], exclude: dict[str, Any], why: str) -> None:
    assert Choice(TemplateFilter(**include), TemplateFilter(**exclude)).left_out(TEMPLATE, PATH) == why


def test_a_selection_chooses_among_all_and_counts_the_rest(tmp_path: Path) -> None:
    for number, tag in enumerate(("cve", "cve", "tech"), 1):
        (tmp_path / f"{number}.yaml").write_text(
            f"id: t{number}\ninfo:\n  name: x\n  severity: low\n  tags: {tag}\nhttp:\n  - method: GET\n"
        )
    choice = Choice(TemplateFilter(tags=("cve",)), TemplateFilter(ids=("t2",)))
    selection = templates.select([], (), [tmp_path], choice)
    assert [template.id for template in selection.templates] == ["t1"]
    assert selection.filtered == {"none of the included tags": 1, "an excluded id": 1}
    with pytest.raises(NucleiBinaryError, match="left out are 3 with none of the included tags"):
        templates.select([], (), [tmp_path], Choice(TemplateFilter(tags=("no",)), TemplateFilter()))
