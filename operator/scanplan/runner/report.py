"""The shard's report: the pod's termination message, its exit code, and how both stay within their bounds.

Kubernetes keeps 4096 bytes of a termination message and cuts the rest off, which would make it unreadable. So a report
that is too long loses warnings first, then the ends of its messages, and never its class, reason, counts or digests.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import msgspec

from scanplan.api.documents.report import TERMINATION_MESSAGE_BYTES, ShardReport, TaskError
from scanplan.api.documents.words import ErrorClass, encode
from scanplan.api.exit_codes import ExitCode
from scanplan.api.v1alpha1.conditions import Reason

MESSAGE_BYTES = 1024
WARNING_BYTES = 200
MAX_WARNINGS = 8
_ELLIPSIS = "…"


def fitted(report: ShardReport, limit: int = TERMINATION_MESSAGE_BYTES) -> ShardReport:
    """`report`, shortened until it takes at most `limit` bytes."""
    warnings = tuple(shortened(warning, WARNING_BYTES) for warning in report.warnings[:MAX_WARNINGS])
    report = msgspec.structs.replace(report, warnings=warnings, error=_with_message(report.error, MESSAGE_BYTES))
    if len(encode(report)) > limit:
        report = _without_examples(report)
    message_bytes = MESSAGE_BYTES
    while len(encode(report)) > limit and (report.warnings or message_bytes > 64):
        if report.warnings:
            report = msgspec.structs.replace(report, warnings=report.warnings[:-1])
        else:
            message_bytes //= 2
            report = msgspec.structs.replace(report, error=_with_message(report.error, message_bytes))
    return report


def _without_examples(report: ShardReport) -> ShardReport:
    """The report without the names of new findings; their number stays."""
    merged = report.merged
    if merged is None or merged.history is None or merged.history.told is None:
        return report
    told = msgspec.structs.replace(merged.history.told, examples=())
    history = msgspec.structs.replace(merged.history, told=told)
    return msgspec.structs.replace(report, merged=msgspec.structs.replace(merged, history=history))


def shortened(text: str, limit: int) -> str:
    """`text` cut to `limit` bytes of JSON, with an ellipsis; control characters, which JSON blows up, become spaces."""
    text = "".join(character if character.isprintable() else " " for character in text)
    if len(msgspec.json.encode(text)) - 2 <= limit:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        fits = len(msgspec.json.encode(text[:middle] + _ELLIPSIS)) - 2 <= limit
        low, high = (middle, high) if fits else (low, middle - 1)
    return text[:low] + _ELLIPSIS


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
