"""Exceptions in the merge: counted and marked, and no finding less than without them."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from scanplan.api import layout
from scanplan.api.documents.report import AppliedExceptions, ExceptionUse, FindingCounts
from scanplan.api.documents.task import TaskDocument
from scanplan.api.documents.words import Outcome
from scanplan.findings import fingerprint
from scanplan.findings.exceptions import Handed, Match, ScanException
from scanplan.findings.identity import identity
from scanplan.runner import collect
from scanplan.runner.artifacts import run_record
from scanplan.runner.artifacts.merging import merge, suppression
from tests.unit.runner.documents import document, finding

from .test_merge import content, published

TWO = document(endpoints=("http://a.example", "http://b.example"), shards=2)
NOW = datetime(2026, 11, 24, 6, tzinfo=UTC)
"""About when the shards of these tests end."""
GIT, LOG, OTHER = finding("git-config"), finding("log4j", severity="critical"), finding("other", severity="low")


def handed(**matches: Match | tuple[Match, timedelta]) -> Handed:
    found = []
    for name, match in matches.items():
        of, lasts = match if isinstance(match, tuple) else (match, timedelta(days=9))
        found.append(ScanException(name=name, match=of, expires_at=NOW + lasts))
    return Handed(time=NOW, exceptions=tuple(found))


def applied(run: Path, exceptions: Handed | None, task: TaskDocument = TWO, **options: Any) -> AppliedExceptions | None:
    result = merge.merge(run, task, scan_exceptions=exceptions, **options)
    assert result
    return result.exceptions


@pytest.fixture
def run(tmp_path: Path) -> Path:
    run_record.enter(tmp_path, TWO, 0.0)
    published(tmp_path, TWO, 0, GIT, LOG)
    published(tmp_path, TWO, 1, GIT, OTHER)
    return tmp_path


def test_what_falls_under_an_exception_is_counted_and_stays(run: Path) -> None:
    """Lost otherwise: a finding that was only accepted, and is gone from the artifacts when the risk grows."""
    given = handed(git=Match(templates=("git-config",)), logs=Match(templates=("log*",)), none=Match(hosts=("z",)))
    found = applied(run, given)
    assert found == AppliedExceptions(
        time=NOW.isoformat(),
        suppressed=FindingCounts(critical=1, high=2),
        used=(ExceptionUse(name="git", findings=2), ExceptionUse(name="logs", findings=1)),
    )
    assert content(run, TWO) == b"".join(line + b"\n" for line in (GIT, LOG, GIT, OTHER))
    metadata = run_record.metadata(run_record.task_folder(run, TWO))
    assert metadata
    assert (metadata.findings.total, metadata.exceptions) == (4, found)


def test_without_exceptions_nothing_is_said_of_them(run: Path) -> None:
    assert applied(run, None) is None
    assert b"AcceptedRisk" not in (run_record.task_folder(run, TWO) / layout.REPORT).read_bytes()


def test_a_finding_under_two_exceptions_is_counted_once_and_both_are_used(run: Path) -> None:
    """Lost otherwise: an exception that is told as unused because another one covers the same finding."""
    found = applied(run, handed(one=Match(templates=("git-config",)), two=Match(hosts=("a.example",))))
    assert found
    assert found.suppressed.total == 4
    assert {use.name: use.findings for use in found.used} == {"one": 2, "two": 4}


@pytest.mark.parametrize(("lasts", "count"), [(timedelta(minutes=1), 0), (timedelta(minutes=1, seconds=1), 2)])
def test_an_exception_ends_by_the_scans_own_clock(run: Path, lasts: timedelta, count: int) -> None:
    """The shards end at minute 1. Lost otherwise: two mergers that write different bytes."""
    found = applied(run, handed(git=(Match(templates=("git-config",)), lasts)))
    assert found
    assert found.suppressed.total == count


@pytest.mark.parametrize("mark", [lambda line: fingerprint.of(line).hex(), identity], ids=["fingerprint", "identity"])
def test_one_finding_is_named_by_fingerprint_or_by_identity(run: Path, mark: Any) -> None:
    found = applied(run, handed(one=Match(fingerprints=(mark(LOG),))))
    assert found
    assert found.suppressed == FindingCounts(critical=1)


def test_the_report_marks_it_and_lets_people_see_only_what_is_open(run: Path) -> None:
    applied(run, handed(git=Match(templates=("git-config",))))
    page = (run_record.task_folder(run, TWO) / layout.REPORT).read_text()
    assert page.count('data-suppressed=""') == 2
    assert "AcceptedRisk until 2026-12-03 (git)" in page
    assert "only open" in page
    assert "<b>2</b>of them under an exception" in page


def test_several_mergers_and_the_collector_write_the_same_bytes(run: Path) -> None:
    given = handed(git=Match(templates=("git-config",)), all=Match(paths=("/*",)))
    applied(run, given)
    folder = run_record.task_folder(run, TWO)
    first = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    for name in (layout.METADATA, layout.FINDINGS, layout.REPORT):
        (folder / name).unlink()
    report = collect.collect(TWO, run, given)
    assert report.merged
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == first


def test_attempts_that_are_joined_are_counted_as_they_are_kept(tmp_path: Path) -> None:
    one = document(endpoints=("http://a.example",))
    published(tmp_path, one, 0, GIT, outcome=Outcome.PARTIAL)
    published(tmp_path, one, 0, GIT, LOG)
    found = applied(tmp_path, handed(all=Match(hosts=("*",))), one)
    assert found
    assert found.suppressed.total == 2
    shutil.rmtree(tmp_path)


def test_names_that_have_no_room_in_the_message_are_said_to_be_missing(run: Path) -> None:
    """Lost otherwise: an exception that is told as unused, because a pod's message ends before its name."""
    many = {f"{number:03d}-{'x' * 50}": Match(hosts=("a.example",)) for number in range(60)}
    found = applied(run, handed(**many))
    assert found
    assert found.more
    assert 5 < len(found.used) < 30
    metadata = run_record.metadata(run_record.task_folder(run, TWO))
    assert metadata
    assert metadata.exceptions
    assert len(metadata.exceptions.used) == 60
    assert not metadata.exceptions.more
    left_out = suppression.Suppression(Handed(time=NOW, left_out=3), 0.0).applied()
    assert left_out
    assert left_out.more
