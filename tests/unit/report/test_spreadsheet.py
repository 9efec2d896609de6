"""CSV that opens in a spreadsheet, and runs nothing there."""

from __future__ import annotations

import csv
import io

import pytest

from scanplan.report import spreadsheet
from tests.unit.report import events


def rows(*found: dict[str, object]) -> list[dict[str, str]]:
    content = b"".join(spreadsheet.render(events.read(found))).decode()
    return list(csv.DictReader(io.StringIO(content, newline="")))


def test_every_finding_is_a_row_that_a_reader_of_csv_understands() -> None:
    hostile = events.hostile()
    read = rows(events.event(), *hostile)
    assert len(read) == 1 + len(hostile)
    assert read[0]["severity"] == "medium"
    assert read[0]["matched_at"] == "https://app.example.com/.git/config"
    assert read[0]["cvss_score"] == "5.3"
    assert all(set(row) == set(spreadsheet.COLUMNS) for row in read)


@pytest.mark.parametrize(
    "formula",
    [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        " =1",
        "＝1",
        '=HYPERLINK("https://evil.example")',
        "|cmd",
        "%0a=1",
    ],
)
def test_no_cell_is_a_formula(formula: str) -> None:
    (row,) = rows(events.event(**{"info": {"name": formula, "description": formula}, "extracted-results": [formula]}))
    for column in ("name", "description", "extracted"):
        assert row[column].startswith("'"), row[column]


def test_a_cell_is_one_line_that_a_spreadsheet_takes() -> None:
    (row,) = rows(events.event(info={"description": "two\nlines " + "x" * 100_000}))
    assert row["description"].startswith("two lines x")
    assert len(row["description"]) <= 32_767
