"""A report that Kubernetes cuts off is none: it must fit, and keep what programs read."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanplan.api import layout
from scanplan.api.documents import records
from scanplan.api.documents.report import (
    TERMINATION_MESSAGE_BYTES,
    AppliedExceptions,
    ArtifactFile,
    ExceptionUse,
    FindingCounts,
    HistoryCounts,
    MergedResult,
    NewFinding,
    NewFindings,
    ScannerVersion,
    ShardReport,
    TaskError,
    decode_report,
)
from scanplan.api.documents.words import (
    MOST_COUNTED,
    Age,
    EndpointsFileReport,
    ErrorClass,
    Outcome,
    Severity,
    encode,
)
from scanplan.api.exit_codes import ExitCode
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.runner import report
from scanplan.runner.artifacts import divided, publish
from scanplan.runner.artifacts.merging import merge
from scanplan.runner.scan import Scan
from scanplan.runner.shard import run_shard
from tests.unit.runner.documents import document

COUNTS = FindingCounts(critical=10**9, high=10**9, medium=10**9, low=10**9, info=10**9, unknown=10**9)
MERGED = MergedResult(
    path="ui_projects/" + "r" * 63 + "/tasks/" + "0" * 20,
    complete=True,
    shards=1000,
    endpoints_scanned=100_000,
    endpoints_unreachable=0,
    findings=COUNTS,
    files=tuple(ArtifactFile(name="n" * 40, bytes=10**12, sha256="f" * 64) for _ in range(4)),
)


def full(message: str, warnings: tuple[str, ...]) -> ShardReport:
    return ShardReport(
        shard=999,
        attempt=10**6,
        outcome=Outcome.PARTIAL,
        error=TaskError(error_class=ErrorClass.TEMPORARY, reason=Reason.ENDPOINTS_UNREACHABLE, message=message),
        endpoints=100_000,
        endpoints_scanned=100_000,
        endpoints_unreachable=100_000,
        findings=COUNTS,
        scanner=ScannerVersion(nuclei_version="v" * 40, templates_digest="e" * 64, templates_loaded=10_000),
        duration_ms=10**9,
        warnings=warnings,
        merged=MERGED,
    )


@given(st.text(max_size=3000), st.lists(st.text(max_size=600), max_size=30).map(tuple))
def test_every_report_fits_and_can_be_read_back(message: str, warnings: tuple[str, ...]) -> None:
    original = full(message, warnings)
    encoded = encode(report.fitted(original))
    assert len(encoded) <= TERMINATION_MESSAGE_BYTES
    got = decode_report(encoded)
    assert got is not None
    assert got.error is not None
    blank = TaskError(error_class=ErrorClass.TEMPORARY, reason=Reason.ENDPOINTS_UNREACHABLE, message="")
    assert msgspec.structs.replace(got, warnings=(), error=blank) == msgspec.structs.replace(
        original, warnings=(), error=blank
    )


def largest(letter: str) -> ShardReport:
    """A report whose members are all as large as they may be, with texts of this letter."""
    most = MOST_COUNTED
    counts = FindingCounts(**dict.fromkeys(Severity, most))
    example = NewFinding(severity=Severity.CRITICAL, name=letter * 120, template=letter * 120, where=letter * 256)
    history = HistoryCounts(
        since="2026-11-27T02:00:00.000Z",
        new=counts,
        resolved=counts,
        reopened=counts,
        open=counts,
        open_by_age=dict.fromkeys(Age, counts),
        told=NewFindings(counts=counts, examples=(example,) * 10),
    )
    files = (layout.FINDINGS, layout.HISTORY, layout.REPORT, layout.METADATA)
    merged = MergedResult(
        path=f"{layout.PROJECTS}/{'r' * 63}/tasks/{'0' * 20}",
        complete=True,
        shards=most,
        endpoints_scanned=most,
        endpoints_unreachable=most,
        endpoints_skipped=most,
        endpoints_throttled=most,
        endpoints_blocked=most,
        endpoints_file=EndpointsFileReport(
            endpoints=most, refused=most, duplicates=most, examples=(letter * 512,) * 10
        ),
        endpoints_remark=letter * 400,
        templates_run=most,
        templates_not_run=most,
        templates_remark=letter * 400,
        requests=most,
        seconds=most,
        coverage=most,
        findings=counts,
        history=history,
        exceptions=AppliedExceptions(
            time="t" * 40, suppressed=counts, used=(ExceptionUse(name="e" * 63, findings=most),) * 1_000
        ),
        files=tuple(ArtifactFile(name=name, bytes=most, sha256="f" * 64) for name in files),
    )
    return ShardReport(
        shard=1 << 31,
        attempt=most,
        outcome=Outcome.PARTIAL,
        error=TaskError(error_class=ErrorClass.TEMPORARY, reason=Reason.ENDPOINTS_UNREACHABLE, message=letter * 3_000),
        replayed=True,
        endpoints=most,
        endpoints_scanned=most,
        endpoints_unreachable=most,
        endpoints_skipped=most,
        steps=most,
        findings=counts,
        scanner=ScannerVersion(nuclei_version="v" * 40, templates_digest="e" * 64, templates_loaded=most),
        duration_ms=most,
        warnings=(letter * 600,) * 30,
        merged=merged,
    )


def numbers(report: ShardReport) -> ShardReport:
    """The report without what only people read."""
    replace = msgspec.structs.replace
    merged = report.merged
    assert merged
    assert merged.history
    assert merged.history.told
    assert merged.endpoints_file
    assert merged.exceptions
    assert report.error
    merged = replace(
        merged,
        endpoints_remark="",
        templates_remark="",
        endpoints_file=replace(merged.endpoints_file, examples=()),
        exceptions=replace(merged.exceptions, used=(), more=True),
        history=replace(merged.history, told=replace(merged.history.told, examples=())),
    )
    return replace(report, warnings=(), error=replace(report.error, message=""), merged=merged)


@pytest.mark.parametrize("letter", ["x", "é", "€", "😀", '"', "\x00"])
def test_the_largest_report_fits_and_keeps_all_numbers(letter: str) -> None:
    """Lost otherwise: a complete scan, which fails because nobody can read its report."""
    original = largest(letter)
    fitted = report.fitted(original)
    assert len(encode(fitted)) <= TERMINATION_MESSAGE_BYTES
    got = decode_report(encode(fitted))
    assert got is not None
    assert got.error is not None
    assert len(got.error.message) > 10
    assert numbers(got) == numbers(original)


def test_a_report_that_is_too_long_says_that_it_names_not_all_exceptions() -> None:
    original = largest("x")
    assert original.merged
    assert original.merged.exceptions
    used = tuple(ExceptionUse(name=f"{number}-{'e' * 60}", findings=100 - number) for number in range(60))
    exceptions = msgspec.structs.replace(original.merged.exceptions, used=used)
    history = HistoryCounts(open=COUNTS)
    merged = msgspec.structs.replace(
        original.merged, exceptions=exceptions, history=history, endpoints_remark="still there"
    )
    fitted = report.fitted(ShardReport(shard=0, attempt=1, outcome=Outcome.COMPLETE, merged=merged))
    assert len(encode(fitted)) <= TERMINATION_MESSAGE_BYTES
    assert fitted.merged
    assert fitted.merged.endpoints_remark == "still there"
    told = fitted.merged.exceptions
    assert told
    assert told.more
    assert told.used == used[: len(told.used)]
    assert 1 <= len(told.used) < len(used)


def test_a_report_that_fits_is_left_alone() -> None:
    original = full("Nothing answered – at all.", ("one", "two"))
    assert report.fitted(original) == original


@given(st.text(max_size=300), st.integers(min_value=4, max_value=120))
def test_shortened_text_keeps_its_beginning(text: str, limit: int) -> None:
    short = report.shortened(text, limit)
    assert len(msgspec.json.encode(short)) - 2 <= limit
    printable = "".join(character if character.isprintable() else " " for character in text)
    assert short == printable or (short.endswith("…") and printable.startswith(short[:-1]))


@pytest.mark.parametrize(
    ("error_class", "reason", "code"),
    [
        (ErrorClass.FATAL, Reason.NO_TEMPLATES_LOADED, ExitCode.FATAL),
        (ErrorClass.TEMPORARY, Reason.DISK_FULL, ExitCode.TEMPORARY),
        (ErrorClass.UNKNOWN, Reason.UNKNOWN_ERROR, ExitCode.UNKNOWN),
        (ErrorClass.UNKNOWN, Reason.RETRIES_EXHAUSTED, ExitCode.SHARD_FATAL),
        (ErrorClass.TEMPORARY, Reason.INTERRUPTED, ExitCode.INTERRUPTED),
    ],
)
def test_exit_codes(error_class: ErrorClass, reason: Reason, code: ExitCode) -> None:
    error = TaskError(error_class=error_class, reason=reason, message="x")
    assert report.exit_code(ShardReport(shard=0, attempt=1, outcome=Outcome.PARTIAL, error=error)) is code


def test_only_a_complete_shard_exits_0() -> None:
    assert report.exit_code(ShardReport(shard=0, attempt=1, outcome=Outcome.COMPLETE)) is ExitCode.OK


@pytest.mark.parametrize("replayed", [True, False])
def test_a_complete_shard_that_can_not_be_merged_costs_retries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replayed: bool
) -> None:
    """Lost otherwise: the end of a scan whose volume is full. Steps of a complete shard are no progress of its next attempt."""
    task = document()
    now = records.timestamp(time.time())
    complete = msgspec.structs.replace(
        records.begun(task.key, 0, 2, now, attempt=1), outcome=Outcome.COMPLETE, steps=3, finished_at=now
    )
    if replayed:
        begun = records.begun(task.key, 0, 2, now)
        publish.begin(divided.shard_folder(tmp_path, task, task.endpoints), begun).publish(complete)
    monkeypatch.setattr(Scan, "run", lambda _scan, _record: complete)

    def full(*_arguments: object, **_options: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(merge, "merge", full)
    told = run_shard(task, 0, tmp_path)
    assert told.error is not None
    assert (told.outcome, told.error.reason, told.replayed) == (Outcome.COMPLETE, Reason.DISK_FULL, replayed)
    assert (told.steps, report.exit_code(told)) == (0, ExitCode.TEMPORARY)


def test_a_termination_log_that_cannot_be_written_is_no_failure_of_the_scan(tmp_path: Path) -> None:
    report.write(full("x", ()), tmp_path / "missing" / "log")
    report.write(full("x", ()), None)


def test_the_termination_log_is_overwritten_in_place(tmp_path: Path) -> None:
    log = tmp_path / "termination-log"
    log.write_bytes(b"x" * 10_000)
    inode = log.stat().st_ino
    report.write(full("x", ()), log)
    assert decode_report(log.read_bytes()) == full("x", ())
    assert log.stat().st_ino == inode  # the kubelet has mounted this very file


def test_a_kill_while_the_termination_log_is_written_leaves_a_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lost otherwise: a retry, for a pod that had saved steps."""
    path = tmp_path / "termination-log"
    report.write(full("a longer one", ()), path)

    def killed(*_: object) -> None:
        raise OSError

    monkeypatch.setattr(os, "ftruncate", killed)
    report.write(full("x", ()), path)
    assert decode_report(path.read_bytes()) == full("x", ())
    monkeypatch.setattr(os, "write", killed)
    report.write(full("another", ()), path)
    assert decode_report(path.read_bytes()) == full("x", ())
