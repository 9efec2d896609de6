"""Templates that would go around the target guard."""

from __future__ import annotations

from pathlib import Path

import pytest

from scanplan.api.errors import NucleiBinaryError
from scanplan.runner.nuclei.choosing import chosen, templates, unguarded
from scanplan.runner.nuclei.choosing.profiles import Profile

HEAD = "id: {id}\ninfo: {{name: x, author: x, severity: info}}\n"
WHOIS = [
    'whois:\n  - query: "{{Host}}"\n',
    '"whois": [{query: "{{Host}}"}]\n',
    "'whois' :\n  - query: x\n",
    "? whois\n: [{query: x}]\n",
    'http:\n  - method: GET\n    path: ["{{BaseURL}}"]\nwhois:\n  - query: x\n',
]

HTTP = 'http:\n  - method: GET\n    path: ["{{BaseURL}}"]\n'
ASKS = "\n  - query: x\n"
HIDDEN = {
    "hexadecimal escape": HTTP + '"\\x77hois":' + ASKS,
    "Unicode escape": HTTP + '"\\u0077hois":' + ASKS,
    "long escape": HTTP + '"\\U00000077hois":' + ASKS,
    "escaped line break": HTTP + '? "wh\\\n  ois"\n:' + ASKS,
    "flow": 'flow: "http()"\n' + HTTP + '"\\x77hois":' + ASKS,
    "block key": HTTP + "? >-\n  whois\n:" + ASKS,
    "alias": "x: &w whois\n" + HTTP + "*w :" + ASKS,
    "anchor on the key": HTTP + "&w whois :" + ASKS,
    "tag on the key": HTTP + "!!str whois :" + ASKS,
    "binary": HTTP + "!!binary d2hvaXM= :" + ASKS,
    "binary alias": "x: &w !!binary d2hvaXM=\n" + HTTP + "*w :" + ASKS,
    "merge": HTTP + 'x: &x {"\\x77hois": [{query: x}]}\n<<: *x\n',
    "duplicate": HTTP + "whois: []\nwhois:" + ASKS,
    "another document": HTTP + '---\n"\\x77hois":' + ASKS,
    "broken": HTTP + "# whois\n}: [",
    "included": HTTP + "# !include:asks-helper.yaml\n",
}
WHOLE = {
    "BOM": ("asks.yaml", b"\xef\xbb\xbf" + (HEAD.format(id="asks") + HIDDEN["hexadecimal escape"]).encode()),
    "UTF-16": ("asks.yaml", (HEAD.format(id="asks") + "whois:" + ASKS).encode("utf-16")),
    "JSON": ("asks.json", b'{"id":"asks","info":{"name":"a"},"http":[],"\\u0077hois":[{"query":"x"}]}'),
    "JSON, upper case": ("asks.json", b'{"id":"asks","info":{"name":"a"},"WHOIS":[{"query":"x"}]}'),
    "JSON, folded": ("asks.json", '{"id":"asks","info":{"name":"a"},"whoi\u017f":[{}]}'.encode()),
    "JSON, twice": ("asks.json", b'{"id":"asks","x":{"\\u0077hois":1},"x":2,"info":{"name":"a"}}'),
    "JSON, deep": ("asks.json", b'{"id":"asks","info":{"name":"whois"},"x":' + b"[" * 5000),
}


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


@pytest.mark.parametrize("body", [WHOIS[0], HIDDEN["hexadecimal escape"]], ids=["plain", "hidden"])
def test_what_the_owner_says_holds_for_workflows_too(tmp_path: Path, body: str) -> None:
    library(tmp_path, body)
    (tmp_path / "wf.yaml").write_text(HEAD.format(id="wf") + "workflows: [{template: asks.yaml}]\n")
    wanted = Profile(workflows=("wf.yaml",))
    assert [path.name for path in chosen.of(wanted, [tmp_path], ("whois",)).files] == ["wf.yaml"]
    with pytest.raises(NucleiBinaryError, match=r"may run asks\.yaml, whose protocol can't be kept"):
        chosen.of(wanted, [tmp_path], ())


@pytest.mark.parametrize("wanted", ["asks", "asks.yaml"])
def test_a_plan_that_names_one_is_told_instead_of_scanned_without_it(tmp_path: Path, wanted: str) -> None:
    selection = templates.select((wanted, "plain"), (), [library(tmp_path, WHOIS[0])])
    with pytest.raises(NucleiBinaryError, match=r"asks\.yaml.*SCANPLAN_UNGUARDED_PROTOCOLS"):
        unguarded.without(selection, ())


@pytest.mark.parametrize("body", ["tags: whois\n", "http: []\n# see the whois\n", "x-whois: 1\n", "whoiser: 1\n"])
def test_templates_that_only_mention_it_stay(tmp_path: Path, body: str) -> None:
    selection = templates.select((), (), [library(tmp_path, body)])
    assert unguarded.without(selection, ())[1] == ""


@pytest.mark.parametrize("body", HIDDEN.values(), ids=HIDDEN)
def test_no_spelling_of_a_key_hides_one(tmp_path: Path, body: str) -> None:
    """Lost otherwise: a denied address is reached, by a key that Nuclei decodes and we don't."""
    selection = templates.select((), (), [library(tmp_path, body)])
    assert "asks.yaml" in {path.name for path in selection.files}
    left, warning = unguarded.without(selection, ())
    assert [path.name for path in left.files] == ["plain.yaml"]
    assert "asks.yaml" in warning


@pytest.mark.parametrize(("name", "content"), WHOLE.values(), ids=WHOLE)
def test_no_notation_of_a_file_hides_one(tmp_path: Path, name: str, content: bytes) -> None:
    """Lost otherwise: a denied address is reached, by a file in a notation that is read otherwise than by Nuclei."""
    library(tmp_path, HTTP)
    (tmp_path / "asks.yaml").unlink()
    (tmp_path / name).write_bytes(content)
    selection = templates.select((), (), [tmp_path])
    left, _ = unguarded.without(selection, ())
    assert name not in {path.name for path in left.files}


@pytest.mark.parametrize("body", [HTTP + 'x: "\\x77 \\u0041"\n', HTTP + "x: [whois]\n", HTTP + "x: !!str whois\n"])
def test_escapes_and_tags_elsewhere_cost_no_template(tmp_path: Path, body: str) -> None:
    """Lost otherwise: templates of guarded protocols, for how they are written."""
    selection = templates.select((), (), [library(tmp_path, body)])
    assert unguarded.without(selection, ()) == (selection, "")
