"""The report that a merge leaves beside the findings: what people open first, and what must never cost them a scan."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scanplan.api import layout
from scanplan.api.documents.report import MergedResult
from scanplan.api.documents.task import TaskDocument
from scanplan.api.documents.words import Outcome
from scanplan.report import page
from scanplan.runner import collect
from scanplan.runner.artifacts import run_record
from scanplan.runner.artifacts.merging import overview
from tests.unit.runner.documents import document, finding

from .test_merge import TWO, merged, published

ONE = document(endpoints=("http://a.example",))


def report(run: Path, task: TaskDocument) -> str:
    return (run_record.task_folder(run, task) / layout.REPORT).read_text()


def names(result: MergedResult) -> list[str]:
    return [file.name for file in result.files]


def scanned(run: Path, task: TaskDocument, now: float, *lines: bytes) -> str:
    """Scan a task and merge it; its report."""
    run_record.enter(run, task, now)
    published(run, task, 0, *lines)
    merged(run, task)
    return report(run, task)


def rerun(number: int) -> TaskDocument:
    """Another task of the same run."""
    return document(endpoints=("http://a.example",), key=f"scan:acme:nightly:0a:0b:{number}")


def test_it_says_what_was_found_and_where_all_of_it_is(tmp_path: Path) -> None:
    content = scanned(tmp_path, ONE, 0.0, finding("mild", severity="info"), finding("grave", severity="critical"))
    assert content.index("grave") < content.index("mild")
    assert "2 findings" in content
    assert f'<a href="{layout.FINDINGS}">' in content


@pytest.mark.parametrize("attempts", [1, 2])
def test_the_most_severe_of_many_are_shown_wherever_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attempts: int
) -> None:
    """Lost otherwise: the one finding that matters, behind thousands that don't."""
    monkeypatch.setattr(overview, "MOST_SHOWN", 4)
    hidden = finding("spelled-out", severity="info", response='{"severity":"critical"}')
    lines = [hidden, *(finding(f"mild-{number}", severity="low") for number in range(9_000))]
    lines[5_000] = finding("grave", severity="critical", response="x" * 2_000_000)
    lines.append(finding("last", severity="high"))
    run_record.enter(tmp_path, ONE, 0.0)
    if attempts == 2:
        published(tmp_path, ONE, 0, *lines[:6_000], outcome=Outcome.PARTIAL)
    published(tmp_path, ONE, 0, *lines)
    assert merged(tmp_path, ONE).findings.total == 9_002
    content = report(tmp_path, ONE)
    shown = re.findall(r'class="finding" data-severity="(\w+)"', content)
    assert shown[:2] == ["critical", "high"]
    assert set(shown[2:]) == {"low"}
    assert len(shown) <= 4
    assert "spelled-out" not in content
    assert f"The {len(shown)} most severe are shown." in content
    assert "Findings (9,002)" in content


def test_what_is_new_is_told_against_the_complete_scan_before(tmp_path: Path) -> None:
    first = scanned(tmp_path, rerun(1), 1.0, finding("stays"), finding("goes"), finding("goes-too"))
    assert "no other scan of this run was complete when this one began" in first
    second = scanned(tmp_path, rerun(2), 2.0, finding("stays", timestamp="later"), finding("comes"))
    assert "<b>1</b>new since 2026-11-24 06:00:00 UTC" in second
    assert "the scan of this run that began 2026-11-24 06:00:00 UTC, the last complete one then" in second
    assert "<b>2</b>resolved since" not in second, "nothing says that the second scan looked for them"
    assert "<b>4</b>open, each counted once" in second
    assert second.count('data-new=""') == 1


def test_every_merger_compares_with_the_same_scan(tmp_path: Path) -> None:
    """Two shards that merge at once make one report, though another task ends between them."""
    run_record.enter(tmp_path, rerun(1), 1.0)
    run_record.enter(tmp_path, rerun(2), 2.0)
    published(tmp_path, rerun(2), 0, finding("a"))
    first = merged(tmp_path, rerun(2))
    scanned(tmp_path, rerun(1), 1.0, finding("a"))
    (run_record.task_folder(tmp_path, rerun(2)) / layout.METADATA).unlink()
    assert merged(tmp_path, rerun(2)) == first


def test_it_says_where_nothing_was_compared(tmp_path: Path) -> None:
    scanned(tmp_path, rerun(1), 1.0, finding("a"))
    run_record.enter(tmp_path, rerun(2), 2.0)
    for name in (layout.FINDINGS, layout.METADATA):
        (run_record.task_folder(tmp_path, rerun(1)) / name).unlink()
    assert "nothing: no other scan of this run was complete" in scanned(tmp_path, rerun(2), 2.0, finding("a"))


def test_as_many_findings_as_there_are_are_compared(tmp_path: Path) -> None:
    lines = [finding("t", at=f"http://a.example/x{number:x}x") for number in range(overview.MOST_SHOWN + 50)]
    scanned(tmp_path, rerun(1), 1.0, *lines)
    content = scanned(tmp_path, rerun(2), 2.0, *lines, finding("new", severity="critical"))
    assert content.count('data-new=""') == 1
    assert "<b>1</b>new since" in content


def test_a_report_that_can_not_be_made_fails_no_scan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run_record.enter(tmp_path, TWO, 0.0)
    published(tmp_path, TWO, 0, finding("a"))
    assert layout.REPORT in names(merged(tmp_path, TWO, partial=True))
    published(tmp_path, TWO, 1, finding("b"))

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("no page today")

    monkeypatch.setattr(page, "compose", broken)
    result = merged(tmp_path, TWO)
    assert (result.complete, result.findings.total) == (True, 2)
    assert names(result) == [layout.FINDINGS, layout.HISTORY, layout.METADATA]
    assert "no page today" in caplog.text
    folder = run_record.task_folder(tmp_path, TWO)
    assert not [path.name for path in folder.iterdir() if "report" in path.name], "not that of the partial merge either"


def test_a_partial_merge_says_what_was_not_scanned(tmp_path: Path) -> None:
    run_record.enter(tmp_path, TWO, 0.0)
    published(tmp_path, TWO, 1, finding("b"))
    collected = collect.collect(TWO, tmp_path)
    assert collected.merged is not None
    assert layout.REPORT in names(collected.merged)
    content = report(tmp_path, TWO)
    assert "1 of 2 shards did not finish" in content
    assert "never scanned" in content
