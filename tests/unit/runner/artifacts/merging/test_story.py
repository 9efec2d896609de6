"""The story that docs/how-to/findings-over-time.md tells: eight scans of one project, by the runner's own merge."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from scanplan.api.documents.report import HistoryCounts
from scanplan.findings.exceptions import Handed, Match, ScanException, Suppressor
from tests.unit.runner.documents import finding

from .test_history import Run

PAGE = Path(__file__).parents[5] / "docs/how-to/findings-over-time.md"
RENAMED = {"name": "x", "severity": "high", "metadata": {"aliases": ["t"]}}
ACCEPTED = ScanException(
    name="accepted",
    match=Match(templates=("t",)),
    reason="behind the VPN",
    expires_at=datetime(2026, 11, 3, tzinfo=UTC),
)


def accepted(run: Run) -> HistoryCounts:
    """From here on the exception is there: nobody removes it when it has expired."""
    run.exceptions = Handed(time=datetime(2026, 11, 2, tzinfo=UTC), exceptions=(ACCEPTED,))
    return run.scan(finding("t"))


SCANS: dict[str, Callable[[Run], HistoryCounts]] = {
    "the finding is found": lambda run: run.scan(finding("t")),
    "somebody accepts the risk": accepted,
    "the exception expires": lambda run: run.scan(finding("t")),
    "the target is down": lambda run: run.scan(trusted="0"),
    "the template is missing": lambda run: run.scan(ran=("u",)),
    "it is fixed": lambda run: run.scan(),
    "it comes back": lambda run: run.scan(finding("t")),
    "the template has another name": lambda run: run.scan(finding("n", info=RENAMED), ran=("n", "t")),
}


def test_the_story_of_eight_scans_is_true(tmp_path: Path) -> None:
    """Lost otherwise: trust in each "resolved" of a list that people stopped to read."""
    numbers = r" (\d) \|" * 5
    rows = re.findall(rf"^\| (\d) \| (.+?) \| (\w+) \|{numbers}$", PAGE.read_text(), re.MULTILINE)
    assert [what for _, what, *_ in rows] == list(SCANS)
    run = Run(tmp_path)
    for number, what, state, *expected in rows:
        changed = SCANS[what](run)
        counts = [changed.new, changed.resolved, changed.reopened, changed.open]
        assert [*(str(each.total) for each in counts), str(run.suppressed)] == expected, number
        (entry,) = run.entries
        assert entry.state == state, number
    assert (entry.template, entry.first_seen[8:10], entry.times_seen, entry.reopened) == ("n", "01", 5, 1)


@pytest.mark.parametrize(("day", "falls_under"), [(2, True), (3, False)])
def test_readers_of_the_story_go_by_the_exceptions_end(tmp_path: Path, day: int, falls_under: bool) -> None:
    """Lost otherwise: a finding that `diff` passes over, after the decision about it has ended."""
    run = Run(tmp_path)
    run.scan(finding("t"))
    (entry,) = run.entries
    suppressor = Suppressor([ACCEPTED], datetime(2026, 11, day, tzinfo=UTC))
    assert (suppressor.of_entry(entry) is not None) is falls_under
