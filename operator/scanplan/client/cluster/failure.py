"""Errors of requests to a cluster: one sentence says what is wrong, one says what to do, with an exit code for commands.

Exit codes are those of sysexits(3), where it has one for the case.
"""

from __future__ import annotations

import os

UNAVAILABLE = os.EX_UNAVAILABLE
NO_INPUT = os.EX_NOINPUT


class Failure(Exception):
    """A command can't do what was asked.

    Args:
        message: what is wrong, without a full stop.
        hint: what to do about it.
        code: the exit code.
    """

    def __init__(self, message: str, hint: str = "", code: int = UNAVAILABLE) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code


class NotFound(Failure):
    """There is no such object."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint, NO_INPUT)


class UnknownKind(Failure):
    """The cluster has no such kind of objects: its definition is not installed."""


class Forbidden(Failure):
    """The user may not do that."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint, os.EX_NOPERM)


class Conflict(Failure):
    """The name is taken, or somebody else manages the field."""


def unreadable_reader() -> Failure:
    """The failure where a reader pod's output is not what this version's programs write."""
    return Failure(
        "the reader pod sends what can't be read", "an image with this version's runner, or none of your own"
    )
