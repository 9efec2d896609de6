"""Which template variables a plan may set, decided the same way by the operator and in the scan pod.

Nuclei sends what a file holds where a variable's value is the file's path (`-var`, payloads of a template). A plan must not read
the scanner's files that way, nor aim templates at something else than its endpoints.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from scanplan.api.errors import InvalidPlan
from scanplan.api.names import RESERVED_VARIABLES, VARIABLE
from scanplan.api.v1alpha1.conditions import Reason

MAX_LENGTH = 4_096
_NAME = re.compile(VARIABLE)
_VALUE = re.compile(rf"[^\x00-\x1f\x7f]{{0,{MAX_LENGTH}}}")
_OF_THE_SYSTEM = re.compile(r"^/+(\./+)*(proc|dev|sys|run|var/run)(/|$)|(^|/)\.\.(/|$)")
"""Places whose files come and go: no check could know them."""


def check(values: Mapping[str, str]) -> None:
    """Raise InvalidPlan for the first variable that a plan may not set; the message quotes no value."""
    for name, value in values.items():
        if name.lower() in RESERVED_VARIABLES:
            raise InvalidPlan(
                Reason.INVALID_SPEC, f"variable {name!r} is set by Nuclei for each target: take another name"
            )
        if _OF_THE_SYSTEM.search(value):
            raise InvalidPlan(
                Reason.INVALID_SPEC,
                f"variable {name!r} names a file of the scanner, which Nuclei would send: change its value",
            )


def parse(files: Mapping[str, bytes]) -> dict[str, str]:
    """Variables of a Secret, where each key is a name; a line break at the end of a value is not a part of it.

    Raises:
        InvalidPlan: one that Nuclei's file of lines can't hold; the message names it, and not its value.
    """
    values: dict[str, str] = {}
    for name, content in files.items():
        problem = "" if _NAME.fullmatch(name) else "has no name that templates could use"
        try:
            values[name] = content.decode().rstrip("\r\n")
        except UnicodeDecodeError:
            problem = "is no text (UTF-8)"
        else:
            if not _VALUE.fullmatch(values[name]):
                problem = problem or f"is more than one line of {MAX_LENGTH:,} characters"
        if problem:
            raise InvalidPlan(Reason.INVALID_SPEC, f"variable {name!r} of variablesFrom {problem}")
    return values


def check_together(public: Mapping[str, str], secret: Mapping[str, str]) -> None:
    """Raise InvalidPlan for the first of all variables of a plan that it may not set."""
    check(public)
    check(secret)
    if double := min(set(public) & set(secret), default=""):
        raise InvalidPlan(
            Reason.INVALID_SPEC, f"variable {double!r} is in variables and in the Secret of variablesFrom: keep one"
        )


def lines(values: Mapping[str, str]) -> list[str]:
    """The lines of Nuclei's file of variables."""
    return [f"{name}={value}" for name, value in values.items()]
