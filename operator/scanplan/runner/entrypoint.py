"""The runner as a program: what the pod's container starts.

`python3 -m scanplan.runner` scans the shard that the environment names, `… collect` merges what is on the claim and marks
it partial where shards are missing, `… export` sends a published result elsewhere. All leave their report in the termination log,
and end with the exit code that tells the Job what to do next, whatever happens.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from scanplan.api import environment
from scanplan.api.documents import records
from scanplan.api.documents.report import ShardReport, TaskError
from scanplan.api.documents.words import ErrorClass, Outcome
from scanplan.api.errors import ScanError
from scanplan.api.exit_codes import ExitCode
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.runner import collect, progress, report, shard, task_source
from scanplan.runner.nuclei.launch.installation import Installation

_USAGE = """usage: python3 -m scanplan.runner [scan | collect | export]

Scans one shard of a task, merges what its shards have published, or exports a published result.
Everything else comes from the environment:
"""


def main(arguments: Sequence[str], variables: Mapping[str, str], stop: Callable[[], bool]) -> int:
    """Run the mode that `arguments` names, leave its report, and return the exit code."""
    mode = arguments[0] if arguments else "scan"
    if mode in {"-h", "--help"}:
        print(_USAGE + "".join(f"  {name}\n" for name in _variables()))
        return ExitCode.OK
    if mode == "export":
        from scanplan.runner.exporting import entry  # noqa: PLC0415 - a scan needs no HTTP client

        return entry.main(variables)
    log = Path(path) if (path := variables.get(environment.TERMINATION_LOG)) else None
    confidential = True  # until the document says that it isn't
    try:
        if len(arguments) > 1 or mode not in {"scan", "collect"}:
            raise _Usage(f"Unknown arguments: {' '.join(arguments)}.")
        run = Path(_needed(variables, environment.RUN_DIRECTORY))
        folder = Path(_needed(variables, environment.TASK_DIRECTORY))
        document = task_source.read(folder, variables.get(environment.TASK_DIGEST, ""))
        confidential = document.confidential
        exceptions = task_source.exceptions(folder)
        if mode == "collect":
            result = collect.collect(document, run, exceptions)
            _tell(_finished(result))
        else:
            index = _index(_needed(variables, environment.COMPLETION_INDEX))
            result = shard.run_shard(
                document,
                index,
                run,
                installation=Installation.from_environment(variables),
                on_progress=_tell,
                stop=stop,
                on_saved=lambda so_far: report.write(so_far, log),
                pod=variables.get(environment.POD_NAME, ""),
                exceptions=exceptions,
            )
        code = report.exit_code(result)
    except _Usage as wrong:
        result, code = _failed(ErrorClass.FATAL, Reason.TASK_DOCUMENT_INVALID, str(wrong)), ExitCode.USAGE
    except ScanError as error:
        result = _failed(error.error_class, error.reason, error.message)
        code = report.exit_code(result)
    except Exception as error:
        traceback.print_tb(error.__traceback__)
        why = type(error).__name__ if confidential else f"{type(error).__name__}: {error}"
        message = f"The runner failed: {why}. Its log has the trace."
        result, code = _failed(ErrorClass.UNKNOWN, Reason.UNKNOWN_ERROR, message), ExitCode.UNKNOWN
    report.write(result, log)
    return code


class _Usage(Exception):
    """The program was started wrongly."""


def _needed(variables: Mapping[str, str], name: str) -> str:
    value = variables.get(name)
    if not value:
        raise _Usage(f"The environment variable {name} is not set: the operator's Job sets it.")
    return value


def _index(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise _Usage(f"{environment.COMPLETION_INDEX} is {text!r}, not a number.")
    return int(text)


def _variables() -> list[str]:
    return [value for name, value in vars(environment).items() if name.isupper()]


def _failed(error_class: ErrorClass, reason: Reason, message: str) -> ShardReport:
    error = TaskError(error_class=error_class, reason=reason, message=message)
    result = ShardReport(shard=-1, attempt=0, outcome=Outcome.FAILED, error=error)
    _tell(_finished(result))
    return result


def _finished(result: ShardReport) -> progress.Event:
    return progress.finished(result, records.timestamp(time.time()))


def _tell(event: progress.Event) -> None:
    print(progress.line(event), flush=True)
