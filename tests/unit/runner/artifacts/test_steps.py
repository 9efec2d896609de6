"""The journal of steps: what is written, and when."""

from __future__ import annotations

from pathlib import Path

from scanplan.api import layout
from scanplan.runner.artifacts import publish, steps
from scanplan.runner.artifacts.steps import Journal, Step
from scanplan.runner.nuclei.judging.evidence import Evidence
from scanplan.runner.nuclei.judging.statistics import ScannerLog
from scanplan.runner.work import Span


def step(endpoint: int) -> Step:
    return steps.step("plan", Span(0, 1, endpoint, endpoint + 1), 0, ScannerLog(0.0), Evidence(()), ())


def test_dead_steps_are_written_once_a_later_step_shows_that_the_network_works(tmp_path: Path) -> None:
    """Lost otherwise: a /16 whose first address is dead starts from the beginning after each kill."""
    folder = publish.folder(tmp_path, 1)
    folder.mkdir(parents=True)
    journal = Journal(tmp_path, 1, "plan", not_before=None)
    journal.hold(step(0))
    journal.hold(step(1))
    assert (list(folder.iterdir()), journal.added) == ([], 0)
    journal.add(step(2))
    journal.add(step(3))
    (folder / layout.FINDINGS).touch()
    assert [each.span.first_endpoint for each in steps._kept(folder)] == [0, 1, 2, 3]
    assert journal.added == 4
