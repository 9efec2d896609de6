"""One attempt at one export: read what is to be done, do it, leave a report, and return the exit code.

What may go better another time ends with TEMPORARY; what will not, with SHARD_FATAL, so that only this export has failed.
"""

from __future__ import annotations

import signal
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import FrameType

import msgspec

from scanplan.api import environment
from scanplan.api.documents.export import (
    MESSAGE_LENGTH,
    DefectDojoTarget,
    ExportDocument,
    ExportReport,
    HttpTarget,
    S3Target,
    decode_document,
)
from scanplan.api.documents.words import encode
from scanplan.api.exit_codes import ExitCode
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.core.egress.policy import ReceiverPolicy
from scanplan.core.planning.targets.guard import Guard
from scanplan.findings.exceptions import Handed
from scanplan.runner import report, task_source
from scanplan.runner.exporting import defectdojo, http, s3, upload
from scanplan.runner.exporting.result import Result
from scanplan.runner.exporting.trouble import Trouble

ATTEMPT_SECONDS = 3_600
"""Limit of one attempt."""
MOST_PAUSE_SECONDS = 300.0
"""A receiver's Retry-After is kept up to here; the Job's own backoff follows."""


class _Stopped(BaseException):
    """SIGTERM: the pod has to go."""


class _TooLong(Exception):
    """The attempt has taken `ATTEMPT_SECONDS`."""


def main(variables: Mapping[str, str]) -> ExitCode:
    """Run one attempt."""
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGALRM, _end)
    signal.alarm(ATTEMPT_SECONDS)
    name, trouble = "", None
    try:
        document, index, exceptions = _read(variables)
        name = document.exports[index].name
        folder = Path(variables[environment.RESULT_DIRECTORY])
        with Result(folder, document, exceptions) as result:
            sent = export(document, index, result)
        print(f"{name}: {sent}", flush=True)
        code = ExitCode.OK
    except _Stopped:
        return ExitCode.INTERRUPTED
    except Trouble as error:
        trouble, code = error, ExitCode.TEMPORARY if error.temporary else ExitCode.SHARD_FATAL
    except _TooLong:
        trouble = Trouble(Reason.RECEIVER_UNREACHABLE, f"it took more than {ATTEMPT_SECONDS:,} seconds", temporary=True)
        code = ExitCode.TEMPORARY
    except (KeyError, OSError, ValueError, msgspec.MsgspecError) as error:
        # The words of an error may have a URL or a header in them.
        traceback.print_tb(error.__traceback__)
        trouble = Trouble(
            Reason.UNKNOWN_ERROR, f"the exporter failed with {type(error).__name__}: its log has the trace"
        )
        code = ExitCode.UNKNOWN
    signal.alarm(0)
    if trouble:
        print(f"{name}: {trouble.reason}: {trouble}", flush=True)
        _pause(trouble)
    log = Path(path) if (path := variables.get(environment.TERMINATION_LOG)) else None
    reason = trouble.reason if trouble else Reason.EXPORTED
    message = report.shortened(str(trouble), MESSAGE_LENGTH) if trouble else ""
    report.leave(encode(ExportReport(export=name, reason=reason, message=message)), log)
    return code


def export(document: ExportDocument, index: int, result: Result) -> str:
    """Send the result where an export says; returns what was done, for the log.

    Raises:
        Trouble: it was not taken.
    """
    wanted = document.exports[index]
    policy = ReceiverPolicy((), Guard(document.denied_targets))
    client = http.Client(policy)
    match wanted.target:
        case HttpTarget() as target:
            return upload.send(target, wanted, result, client)
        case S3Target() as target:
            return s3.send(target, wanted, result, client)
        case DefectDojoTarget() as target:
            return defectdojo.send(target, wanted, result, client)


def _read(variables: Mapping[str, str]) -> tuple[ExportDocument, int, Handed | None]:
    folder = Path(variables[environment.TASK_DIRECTORY])
    document = decode_document((folder / environment.TASK_FILE).read_bytes())
    index = int(variables[environment.COMPLETION_INDEX])
    if not 0 <= index < len(document.exports):
        raise ValueError(f"{environment.COMPLETION_INDEX} is {index}, and there are {len(document.exports)} exports")
    return document, index, task_source.exceptions(folder)


def _pause(trouble: Trouble) -> None:
    """Keep a receiver's Retry-After; SIGTERM ends it as it ends the program."""
    if trouble.retry_after:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        time.sleep(min(trouble.retry_after, MOST_PAUSE_SECONDS))


def _stop(_signal: int, _frame: FrameType | None) -> None:
    raise _Stopped


def _end(_signal: int, _frame: FrameType | None) -> None:
    raise _TooLong
