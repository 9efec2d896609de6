"""docs/how-to/platforms.md: every block of the page is a setting that a test applies (tests/integration/test_platforms.py)."""

from __future__ import annotations

import re

from tests.chart import pages
from tests.chart.chart import ROOT

PAGE = "docs/how-to/platforms.md"


def test_every_block_of_the_page_is_a_setting_or_the_plans_part_of_one() -> None:
    """Lost otherwise: a block that nobody has tried, since it is indented or marked as something else."""
    blocks = re.findall(r"^ *```\S", (ROOT / PAGE).read_text(), re.MULTILINE)
    settings = pages.settings(PAGE)
    assert len(blocks) == len(settings) + sum(bool(each.spec) for each in settings) > 8


def test_every_section_has_a_setting() -> None:
    sections = re.findall(r"^## (.+)$", (ROOT / PAGE).read_text(), re.MULTILINE)
    assert sections == list(dict.fromkeys(each.title for each in pages.settings(PAGE)))
