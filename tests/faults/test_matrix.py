"""The fault matrix on a control plane: one test a row, all by the one oracle (see `tests.faults.oracle`)."""

from __future__ import annotations

from concurrent.futures import Future, wait

import pytest

from tests.faults import (  # noqa: F401 - they register their rows
    rows_exports,
    rows_notifiers,
    rows_schedules,
    rows_servers,
    rows_soak,
    rows_streams,
    rows_users,
    rows_writes,
)
from tests.faults.case import Laboratory
from tests.faults.matrix import ROWS, Outcome
from tests.faults.table import Line, Table

pytestmark = [
    pytest.mark.timeout(3600),
    # A server that is killed in the middle of an answer leaves sockets to the garbage collector, of the tests' own connections.
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

IN_ORDER = sorted(ROWS.values(), key=lambda each: each.exclusive)


@pytest.mark.parametrize("number", [each.number for each in IN_ORDER])
def test_row(number: str, laboratory: Laboratory, outcomes: dict[str, Future[Outcome]], table: Table) -> None:
    """Lost otherwise: a scan run twice, a finding, or a status that can be believed, under this fault."""
    asked = ROWS[number]
    line = Line(asked.number, asked.fault, asked.within, failed=True)
    table.lines.append(line)
    if asked.exclusive:
        wait(outcomes.values())
    outcome = asked.run(laboratory) if asked.exclusive else outcomes[number].result()
    line.verdicts, line.met, line.failed = outcome.verdicts, outcome.met, False
