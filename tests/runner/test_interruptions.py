"""Runners that are told to stop, or are killed: what they had found is kept, and the next attempt makes it whole."""

from __future__ import annotations

import json
import os
import random
import signal
import time

import pytest

from scanplan.api import layout
from scanplan.api.documents.task import ScannerOptions
from scanplan.api.documents.words import Outcome
from scanplan.api.exit_codes import ExitCode
from scanplan.runner.nuclei import scanner
from scanplan.runner.nuclei.launch.installation import Installation
from scanplan.runner.shard import run_shard

from .conftest import Bench, identity

TEMPLATES = 20


@pytest.fixture
def slow(bench: Bench) -> Bench:
    """A scan of two seconds that finds something all the time."""
    for number in range(TEMPLATES):
        bench.template(f"slow-{number:02}", path=f"/?{number}", severity="low", fault="slow:60")
    bench.options = {"scanner": ScannerOptions(concurrency=1, bulk_size=1, rate_limit=15)}
    return bench


def uninterrupted(bench: Bench) -> set[tuple[str, ...]]:
    return {(f"slow-{number:02}", "", f"{bench.endpoints[0]}/?{number}") for number in range(TEMPLATES)}


def test_sigterm_publishes_what_was_found_and_the_next_attempt_completes_it(slow: Bench) -> None:
    process = slow.start()
    slow.wait_for_findings(process, 5)
    process.send_signal(signal.SIGTERM)
    first = slow.end(process)
    assert (first.code, first.reason) == (ExitCode.INTERRUPTED, "Interrupted")
    assert first.report is not None
    assert first.report.outcome is Outcome.PARTIAL
    assert 5 <= first.report.findings.total < TEMPLATES
    second = slow.attempt()
    assert second.code == 0
    assert second.report is not None
    assert second.report.merged is not None
    found = [identity(finding) for finding in slow.findings()]
    assert set(found) == uninterrupted(slow)
    assert len(found) == TEMPLATES == second.report.merged.findings.total


@pytest.mark.parametrize("after", [0.0, 0.03, 0.06, 0.1, 0.15])
def test_sigterm_at_any_moment_of_the_start_is_an_interruption(slow: Bench, after: float) -> None:
    process = slow.start()
    time.sleep(after)
    process.send_signal(signal.SIGTERM)
    attempt = slow.end(process)
    # before Python itself could install a handler the signal ends it, which reads the same for a Job
    assert attempt.code in {ExitCode.INTERRUPTED, -signal.SIGTERM}
    assert slow.attempt().code == 0
    assert {identity(finding) for finding in slow.findings()} == uninterrupted(slow)


def test_an_interrupted_shard_that_never_comes_back_is_collected(slow: Bench) -> None:
    process = slow.start()
    slow.wait_for_findings(process, 3)
    process.send_signal(signal.SIGTERM)
    first = slow.end(process)
    collected = slow.attempt(0, "collect")
    assert collected.code == 0
    assert collected.report is not None
    assert collected.report.outcome is Outcome.PARTIAL
    assert first.report is not None
    assert collected.report.findings == first.report.findings
    assert len(slow.findings()) == first.report.findings.total


def test_two_runners_of_one_shard_at_once_make_one_result(slow: Bench) -> None:
    """A queue that delivers twice, or a node that came back from the dead: the later one takes over."""
    first = slow.start()
    slow.wait_for_findings(first, 3)
    first.send_signal(signal.SIGSTOP)
    before = slow.growing().count(b"\n")
    second = slow.start()
    slow.wait_for_findings(second, before + 1)
    first.send_signal(signal.SIGCONT)
    ends = [slow.end(first), slow.end(second)]
    assert [end.code for end in ends] == [ExitCode.TEMPORARY, ExitCode.OK]
    assert "a later one took its place" in ends[0].events[-1]["message"]
    found = [identity(finding) for finding in slow.findings()]
    assert set(found) == uninterrupted(slow)
    assert len(found) == TEMPLATES


@pytest.mark.parametrize("seed", range(4))
def test_whenever_the_runner_is_killed_no_finding_that_it_had_read_is_lost(slow: Bench, seed: int) -> None:
    moments = random.Random(seed)  # noqa: S311 - reproducible
    written: set[tuple[str, ...]] = set()
    for _ in range(3):
        process = slow.start()
        time.sleep(moments.uniform(0.02, 1.2))
        process.kill()
        slow.end(process)
        whole = slow.growing().rpartition(b"\n")[0].splitlines()
        written |= {identity(json.loads(line)) for line in whole}
    collected = slow.attempt(0, "collect").report
    assert collected is not None
    assert written <= {identity(finding) for finding in slow.findings()}
    last = slow.attempt()
    assert last.code == 0
    found = [identity(finding) for finding in slow.findings()]
    assert set(found) == uninterrupted(slow)
    assert len(found) == TEMPLATES
    assert last.report is not None
    assert last.report.merged is not None
    assert last.report.merged.complete


def test_a_killed_runner_leaves_nothing_that_looks_finished(slow: Bench) -> None:
    process = slow.start()
    slow.wait_for_findings(process, 3)
    process.kill()
    slow.end(process)
    assert not list(slow.run.rglob(layout.SHARD_RECORD))
    assert not list(slow.run.rglob(layout.FINDINGS))
    assert not list(slow.run.rglob(layout.METADATA))


@pytest.mark.skipif("NUCLEI_BIN" in os.environ, reason="the real Nuclei has no faults on order")
def test_a_scanner_that_ignores_sigint_does_not_hold_up_the_pods_end(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scanner, "STOP_GRACE_SECONDS", 0.5)
    bench.template("a-good")
    bench.template("z-deaf", fault="deaf")
    began = time.monotonic()
    report = run_shard(
        bench.document,
        0,
        bench.run,
        installation=Installation.from_environment(bench.variables(0)),
        stop=lambda: time.monotonic() - began > 1,
    )
    assert report.error is not None
    assert report.error.reason == "Interrupted"
    assert report.findings.total >= 1
