"""Failures of commands: one sentence says what is wrong, one says what to do, and an exit code serves scripts.

Exit codes are those of sysexits(3), where it has one for the case. 1 means a clear but negative answer: the scan failed, or has
findings that `--fail-on` names.
"""

from __future__ import annotations

import functools
import os
import signal
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

import typer

from scanplan.cli.output.terminal import Unread, say
from scanplan.client.cluster.failure import NO_INPUT, UNAVAILABLE, Conflict, Failure, Forbidden, NotFound, UnknownKind

ANSWER_IS_NO = 1
USAGE = os.EX_USAGE
DATA = os.EX_DATAERR
TEMPORARY = os.EX_TEMPFAIL
INTERRUPTED = 130

__all__ = [
    "ANSWER_IS_NO",
    "DATA",
    "INTERRUPTED",
    "NO_INPUT",
    "TEMPORARY",
    "UNAVAILABLE",
    "USAGE",
    "Conflict",
    "Failure",
    "Forbidden",
    "NotFound",
    "UnknownKind",
    "told",
]

F = TypeVar("F", bound=Callable[..., Any])


def told(command: F) -> F:
    """Wrap a command: a Failure becomes two lines on standard error and an exit code."""

    @functools.wraps(command)
    def run(*arguments: Any, **options: Any) -> Any:
        # A stopped pipeline sends SIGTERM. Handle it as Ctrl-C, so that reader pods are removed.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            return command(*arguments, **options)
        except Failure as failure:
            _tell(failure)
        except Unread:
            raise typer.Exit(0) from None
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None

    return run  # type: ignore[return-value]


def _tell(failure: Failure) -> NoReturn:
    say(f"error: {failure.message}")
    if failure.hint:
        say(f"  try: {failure.hint}")
    raise typer.Exit(failure.code)
