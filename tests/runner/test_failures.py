"""Every way in which a scan is none: its exit code, its reason, and what of it is kept."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from scanplan.api import layout
from scanplan.api.documents.task import RetryLimits, ScannerOptions
from scanplan.api.documents.words import Outcome
from scanplan.api.exit_codes import ExitCode
from scanplan.runner import watchdog
from scanplan.runner.nuclei import scanner
from scanplan.runner.nuclei.judging import coverage
from scanplan.runner.nuclei.launch.installation import Installation
from scanplan.runner.report import exit_code
from scanplan.runner.shard import run_shard

from .conftest import Bench

needs_the_double = pytest.mark.skipif("NUCLEI_BIN" in os.environ, reason="the real Nuclei has no faults on order")


@needs_the_double
@pytest.mark.parametrize(
    ("fault", "code", "reason", "kept"),
    [
        ("panic", ExitCode.UNKNOWN, "ScannerPanic", 0),
        ("exit:1", ExitCode.UNKNOWN, "UnknownError", 0),
        ("exit:42", ExitCode.UNKNOWN, "UnknownError", 0),
        ("kill", ExitCode.TEMPORARY, "ScannerKilled", 0),
        ("flood:9:10 torn", ExitCode.TEMPORARY, "ScannerKilled", 9),
        ("flood:9:10 panic", ExitCode.UNKNOWN, "ScannerPanic", 9),
        ("crash-after:5 flood:9:10", ExitCode.UNKNOWN, "ScannerPanic", 5),
    ],
)
def test_a_scanner_that_dies_is_classified_and_its_findings_are_kept(
    bench: Bench, fault: str, code: ExitCode, reason: str, kept: int
) -> None:
    bench.template("faulty", fault=fault)
    attempt = bench.attempt()
    assert (attempt.code, attempt.reason) == (code, reason)
    assert attempt.report is not None
    assert attempt.report.findings.total >= kept
    published = bench.shard_folder() / "attempt-1" / layout.FINDINGS
    assert published.read_bytes().count(b"\n") == attempt.report.findings.total
    collected = bench.attempt(0, "collect").report
    assert collected is not None
    assert collected.outcome is Outcome.PARTIAL
    assert collected.findings == attempt.report.findings


def test_a_fault_of_the_runner_after_the_scan_costs_no_finding(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_arguments: object, **_options: object) -> None:
        raise TypeError("told to nobody")

    monkeypatch.setattr(coverage, "of", fails)
    bench.template("a")
    report = run_shard(bench.document, 0, bench.run, installation=Installation.from_environment(bench.variables(0)))
    assert report.error is not None
    assert (report.outcome, report.error.reason, report.findings.total) == (Outcome.PARTIAL, "UnknownError", 1)
    assert "told to nobody" not in report.error.message
    assert (bench.shard_folder() / "attempt-1" / layout.FINDINGS).read_bytes().count(b"\n") == 1


@needs_the_double
def test_unknown_errors_end_a_shard_when_their_retries_are_used_up(bench: Bench) -> None:
    bench.template("faulty", fault="panic")
    bench.options = {"retry": RetryLimits(temporary=3, unknown=1)}
    codes = [bench.attempt().code for _ in range(3)]
    assert codes == [ExitCode.UNKNOWN, ExitCode.SHARD_FATAL, ExitCode.SHARD_FATAL]
    assert bench.attempt().reason == "RetriesExhausted"


@needs_the_double
def test_rubbish_among_findings_is_kept_and_told(bench: Bench) -> None:
    bench.template("faulty", fault="garbage")
    bench.template("good")
    attempt = bench.attempt()
    assert attempt.code == 0
    assert attempt.report is not None
    assert attempt.report.findings.total >= 1
    assert any("not findings" in warning for warning in attempt.report.warnings)
    assert (bench.shard_folder() / "attempt-1" / layout.MALFORMED).stat().st_size > 0


@needs_the_double
def test_a_chatty_scanner_fills_no_volume(bench: Bench) -> None:
    bench.template("faulty", fault="chatter:40000")
    assert bench.attempt().code == 0
    assert (bench.shard_folder() / "attempt-1" / layout.SCANNER_LOG).stat().st_size <= (1 << 20) + 4096


@needs_the_double
def test_large_findings_arrive_whole(bench: Bench) -> None:
    bench.template("faulty", fault="flood:40:1000000")
    attempt = bench.attempt()
    assert attempt.code == 0
    assert len(bench.findings()) >= 40


@needs_the_double
@pytest.mark.parametrize("fault", ["hang", "deaf"])
def test_a_hung_scanner_is_stopped(bench: Bench, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "hang_seconds", lambda _document: 2.0)
    monkeypatch.setattr(scanner, "STOP_GRACE_SECONDS", 1.0)
    bench.template("a-good")
    bench.template("z-faulty", fault=fault)
    installation = Installation.from_environment(bench.variables(0))
    report = run_shard(bench.document, 0, bench.run, installation=installation)
    assert report.error is not None
    assert report.error.reason == "ScannerHung"
    assert report.outcome in {Outcome.PARTIAL, Outcome.FAILED}


@needs_the_double
def test_an_attempt_keeps_to_its_time_and_publishes_what_it_has(bench: Bench) -> None:
    for number in range(20):
        bench.template(f"slow-{number:02}", path=f"/?{number}", fault="slow:400")
    bench.options = {"timeout_seconds": 2, "scanner": ScannerOptions(concurrency=1, bulk_size=1)}
    attempt = bench.attempt()
    assert (attempt.code, attempt.reason) == (ExitCode.TEMPORARY, "AttemptTimeout")
    assert attempt.report is not None
    assert 0 < attempt.report.findings.total < 20


def test_endpoints_that_never_answer_fail_the_attempt(bench: Bench, unused_url: str) -> None:
    bench.endpoints = (unused_url,)
    attempt = bench.attempt()
    assert (attempt.code, attempt.reason) == (ExitCode.TEMPORARY, "EndpointsUnreachable")
    assert attempt.report is not None
    assert (attempt.report.endpoints_scanned, attempt.report.endpoints_unreachable) == (0, 1)


def test_some_silent_endpoints_are_counted_and_named(bench: Bench, unused_url: str) -> None:
    bench.endpoints = (*bench.endpoints, unused_url)
    attempt = bench.attempt()
    assert attempt.code == 0
    assert attempt.report is not None
    assert (attempt.report.endpoints_scanned, attempt.report.endpoints_unreachable) == (1, 1)
    assert unused_url in attempt.report.warnings[0]


def test_with_one_template_a_silent_endpoint_is_seen_too(bench: Bench, unused_url: str) -> None:
    """Nuclei logs nothing about a host that it has no second request for."""
    bench.endpoints = (*bench.endpoints, unused_url)
    bench.template("only")
    report = bench.attempt().report
    assert report is not None
    assert report.endpoints_unreachable == 1


def test_missing_templates_are_named_and_nothing_is_scanned(bench: Bench) -> None:
    bench.options = {"templates": ("http/exposures/", "http/nothing.yaml", "no-such-id")}
    attempt = bench.attempt()
    assert (attempt.code, attempt.reason) == (ExitCode.FATAL, "TemplatesNotFound")
    assert attempt.report is not None
    assert attempt.report.error is not None
    assert "http/nothing.yaml" in attempt.report.error.message
    assert "no-such-id" in attempt.report.error.message
    assert attempt.report.findings.total == 0


def test_no_template_of_the_severity_is_an_error(bench: Bench) -> None:
    bench.template("only", severity="info")
    bench.options = {"severity_levels": ("critical",)}
    attempt = bench.attempt()
    assert (attempt.code, attempt.reason) == (ExitCode.FATAL, "NoTemplatesLoaded")


BROKEN = "id: broken\ninfo:\n  name: [\n  severity: info\n"


def test_a_broken_template_that_the_plan_names_fails_the_task_by_name(bench: Bench) -> None:
    bench.template("good")
    (bench.folder / "templates" / "broken.yaml").write_text(BROKEN)
    bench.options = {"templates": ("good.yaml", "broken.yaml")}
    attempt = bench.attempt()
    assert (attempt.code, attempt.reason) == (ExitCode.FATAL, "TemplatesNotFound")
    assert attempt.report is not None
    assert attempt.report.error is not None
    assert "broken.yaml" in attempt.report.error.message


def test_a_broken_template_in_a_folder_is_named_in_a_warning(bench: Bench) -> None:
    bench.template("good")
    (bench.folder / "templates" / "broken.yaml").write_text(BROKEN)
    attempt = bench.attempt()
    assert attempt.code == 0
    assert attempt.report is not None
    assert any("broken.yaml" in warning for warning in attempt.report.warnings)


def test_only_broken_templates_are_an_error(bench: Bench) -> None:
    (bench.folder / "templates").mkdir()
    bench.templates = [bench.folder / "templates"]
    (bench.folder / "templates" / "broken.yaml").write_text(BROKEN)
    attempt = bench.attempt()
    assert (attempt.code, attempt.reason) == (ExitCode.FATAL, "NoTemplatesLoaded")
    assert attempt.report is not None
    assert "broken.yaml" in attempt.report.warnings[0]


def test_a_time_that_is_none_is_refused(bench: Bench) -> None:
    bench.options = {"replay_not_before": "yesterday"}
    attempt = bench.attempt()
    assert (attempt.code, attempt.reason) == (ExitCode.FATAL, "TaskDocumentInvalid")


def test_a_denied_endpoint_is_not_scanned_in_silence(bench: Bench) -> None:
    bench.options = {"denied_targets": ("127.0.0.0/8",)}
    attempt = bench.attempt()
    assert attempt.code == ExitCode.FATAL
    assert attempt.reason == "TargetDenied"


def test_a_name_that_resolves_to_a_denied_address_is_not_dialled(bench: Bench) -> None:
    bench.endpoints = (bench.endpoints[0].replace("127.0.0.1", "localhost"),)
    bench.options = {"denied_targets": ("127.0.0.0/8", "::1/128")}
    attempt = bench.attempt()
    assert (attempt.code, attempt.reason) == (ExitCode.FATAL, "TargetDenied")


@pytest.mark.parametrize("program", ["/nonexistent/nuclei", "true", "false", "text"])
def test_a_program_that_is_not_nuclei_is_told(bench: Bench, program: str) -> None:
    if program == "text":
        (bench.folder / "text").write_text("no program")
        (bench.folder / "text").chmod(0o755)
        program = str(bench.folder / "text")
    bench.nuclei = Path(program)
    attempt = bench.attempt()
    if program == "false":
        assert (attempt.code, attempt.reason) == (ExitCode.UNKNOWN, "UnknownError")
    else:
        assert (attempt.code, attempt.reason) == (ExitCode.FATAL, "NucleiBinaryError")


def test_a_run_of_another_project_is_left_alone(bench: Bench) -> None:
    bench.attempt()
    before = {path: path.stat().st_mtime_ns for path in bench.run.rglob("*")}
    bench.options = {"project_id": "globex", "key": "scan:globex:nightly:1:1:1"}
    attempt = bench.attempt()
    assert (attempt.code, attempt.reason) == (ExitCode.FATAL, "RunIdConflict")
    assert {path: path.stat().st_mtime_ns for path in bench.run.rglob("*")} == before


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_a_claim_that_is_not_writable_says_what_to_do(bench: Bench) -> None:
    bench.run.mkdir(parents=True)
    for parent in bench.run.parents:  # pytest makes its folders for their owner alone
        if not parent.stat().st_mode & stat.S_IXOTH:
            parent.chmod(parent.stat().st_mode | stat.S_IXOTH)
    installation = Installation.from_environment(bench.variables(0))
    os.seteuid(65532)
    try:
        report = run_shard(bench.document, 0, bench.run, installation=installation)
    finally:
        os.seteuid(0)
    assert report.error is not None
    assert report.error.reason == "ClaimNotWritable"
    assert exit_code(report) is ExitCode.FATAL
    assert "65532" in report.error.message
    assert "fsGroup" in report.error.message


def test_without_its_environment_the_runner_says_what_is_missing(bench: Bench) -> None:
    variables = bench.variables
    bench.variables = lambda shard: {k: v for k, v in variables(shard).items() if k != "JOB_COMPLETION_INDEX"}  # type: ignore[method-assign]
    attempt = bench.attempt()
    assert attempt.code == ExitCode.USAGE
    assert "JOB_COMPLETION_INDEX" in attempt.events[-1]["message"]
    assert attempt.report is not None


def test_a_shard_that_the_task_does_not_have_is_refused(bench: Bench) -> None:
    attempt = bench.attempt(7)
    assert (attempt.code, attempt.reason) == (ExitCode.FATAL, "TaskDocumentInvalid")


@pytest.fixture
def unused_url() -> str:
    """An address at which nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{listener.getsockname()[1]}"
