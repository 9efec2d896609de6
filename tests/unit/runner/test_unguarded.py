"""Templates that would go around the target guard."""

from __future__ import annotations

from pathlib import Path

import pytest

from scanplan.api.errors import NucleiBinaryError
from scanplan.runner.nuclei import templates, unguarded

HEAD = "id: {id}\ninfo: {{name: x, author: x, severity: info}}\n"
WHOIS = [
    'whois:\n  - query: "{{Host}}"\n',
    '"whois": [{query: "{{Host}}"}]\n',
    "'whois' :\n  - query: x\n",
    "? whois\n: [{query: x}]\n",
    'http:\n  - method: GET\n    path: ["{{BaseURL}}"]\nwhois:\n  - query: x\n',
]


def library(folder: Path, body: str) -> Path:
    (folder / "plain.yaml").write_text(HEAD.format(id="plain") + 'http:\n  - method: GET\n    path: ["{{BaseURL}}"]\n')
    (folder / "asks.yaml").write_text(HEAD.format(id="asks") + body)
    return folder


@pytest.mark.parametrize("body", WHOIS)
def test_they_are_left_out_of_a_folder_and_told(tmp_path: Path, body: str) -> None:
    selection = templates.select((), (), [library(tmp_path, body)])
    left, warning = unguarded.without(selection, ())
    assert [path.name for path in left.files] == ["plain.yaml"]
    assert [template.path.name for template, _ in left.left_out] == ["asks.yaml"]
    assert "asks.yaml" in warning
    assert "SCANPLAN_UNGUARDED_PROTOCOLS" in warning


def test_they_run_where_the_owner_says_so(tmp_path: Path) -> None:
    selection = templates.select((), (), [library(tmp_path, WHOIS[0])])
    assert unguarded.without(selection, ("whois",)) == (selection, "")


@pytest.mark.parametrize("wanted", ["asks", "asks.yaml"])
def test_a_plan_that_names_one_is_told_instead_of_scanned_without_it(tmp_path: Path, wanted: str) -> None:
    selection = templates.select((wanted, "plain"), (), [library(tmp_path, WHOIS[0])])
    with pytest.raises(NucleiBinaryError, match=r"asks\.yaml.*SCANPLAN_UNGUARDED_PROTOCOLS"):
        unguarded.without(selection, ())


@pytest.mark.parametrize("body", ["tags: whois\n", "http: []\n# see the whois\n", "x-whois: 1\n", "whoiser: 1\n"])
def test_templates_that_only_mention_it_stay(tmp_path: Path, body: str) -> None:
    selection = templates.select((), (), [library(tmp_path, body)])
    assert unguarded.without(selection, ())[1] == ""
