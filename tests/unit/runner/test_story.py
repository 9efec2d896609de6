"""The story that docs/how-to/findings-over-time.md tells: eight scans of one project, by the runner's own merge."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from scanplan.api.v1alpha1.task import HistoryCounts

from .documents import finding
from .test_history import Run

PAGE = Path(__file__).parents[3] / "docs/how-to/findings-over-time.md"
RENAMED = {"name": "x", "severity": "high", "metadata": {"aliases": ["t"]}}
SCANS: dict[str, Callable[[Run], HistoryCounts]] = {
    "the finding is found": lambda run: run.scan(finding("t")),
    "somebody accepts the risk": lambda run: run.scan(finding("t")),
    "the exception expires": lambda run: run.scan(finding("t")),
    "the target is down": lambda run: run.scan(trusted="0"),
    "the template is missing": lambda run: run.scan(ran=("u",)),
    "it is fixed": lambda run: run.scan(),
    "it comes back": lambda run: run.scan(finding("t")),
    "the template has another name": lambda run: run.scan(finding("n", info=RENAMED), ran=("n", "t")),
}


def test_the_story_of_eight_scans_is_true(tmp_path: Path) -> None:
    """Lost otherwise: trust in each "resolved" of a list that people stopped to read."""
    rows = re.findall(r"^\| (\d) \| (.+?) \| (\w+) \| (\d) \| (\d) \| (\d) \| (\d) \|$", PAGE.read_text(), re.MULTILINE)
    assert [what for _, what, *_ in rows] == list(SCANS)
    run = Run(tmp_path)
    for number, what, state, *expected in rows:
        changed = SCANS[what](run)
        counts = [changed.new, changed.resolved, changed.reopened, changed.open]
        assert [str(each.total) for each in counts] == expected, number
        (entry,) = run.entries
        assert entry.state == state, number
    assert (entry.template, entry.first_seen[8:10], entry.times_seen, entry.reopened) == ("n", "01", 5, 1)
