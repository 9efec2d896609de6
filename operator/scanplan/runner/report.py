"""The shard's report: the pod's termination message, its exit code, and how both stay within their bounds.

Kubernetes keeps 4096 bytes of a termination message and cuts the rest off, which would make it unreadable. A report that is
too long loses what only people read: examples, warnings, names of exceptions, and the ends of its remarks and its message. It
never loses its class, reason, counts or digests. These fit, however large the counts are.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import msgspec

from scanplan.api.documents.report import TERMINATION_MESSAGE_BYTES, ShardReport, TaskError
from scanplan.api.documents.words import ErrorClass, encode
from scanplan.api.exit_codes import ExitCode
from scanplan.api.v1alpha1.conditions import Reason

MESSAGE_BYTES = 1024
LEAST_MESSAGE_BYTES = 64
WARNING_BYTES = 200
MAX_WARNINGS = 8
_ELLIPSIS = "…"


def fitted(report: ShardReport, limit: int = TERMINATION_MESSAGE_BYTES) -> ShardReport:
    """`report`, shortened until it takes at most `limit` bytes."""
    warnings = tuple(shortened(warning, WARNING_BYTES) for warning in report.warnings[:MAX_WARNINGS])
    report = msgspec.structs.replace(report, warnings=warnings, error=_with_message(report.error, MESSAGE_BYTES))
    for cut in _CUTS:
        while len(encode(report)) > limit and (shorter := cut(report)) != report:
            report = shorter
    return report


def _cut_new_findings(report: ShardReport) -> ShardReport:
    """Without the name of the least severe new finding."""
    history = report.merged.history if report.merged else None
    if history is None or history.told is None:
        return report
    told = msgspec.structs.replace(history.told, examples=history.told.examples[:-1])
    return _with_merged(report, history=msgspec.structs.replace(history, told=told))


def _cut_warnings(report: ShardReport) -> ShardReport:
    return msgspec.structs.replace(report, warnings=report.warnings[:-1])


def _cut_refused_lines(report: ShardReport) -> ShardReport:
    """Without the last example of a line that is no endpoint."""
    file = report.merged.endpoints_file if report.merged else None
    if file is None:
        return report
    return _with_merged(report, endpoints_file=msgspec.structs.replace(file, examples=file.examples[:-1]))


def _cut_exceptions(report: ShardReport) -> ShardReport:
    """Without the name of the exception that matches the fewest findings."""
    applied = report.merged.exceptions if report.merged else None
    if applied is None or not applied.used:
        return report
    return _with_merged(report, exceptions=msgspec.structs.replace(applied, used=applied.used[:-1], more=True))


def _cut_remarks(report: ShardReport) -> ShardReport:
    """With half of the remarks about endpoints and templates."""
    merged = report.merged
    if merged is None:
        return report
    return _with_merged(
        report, endpoints_remark=_half(merged.endpoints_remark), templates_remark=_half(merged.templates_remark)
    )


def _cut_message(report: ShardReport) -> ShardReport:
    """With half of the error's message."""
    if report.error is None:
        return report
    message = _half(report.error.message, LEAST_MESSAGE_BYTES)
    return msgspec.structs.replace(report, error=msgspec.structs.replace(report.error, message=message))


_CUTS = (
    _cut_new_findings,
    _cut_warnings,
    _cut_refused_lines,
    _cut_exceptions,
    _cut_remarks,
    _cut_message,
)
"""Each is repeated until the report fits, or until it changes nothing more; then comes the next one."""


def _with_merged(report: ShardReport, **changes: Any) -> ShardReport:
    assert report.merged is not None  # noqa: S101 - a cut of it comes from it
    return msgspec.structs.replace(report, merged=msgspec.structs.replace(report.merged, **changes))


def _half(text: str, least: int = 0) -> str:
    """The first half of a text, at least its first `least` bytes of JSON."""
    return shortened(text, max(least, _json_bytes(text) // 2))


def shortened(text: str, limit: int) -> str:
    """`text` cut to `limit` bytes of JSON, with an ellipsis; control characters, which JSON blows up, become spaces."""
    text = "".join(character if character.isprintable() else " " for character in text)
    if _json_bytes(text) <= limit:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        fits = _json_bytes(text[:middle] + _ELLIPSIS) <= limit
        low, high = (middle, high) if fits else (low, middle - 1)
    return text[:low] + _ELLIPSIS


def _json_bytes(text: str) -> int:
    """Bytes of a text as JSON, without its quotation marks."""
    return len(msgspec.json.encode(text)) - 2


def _with_message(error: TaskError | None, limit: int) -> TaskError | None:
    return None if error is None else msgspec.structs.replace(error, message=shortened(error.message, limit))


def write(report: ShardReport, path: Path | None) -> None:
    """Leave the report where Kubernetes reads it."""
    leave(encode(fitted(report)), path)


def leave(message: bytes, path: Path | None) -> None:
    """Leave a termination message; without such a file (no pod) nowhere.

    The kubelet makes the file before the container starts, so it is written in place. A process that is killed meanwhile
    leaves the message before or the new one: one write covers the whole file. Where the file can't be written, the exit
    code still says what matters.
    """
    if path is None:
        return
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            os.write(descriptor, message.ljust(os.fstat(descriptor).st_size))
            os.ftruncate(descriptor, len(message))
        finally:
            os.close(descriptor)


def exit_code(report: ShardReport) -> ExitCode:
    """The exit code that tells the Job what to do about this attempt."""
    error = report.error
    if error is None:
        return ExitCode.OK
    if report.steps and error.error_class is not ErrorClass.FATAL:
        return ExitCode.INTERRUPTED  # what it saved is not done again: it costs no retry
    match error.reason:
        case Reason.INTERRUPTED:
            return ExitCode.INTERRUPTED
        case Reason.RETRIES_EXHAUSTED:
            return ExitCode.SHARD_FATAL
        case _:
            pass
    return {
        ErrorClass.FATAL: ExitCode.FATAL,
        ErrorClass.TEMPORARY: ExitCode.TEMPORARY,
        ErrorClass.UNKNOWN: ExitCode.UNKNOWN,
    }[error.error_class]
