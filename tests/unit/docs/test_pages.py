"""The site and its pages hold together: what a reader is told to look at is there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from scanplan.api.v1alpha1.conditions import Reason
from scanplan.cli.main import app
from tests.docs.built import problems

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
HOW_TOS = sorted(DOCS.glob("how-to/*.md"))


def pages(entry: Any) -> list[str]:
    """The files that a part of the navigation names."""
    if isinstance(entry, str):
        return [entry]
    return [page for part in (entry.values() if isinstance(entry, dict) else entry) for page in pages(part)]


def test_the_navigation_leads_to_pages_each_once() -> None:
    named = pages(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])
    assert len(named) == len(set(named))
    assert not [page for page in named if not (DOCS / page).exists()]


def test_every_page_is_in_the_navigation() -> None:
    named = pages(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])
    assert {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")} == set(named)


def test_every_reason_of_a_status_is_in_troubleshooting() -> None:
    text = (DOCS / "troubleshooting.md").read_text()
    assert not [reason for reason in Reason if not re.search(rf"\b{reason.value}\b", text)]


def test_every_threat_names_a_test_that_exists() -> None:
    """A control that no test shows is a claim; a row that no table of this form holds would be looked at by nobody."""
    attacks = (DOCS / "security-model.md").read_text().partition("\n## Attacks")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (?!asset \| threat \|).*\|$", attacks, re.MULTILINE)
    named = [re.search(r"`(tests/[\w/]+\.py)::(test_\w+)` \|$", row) for row in rows]
    assert len(rows) > 10
    assert not [row for row, test in zip(rows, named, strict=True) if not test]
    assert not [test[0] for test in named if test and f"def {test[2]}(" not in (ROOT / test[1]).read_text()]


def test_files_that_how_tos_name_exist() -> None:
    named = {name for path in HOW_TOS for name in re.findall(r"examples/[\w./-]+", path.read_text())}
    assert named
    assert not [name for name in named if not (ROOT / name.rstrip(".")).exists()]


def test_a_site_that_loads_or_leads_wrongly_is_seen(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(
        '<h1 id="here"></h1><script src="https://elsewhere.example/x.js"></script>'
        '<a href="#here"></a><a href="#nowhere"></a><a href="missing.html"></a><a href="https://elsewhere.example/"></a>'
    )
    assert len(problems(tmp_path)) == 3


@pytest.mark.parametrize("page", HOW_TOS, ids=lambda page: page.stem)
def test_commands_of_how_tos_are_ones_that_the_program_takes(page: Path) -> None:
    lines = re.findall(r"(?:^\$ |`)(?:kubectl )?scanplan ((?!prune)[a-z]+ [^`\n]*)", page.read_text(), re.MULTILINE)
    program = typer.main.get_command(app)
    assert isinstance(program, typer.core.TyperGroup)
    for line in lines:
        name, *arguments = shlex.split(line)
        command = program.get_command(typer.Context(program), name)
        assert command is not None, line
        command.make_context(name, arguments)
