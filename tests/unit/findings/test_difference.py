"""What is new and what is gone between two scans: a wrong answer sends people after the wrong things."""

from __future__ import annotations

import pytest

from scanplan.findings import difference, history
from scanplan.findings.history import Tally

from .sightings import records, sighting

SEEN, GONE, NOT_LOOKED = "seen", "gone", "not looked for"
CASES = {
    # what the scans before and the scan after did → change
    "stays": ([SEEN], SEEN, "unchanged"),
    "comes": ([GONE], SEEN, "new"),
    "is resolved": ([SEEN], GONE, "resolved"),
    "is not looked for": ([SEEN], NOT_LOOKED, "not seen"),
    "comes back": ([SEEN, GONE], SEEN, "reopened"),
    "stays resolved": ([SEEN, GONE], GONE, None),
    "was never there": ([GONE], GONE, None),
}


@pytest.mark.parametrize("case", CASES)
def test_what_became_of_a_finding(case: str) -> None:
    earlier, later, expected = CASES[case]
    lines: list[bytes] = []
    before: list[bytes] = []
    for moment, what in enumerate([*earlier, later], 1):
        before = lines
        seen = records(sighting()) if what == SEEN else []
        lines = list(history.continued(lines, seen, str(moment), _looked if what == GONE else _not, Tally()))
    told = [change.value for change, _ in difference.difference(before, lines, str(len(earlier) + 1))]
    assert told == ([expected] if expected else [])


def _looked(_: history.Sighting) -> bool:
    return True


def _not(_: history.Sighting) -> bool:
    return False


def test_histories_of_two_runs() -> None:
    one = list(history.continued((), records(sighting(1), sighting(3), sighting(4)), "1", _not, Tally()))
    two = list(history.continued((), records(sighting(2), sighting(3)), "2", _not, Tally()))
    told = [(change.value, int(entry.identity, 16)) for change, entry in difference.difference(one, two, "2")]
    assert told == [("not seen", 1), ("new", 2), ("unchanged", 3), ("not seen", 4)]
