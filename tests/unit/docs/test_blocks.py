"""Each shell block of the pages is run by a test, or says why not."""

from __future__ import annotations

import re

import pytest

from tests.docs.blocks import PAGES, ROOT, SHELLS, Block, blocks


@pytest.mark.parametrize("page", PAGES)
def test_code_is_in_fences_that_say_what_it_is(page: str) -> None:
    text = (ROOT / page).read_text()
    assert {block.language for block in blocks(page)} <= SHELLS | {"yaml", "text"}
    assert len(re.findall(r"^ *```", text, re.MULTILINE)) == 2 * len(blocks(page))
    assert not re.findall(r"\n\n {4}\S.*", text)


@pytest.mark.parametrize("page", PAGES)
def test_a_block_that_another_test_runs_names_it(page: str) -> None:
    for block in blocks(page):
        if block.run_by:
            file, _, name = block.run_by.partition("::")
            assert f"def {name}(" in (ROOT / file).read_text(), block.text


def test_few_blocks_are_not_run() -> None:
    shell = [block for page in PAGES for block in blocks(page) if block.language in SHELLS]
    assert len([block for block in shell if block.not_run]) < len(shell) / 3


def test_commands_are_those_of_the_reader() -> None:
    console = Block("console", "$ echo a \\\n    b\na b\n$ true\n")
    assert list(console.commands()) == ["echo a \\\n    b", "true"]
    assert list(Block("sh", "echo a\n\ntrue  # well\n").commands()) == ["echo a", "true  # well"]
