"""The generated table of docs/performance.md. Lost otherwise: a page that shows a missed target as met, or loses its text."""

from __future__ import annotations

import pytest

from tests.bench.page import BEGIN, END, PAGE, joined, rows, with_rows


def test_a_table_has_a_row_for_every_figure() -> None:
    figures = [
        {"name": "a", "value": 1.5, "unit": "ms", "target": "≤ 1", "met": False},
        {"name": "b", "value": 2, "unit": "MiB", "target": None, "met": None},
    ]
    lines = rows({"figures": figures}).splitlines()
    assert lines[2:] == ["| a | 1.50 ms | ≤ 1 | **missed** |", "| b | 2.00 MiB |  |  |"]


def test_figures_that_were_not_measured_stay() -> None:
    """Lost otherwise: an hour of measuring all, for one family that is new."""
    figures = [{"name": name, "value": 1, "unit": "s", "target": None, "met": None} for name in ("b: new", "c")]
    head = "| figure | value | target | |\n|---|---|---|---|\n"
    before = head + "| a | 9.00 s |  |  |\n| b: one | 9.00 s |  |  |\n| b: two | 9.00 s |  |  |\n| d | 9.00 s |  |  |\n"
    found = joined(before, rows({"figures": figures})).splitlines()
    assert [line.split(" | ")[0] for line in found[2:]] == ["| a", "| b: new", "| c", "| d"]
    assert found[:2] == head.splitlines()


def test_only_what_is_between_the_marks_changes() -> None:
    assert with_rows(f"text\n{BEGIN}old\n{END}more\n", "new\n") == f"text\n{BEGIN}new\n{END}more\n"


def test_a_page_without_its_marks_is_left_alone() -> None:
    with pytest.raises(ValueError, match="mark"):
        with_rows("text\n", "new\n")


def test_the_page_has_its_marks() -> None:
    assert "new\n" in with_rows(PAGE.read_text(), "new\n")
