"""What an exception's conditions say: a table over results, times and bounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from scanplan.api.v1alpha1.scanexception import ScanExceptionStatus
from scanplan.core.exceptions import statuses
from scanplan.core.exceptions.statuses import Known, Use
from scanplan.findings.exceptions import Match, ScanException

NOW = datetime(2026, 11, 27, 14, tzinfo=UTC)
SEEN = NOW - timedelta(days=1)
GIT = Match(templates=("git-config",))


def known(match: Match = GIT, days: float = 30, **changed: Any) -> Known:
    exception = ScanException(name="x", match=match, expires_at=NOW + timedelta(days=days))
    fields = {"exception": exception, "status": ScanExceptionStatus(), **changed}
    return Known(name="x", generation=1, resource_version="7", seen=SEEN, **fields)


def use(total: int, mine: int = 0, hours: float = 1, more: bool = False, **others: int) -> Use:
    """A result that was counted `hours` after the exception was seen."""
    findings: Mapping[str, int] = {**({"x": mine} if mine else {}), **others}
    return Use(time=SEEN + timedelta(hours=hours), total=total, findings=findings, more=more)


def told(status: ScanExceptionStatus) -> dict[str, tuple[str, str]]:
    return {each.type: (each.status, each.reason) for each in status.conditions}


@pytest.mark.parametrize(
    ("of", "uses", "reason", "kind", "findings"),
    [
        (known(), [], "NoResultYet", None, 0),
        (known(), [use(5, 2)], "InForce", None, 2),
        (known(), [use(5, 2), use(9, 3), use(4)], "InForce", None, 5),
        (known(), [use(5)], "Unused", "Unused", 0),
        (known(), [use(5, other=3)], "Unused", "Unused", 0),
        (known(), [use(0)], "Unused", "Unused", 0),
        (known(), [use(5, more=True)], "NoResultYet", None, 0),
        (known(), [use(5, hours=-1)], "NoResultYet", None, 0),
        (known(), [use(5, 5, hours=-1), use(4, 1)], "InForce", None, 1),
        (known(), [use(5, 5)], "TooWide", "TooWide", 5),
        (known(), [use(5, 5), use(1)], "InForce", None, 5),
        (known(), [use(5, 5), use(1, hours=-1)], "TooWide", "TooWide", 5),
        (known(), [use(1, 1)], "InForce", None, 1),
        (known(Match(fingerprints=("ab" * 16,))), [use(2, 2)], "InForce", None, 2),
        (known(Match(templates=("*",))), [], "TooWide", "TooWide", 0),
        (known(Match(templates=("*",), hosts=("a",))), [], "NoResultYet", None, 0),
        (known(days=-0.1), [use(5, 5)], "Expired", "Expired", 5),
        (known(Match(templates=("*",)), days=0), [], "Expired", "Expired", 0),
        (known(days=363.9), [], "NoResultYet", None, 0),
        (known(days=364.1), [], "ExpiresTooLate", "Stalled", 0),
        (known(exception=None, problem="no match"), [use(5)], "InvalidSpec", "Stalled", 0),
    ],
)
def test_conditions(of: Known, uses: list[Use], reason: str, kind: str | None, findings: int) -> None:
    status = statuses.of(of, uses, 365, NOW)
    ready = "False" if kind == "Stalled" else "True"
    expected = {"Ready": (ready, reason), **({kind: ("True", reason)} if kind else {})}
    assert (told(status), status.findings, status.observed_generation) == (expected, findings, 1)


def test_what_has_been_written_is_not_written_again() -> None:
    """Lost otherwise: a write at every look."""
    uses = [use(5, 2)]
    first = statuses.of(known(), uses, 365, NOW)
    later = replace(known(), status=first, seen=NOW)
    assert statuses.of(later, uses, 365, NOW + timedelta(hours=3)) == first


def test_a_new_generation_is_judged_by_scans_that_know_it() -> None:
    """Lost otherwise: an exception that was corrected, and is still told as unused for what it said before."""
    first = statuses.of(known(), [use(5)], 365, NOW)
    edited = replace(known(), status=first, generation=2, seen=NOW)
    assert told(statuses.of(edited, [use(5)], 365, NOW)) == {"Ready": ("True", "NoResultYet")}


def test_a_restart_of_the_operator_does_not_make_an_exception_younger() -> None:
    """Lost otherwise: the bound on how long a risk may be accepted, by anybody who can restart a pod."""
    of = known(days=400)
    refused = statuses.of(of, [], 365, NOW)
    again = replace(of, status=refused, seen=NOW + timedelta(days=100))
    assert told(statuses.of(again, [], 365, NOW + timedelta(days=100)))["Stalled"] == ("True", "ExpiresTooLate")
