"""A shard's life with a scanner that behaves: scanned once, replayed, merged, reported."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path

import pytest

from scanplan.api import layout
from scanplan.api.documents import records
from scanplan.api.documents.task import ScannerOptions, TemplateFilter
from scanplan.api.documents.words import Outcome, Severity
from scanplan.runner import progress
from scanplan.runner.artifacts import publish
from scanplan.runner.nuclei.launch.installation import Installation
from scanplan.runner.shard import run_shard
from tests.fixtures.scans import WebApplication

from .conftest import Bench, identity


def test_two_shards_are_scanned_and_the_last_one_merges(bench: Bench, webapp: WebApplication) -> None:
    bench.endpoints = (webapp.url, f"http://localhost:{webapp.port}")
    bench.options = {"shards": 2, "templates": ("http/",)}
    first, second = bench.attempt(0), bench.attempt(1)
    assert (first.code, second.code) == (0, 0)
    assert first.report is not None
    assert second.report is not None
    assert first.report.merged is None
    assert second.report.merged is not None
    assert second.report.merged.complete
    assert first.report.findings.total == second.report.findings.total == 14
    assert second.report.merged.findings.total == 28
    assert len({identity(finding) for finding in bench.findings()}) == 28
    for file in second.report.merged.files:
        assert hashlib.sha256((bench.merged / file.name).read_bytes()).hexdigest() == file.sha256
    assert (bench.run / layout.LATEST / layout.FINDINGS).samefile(bench.merged / layout.FINDINGS)
    assert [event["event"] for event in first.events] == ["started", "finished"]
    assert first.events[-1]["findings"] == 14


def test_a_published_shard_is_not_scanned_again(bench: Bench, webapp: WebApplication) -> None:
    first = bench.attempt()
    before = webapp.requests()
    again = bench.attempt()
    assert webapp.requests() == before
    assert again.code == 0
    assert again.report is not None
    assert again.report.replayed
    record = publish.read(bench.shard_folder(), 1)
    assert record is not None
    assert again.report.published_at == record.finished_at
    assert first.report is not None
    assert not first.report.published_at
    assert again.report.findings == first.report.findings
    assert again.report.merged == first.report.merged


def test_outside_of_the_window_it_is_scanned_again_and_old_findings_are_out(bench: Bench) -> None:
    bench.attempt()
    old = bench.findings()
    time.sleep(0.01)
    bench.options["replay_not_before"] = records.timestamp(time.time())
    again = bench.attempt()
    assert again.report is not None
    assert not again.report.replayed
    assert again.report.attempt == 2
    assert again.report.merged is not None
    assert again.report.merged.complete
    assert {identity(finding) for finding in bench.findings()} == {identity(finding) for finding in old}
    assert len(bench.findings()) == len(old)
    assert bench.findings() != old


def test_a_damaged_shard_is_scanned_again(bench: Bench) -> None:
    bench.attempt()
    good = {identity(finding) for finding in bench.findings()}
    published = bench.shard_folder() / "attempt-1" / layout.FINDINGS
    published.write_bytes(published.read_bytes()[:1000])
    again = bench.attempt()
    assert again.code == 0
    assert again.report is not None
    assert not again.report.replayed
    assert {identity(finding) for finding in bench.findings()} == good


def test_a_shard_without_endpoints_is_complete(bench: Bench) -> None:
    bench.options["shards"] = 3
    codes = [bench.attempt(index).code for index in range(3)]
    assert codes == [0, 0, 0]
    last = bench.attempt(2)
    assert last.report is not None
    assert last.report.merged is not None
    assert last.report.merged.complete
    assert last.report.merged.shards == 3


def test_severities_and_single_templates_are_what_is_scanned(bench: Bench) -> None:
    bench.options = {"severity_levels": ("critical",), "templates": ("http/",)}
    report = bench.attempt().report
    assert report is not None
    assert (report.findings.critical, report.findings.total) == (3, 3)


def test_a_selection_chooses_among_all_and_the_rest_is_counted(bench: Bench) -> None:
    """What a plan leaves out is in the record of the scan: nobody takes it for scanned."""
    bench.options = {
        "templates": (),
        "include": TemplateFilter(tags=("exposure",)),
        "exclude": TemplateFilter(severities=(Severity.MEDIUM,), ids=("sql-*",)),
    }
    report = bench.attempt().report
    assert report is not None
    assert report.merged is not None
    assert report.findings.medium == 0
    assert report.findings.high
    left_out = json.loads((bench.merged / layout.METADATA).read_bytes())["templatesLeftOut"]
    assert left_out == {"none of the included tags": 12, "an excluded id": 1, "an excluded severity": 2}


def test_an_id_selects_one_template(bench: Bench) -> None:
    bench.options = {"templates": ("git-config",)}
    report = bench.attempt().report
    assert report is not None
    assert report.scanner.templates_loaded == 1
    assert report.findings.total == 1


def test_progress_is_told_while_it_happens(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "INTERVAL_SECONDS", 0.1)
    for number in range(12):
        bench.template(f"slow-{number:02}", path=f"/?{number}", fault="slow:60")
    bench.options = {"scanner": ScannerOptions(concurrency=1, bulk_size=1, rate_limit=15)}
    events: list[progress.Event] = []
    installation = Installation.from_environment(bench.variables(0))
    run_shard(bench.document, 0, bench.run, installation=installation, on_progress=events.append)
    told = [event for event in events if event.event == "progress"]
    assert len(told) >= 2
    assert [event.findings for event in told] == sorted(event.findings for event in told)
    assert all(0 <= event.percent <= 100 for event in told)
    assert (events[0].event, events[-1].event, events[-1].findings) == ("started", "finished", 12)
    assert json.loads(progress.line(told[0]))["shard"] == 0


def test_the_collector_marks_a_result_without_all_shards_partial(bench: Bench, webapp: WebApplication) -> None:
    bench.endpoints = (webapp.url, f"http://localhost:{webapp.port}")
    bench.options = {"shards": 2}
    bench.attempt(0)
    collected = bench.attempt(0, "collect")
    assert collected.code == 0
    assert collected.report is not None
    assert collected.report.outcome is Outcome.PARTIAL
    assert collected.report.merged is not None
    assert collected.report.merged.findings.total == 14
    bench.attempt(1)
    finished = bench.attempt(0, "collect")
    assert finished.report is not None
    assert finished.report.outcome is Outcome.COMPLETE
    assert finished.report.merged is not None
    assert finished.report.merged.findings.total == 28


def test_nothing_is_left_in_the_pods_own_space(bench: Bench) -> None:
    bench.attempt()
    assert [path.name for path in (bench.folder / "tmp").iterdir()] == ["termination-0"]
    assert not list(Path(bench.run).rglob(".*"))
