"""`scanplan results` and `scanplan diff`: what pipelines go by, and what people must not overlook."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from scanplan.cli.main import app
from tests.unit.cli import folder
from tests.unit.report import events

HIGH = events.event(**{"matched-at": "https://app.example.com/high", "info": {"severity": "high", "name": "High one"}})
MEDIUM = events.event()
LOW = events.event(**{"matched-at": "https://app.example.com/low", "info": {"severity": "low"}})


def scanplan(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A run `nightly` with two results: medium and low, then high and medium."""
    folder.write(tmp_path, "nightly", [MEDIUM, LOW], [MEDIUM, HIGH])
    return tmp_path


def test_the_table_has_the_most_severe_first_and_counts_on_standard_error(root: Path) -> None:
    answer = scanplan("results", "nightly", "--directory", root)
    assert answer.exit_code == 0
    lines = answer.stdout.splitlines()
    assert lines[1].startswith("high")
    assert lines[2].startswith("medium")
    assert "2 findings: 1 high, 1 medium" in answer.stderr


def test_every_format_holds_every_finding(root: Path) -> None:
    formats = {
        name: scanplan("results", "nightly", "--directory", root, "-o", name)
        for name in ("json", "ndjson", "sarif", "csv", "html")
    }
    assert all(answer.exit_code == 0 for answer in formats.values())
    assert [json.loads(line) for line in formats["ndjson"].stdout.splitlines()] == [MEDIUM, HIGH]
    assert json.loads(formats["json"].stdout)["findings"] == [MEDIUM, HIGH]
    assert len(json.loads(formats["sarif"].stdout)["runs"][0]["results"]) == 2
    assert len(list(csv.reader(formats["csv"].stdout.splitlines()))) == 3
    assert formats["html"].stdout.count('class="finding"') == 2


def test_a_file_gets_what_standard_output_would_have_got(root: Path, tmp_path: Path) -> None:
    file = tmp_path / "out.ndjson"
    answer = scanplan("results", "nightly", "--directory", root, "-o", "ndjson", "-f", file)
    assert answer.stdout == ""
    assert file.read_bytes() == b"".join(events.lines([MEDIUM, HIGH]))


@pytest.mark.parametrize(
    ("wanted", "names"),
    [("high", ["high"]), ("high,low", ["high"]), ("HIGH, medium", ["medium", "high"]), ("info", [])],
)
def test_only_the_severities_that_were_asked_for(root: Path, wanted: str, names: list[str]) -> None:
    answer = scanplan("results", "nightly", "--directory", root, "-o", "ndjson", "--severity", wanted)
    assert [json.loads(line)["info"]["severity"] for line in answer.stdout.splitlines()] == names


@pytest.mark.parametrize(("threshold", "code"), [("critical", 0), ("high", 1), ("medium", 1), ("info", 1)])
def test_a_pipeline_stops_on_what_it_says_and_on_nothing_else(root: Path, threshold: str, code: int) -> None:
    assert scanplan("results", "nightly", "--directory", root, "--fail-on", threshold).exit_code == code


def test_a_pipeline_stops_on_findings_that_it_does_not_show(root: Path) -> None:
    arguments = ("--directory", root, "--severity", "low", "--fail-on", "high")
    assert scanplan("results", "nightly", *arguments).exit_code == 1


def test_an_incomplete_scan_never_passes_a_pipeline(tmp_path: Path) -> None:
    folder.write(tmp_path, "partial", [LOW], complete=False, shards=[events.failed(0, "OutOfMemory", "raise it")])
    answer = scanplan("results", "partial", "--directory", tmp_path, "--fail-on", "high")
    assert answer.exit_code == 69
    assert "The scan is not complete" in answer.stderr
    assert scanplan("results", "partial", "--directory", tmp_path).exit_code == 0


def test_what_was_tampered_with_is_no_result(root: Path) -> None:
    findings = folder.tasks(root / "ui_projects/nightly")[1] / "nuclei_output.ndjson"
    findings.write_bytes(findings.read_bytes().replace(b"high", b"info"))
    answer = scanplan("results", "nightly", "--directory", root)
    assert answer.exit_code == 65
    assert answer.stdout == ""
    assert "is not what the scan has published" in answer.stderr


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("nightly~2", 66, "2 results"),
        ("other", 66, "run.json"),
        ("../nightly", 64, "names no run"),
        ("a/b", 64, "names no run"),
    ],
)
def test_a_run_that_is_not_there_is_said_so(root: Path, name: str, code: int, words: str) -> None:
    answer = scanplan("results", name, "--directory", root)
    assert answer.exit_code == code
    assert words in answer.stderr


def test_a_report_marks_what_is_new_since_the_run_before(root: Path, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    answer = scanplan("results", "nightly", "--directory", root, "-o", "html", "-f", file, "--since", "nightly~1")
    assert answer.exit_code == 0
    assert file.read_text().count('data-new=""') == 1


def test_the_report_that_the_scan_has_left_is_the_one_that_everybody_gets(tmp_path: Path) -> None:
    """Lost otherwise: two readers of one scan, one of whom sees what is new and the other doesn't."""
    run = folder.write(tmp_path, "nightly", [MEDIUM], [MEDIUM, HIGH], report=b"<!doctype html>left")
    html = ("results", "nightly", "--directory", tmp_path, "-o", "html")
    answer = scanplan(*html, "-f", tmp_path / "r.html", "--fail-on", "high")
    assert (answer.exit_code, (tmp_path / "r.html").read_bytes()) == (1, b"<!doctype html>left")
    assert "2 findings" in answer.stderr
    assert 'class="finding"' in scanplan(*html, "--severity", "high").stdout
    assert 'data-new=""' in scanplan(*html, "--since", "nightly~1").stdout
    (folder.tasks(run)[1] / "report.html").write_bytes(b"<!doctype html>other")
    assert scanplan(*html).exit_code == 65


def test_a_report_of_some_severities_says_that_it_is_not_all(root: Path) -> None:
    some = scanplan("results", "nightly", "--directory", root, "-o", "html", "--severity", "critical").stdout
    assert "Only findings of these severities are on this page: critical." in some
    assert "Only findings" not in scanplan("results", "nightly", "--directory", root, "-o", "html").stdout


def test_hostile_findings_draw_nothing_on_the_terminal(tmp_path: Path) -> None:
    folder.write(tmp_path, "hostile", events.hostile())
    answer = scanplan("results", "hostile", "--directory", tmp_path)
    assert "\x1b" not in answer.stdout
    assert "\u202e" not in answer.stdout
    assert len(answer.stdout.splitlines()) == 1 + len(events.hostile())


def test_a_difference_names_what_is_new_and_what_is_gone(root: Path) -> None:
    answer = scanplan("diff", "nightly~1", "nightly", "--directory", root)
    assert answer.exit_code == 0
    assert [line.split()[:3] for line in answer.stdout.splitlines()[1:]] == [["+", "new", "high"], ["-", "gone", "low"]]
    assert "1 new, 1 gone, 1 unchanged" in answer.stderr


def test_a_difference_as_json(root: Path) -> None:
    told: dict[str, Any] = json.loads(
        scanplan("diff", "nightly~1", "nightly", "--directory", root, "-o", "json").stdout
    )
    assert [finding["matchedAt"] for finding in told["new"]] == ["https://app.example.com/high"]
    assert [finding["severity"] for finding in told["fixed"]] == ["low"]
    assert told["unchanged"] == 1


@pytest.mark.parametrize(("earlier", "later", "code"), [("nightly~1", "nightly", 1), ("nightly", "nightly~1", 0)])
def test_a_pipeline_can_stop_on_new_findings_only(root: Path, earlier: str, later: str, code: int) -> None:
    assert scanplan("diff", earlier, later, "--directory", root, "--fail-on", "high").exit_code == code


def test_scans_that_looked_for_different_things_are_compared_with_a_warning(tmp_path: Path) -> None:
    folder.write(tmp_path, "nightly", [MEDIUM], [], templates=["dns/"])
    assert "different templates" in scanplan("diff", "nightly~1", "nightly", "--directory", tmp_path).stderr
