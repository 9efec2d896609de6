"""Which template variables a plan may set, decided the same way by the operator and in the scan pod.

Nuclei sends what a file holds where a variable's value is the file's path (`-var`, payloads of a template). A plan must not read
the scanner's files that way, nor aim templates at something else than its endpoints.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from scanplan.api.errors import InvalidPlan
from scanplan.api.names import RESERVED_VARIABLES
from scanplan.api.v1alpha1.conditions import Reason

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


def lines(values: Mapping[str, str]) -> list[str]:
    """The lines of Nuclei's file of variables."""
    return [f"{name}={value}" for name, value in values.items()]
