"""A shard of any size ends: what was done stays done, through kills at any moment."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

import tests.doubles
from scanplan.api import layout
from scanplan.api.documents import records
from scanplan.api.documents.report import ShardReport, TaskError, decode_report
from scanplan.api.documents.task import RetryLimits, ScannerOptions
from scanplan.api.documents.words import ErrorClass, Outcome, encode
from scanplan.api.exit_codes import ExitCode
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.runner.artifacts import publish, steps
from scanplan.runner.nuclei.launch.installation import Installation
from scanplan.runner.shard import run_shard
from tests.fixtures.scans import WebApplication, web_application

from .conftest import Bench, identity

TEMPLATES = int(os.environ.get("SCANPLAN_STEP_TEMPLATES", "120"))
ENDPOINTS = int(os.environ.get("SCANPLAN_STEP_ENDPOINTS", "6"))
KILLS = 10
"""The full size (by hand): 5,000 templates and 100 endpoints."""
RATE = 60 if TEMPLATES <= 120 else 1000
FIRST = 2.0 if TEMPLATES <= 120 else 10.0
PROGRAM = (
    "from scanplan.runner import work\n"
    f"work.FIRST_SECONDS = work.STEP_SECONDS = {FIRST}\n"
    "from scanplan.runner import __main__\n"
)
"""The runner with steps of a second: its own are of minutes."""


@pytest.fixture
def everywhere(doubles: tests.doubles.Doubles) -> Iterator[WebApplication]:
    """The application on every loopback address."""
    with web_application(doubles.webapp, "-listen", "0.0.0.0:0") as application:
        yield application


@pytest.fixture
def large(bench: Bench, everywhere: WebApplication) -> Bench:
    for number in range(TEMPLATES):
        bench.template(f"t-{number:04}", path=f"/robots.txt?{number}")
    bench.endpoints = tuple(f"http://127.0.0.{number}:{everywhere.port}" for number in range(1, ENDPOINTS + 1))
    parallel = 4 if TEMPLATES <= 120 else 25
    options = ScannerOptions(rate_limit=RATE, concurrency=parallel, bulk_size=parallel, request_retries=0)
    bench.options = {"scanner": options}
    return bench


def start(bench: Bench) -> subprocess.Popen[str]:
    (bench.folder / "task" / "task.json").write_bytes(encode(bench.document))
    (bench.folder / "tmp" / "termination-0").unlink(missing_ok=True)
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        env=bench.variables(0),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def saved(shard: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in shard.glob(f"attempt-*/{layout.STEPS}"))


def test_killed_ten_times_at_random_the_union_is_that_of_an_uninterrupted_scan(large: Bench) -> None:
    dice = random.Random(17)  # noqa: S311 - no secret
    kills, seen = [], 0
    for _ in range(KILLS):
        process, enough = start(large), seen + dice.randint(0, 1)
        while saved(large.shard_folder()) < enough and process.poll() is None:
            time.sleep(0.01)
        time.sleep(dice.uniform(0, FIRST / 2))
        if process.poll() is not None:
            large.end(process)
            break
        process.kill()
        process.communicate()
        now = saved(large.shard_folder())
        kills.append(now - seen)
        assert now >= seen, "a step that was saved is lost"
        seen = now
    assert len(kills) >= 3, kills
    assert seen > 0, "no step was saved"
    for _ in range(3):
        last = large.end(start(large), patience=3600)
        if last.code == 0:
            break
    print("steps saved before each kill:", kills)
    assert last.report is not None
    assert last.report.outcome is Outcome.COMPLETE
    assert last.report.endpoints_scanned == ENDPOINTS
    assert last.report.merged is not None
    assert (last.report.merged.templates_run, last.report.merged.coverage) == (TEMPLATES, 1000)
    found = [identity(finding) for finding in large.findings()]
    assert len(found) == len(set(found)) == TEMPLATES * ENDPOINTS


def test_at_most_one_step_is_done_again(large: Bench, everywhere: WebApplication) -> None:
    before = everywhere.requests()
    process = start(large)
    while saved(large.shard_folder()) < 2:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    left = decode_report((large.folder / "tmp" / "termination-0").read_bytes())
    assert left is not None, "the operator can't know that the kill must cost no retry"
    assert (left.outcome, left.error, left.steps >= 1) == (Outcome.PARTIAL, None, True)
    end = large.end(start(large))
    assert end.code == 0
    journal = [step for path in large.shard_folder().glob("attempt-*") for step in steps._kept(path)]
    again = everywhere.requests() - before - TEMPLATES * ENDPOINTS
    assert again <= 2 * max(step.requests for step in journal) + 8 * ENDPOINTS


def in_process(bench: Bench) -> ShardReport:
    return run_shard(bench.document, 0, bench.run, installation=Installation.from_environment(bench.variables(0)))


def test_an_attempt_that_has_saved_steps_costs_no_retry(large: Bench) -> None:
    """A shard that takes longer than timeoutSeconds would otherwise never end."""
    seconds = (30 if os.environ.get("NUCLEI_BIN") else 8) if TEMPLATES <= 120 else 60  # the real one starts slowly
    rate = min(RATE, TEMPLATES * ENDPOINTS // (2 * seconds))  # on no machine is there time for all of it
    scanner = msgspec.structs.replace(large.options["scanner"], rate_limit=rate)
    large.options |= {"scanner": scanner, "timeout_seconds": seconds, "retry": RetryLimits(temporary=0, unknown=0)}
    reports = []
    for _ in range(40):
        reports.append(in_process(large))
        if reports[-1].outcome is Outcome.COMPLETE:
            break
    assert reports[-1].outcome is Outcome.COMPLETE
    assert len(reports) > 1
    for report in reports[:-1]:
        assert report.error is not None
        assert report.error.reason == "AttemptTimeout"
        assert report.steps > 0
        from scanplan.runner.report import exit_code

        assert exit_code(report) is ExitCode.INTERRUPTED
    assert len({identity(finding) for finding in large.findings()}) == TEMPLATES * ENDPOINTS


def test_a_scan_that_takes_longer_than_an_attempt_says_so_at_its_start(large: Bench) -> None:
    large.options |= {"timeout_seconds": 1, "scanner": ScannerOptions(rate_limit=1, request_retries=0)}
    report = in_process(large)
    assert any("more than timeoutSeconds" in warning for warning in report.warnings)


def sources(bench: Bench, *paths: str) -> None:
    """Template folders of one template each. Each folder is a step of its own."""
    bench.templates = []
    for number, path in enumerate(paths):
        own = bench.folder / f"source-{number}"
        own.mkdir()
        (own / "t.yaml").write_text(
            f"id: t-{number}\ninfo: {{name: x, author: tests, severity: info}}\n"
            f"http: [{{method: GET, path: ['{{{{BaseURL}}}}{path}'], matchers: [{{type: status, status: [200]}}]}}]\n"
        )
        bench.templates.append(own)


NOTHING_TO_SEND = "/?{{nobody_sets_this}}"


def test_a_step_that_sends_nothing_ends_no_scan_where_an_endpoint_is_denied(
    bench: Bench, webapp: WebApplication, names: dict[str, list[str]]
) -> None:
    """Lost otherwise: all steps after it, of a scan that counts as complete."""
    names["denied.example"] = ["169.254.169.254"]
    bench.endpoints = (webapp.url, f"http://denied.example:{webapp.port}")
    bench.options = {"denied_targets": ("169.254.0.0/16",)}
    sources(bench, "/robots.txt?1", NOTHING_TO_SEND, "/robots.txt?2")
    report = in_process(bench)
    assert (report.outcome, report.error) == (Outcome.COMPLETE, None)
    assert {finding["template-id"] for finding in bench.findings()} == {"t-0", "t-2"}


def test_steps_of_other_templates_count_for_nothing(large: Bench) -> None:
    process = start(large)
    while saved(large.shard_folder()) < 1:
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.communicate()
    large.template("t-0000", path="/robots.txt?changed")
    end = large.end(start(large))
    assert end.code == 0
    assert any(finding["matched-at"].endswith("?changed") for finding in large.findings())


@pytest.mark.parametrize("whole_pod", [False, True])
def test_out_of_memory_the_next_attempt_takes_half_of_the_concurrency_and_says_so(
    bench: Bench, whole_pod: bool
) -> None:
    """With the same concurrency it would be killed again."""
    bench.template("a")
    bench.options = {"scanner": ScannerOptions(concurrency=8, bulk_size=4)}
    shard = bench.shard_folder()
    begun = records.begun(bench.document.key, 0, 1, records.timestamp(time.time()))
    for _ in range(2):
        attempt = publish.begin(shard, begun)
        if whole_pod:  # nobody is left to report
            attempt.note_memory()
            attempt.abandon()
        else:
            error = TaskError(error_class=ErrorClass.TEMPORARY, reason=Reason.OUT_OF_MEMORY, message="x")
            record = msgspec.structs.replace(begun, attempt=attempt.number, error=error)
            attempt.publish(msgspec.structs.replace(record, finished_at=records.timestamp(time.time())))
    report = in_process(bench)
    assert report.outcome is Outcome.COMPLETE
    assert any("concurrency 2 and bulk size 1" in warning for warning in report.warnings)
