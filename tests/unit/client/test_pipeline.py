"""One attempt at a task, over shards that are scanned without Nuclei."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scanplan.api.documents.report import ShardReport, TaskError
from scanplan.api.documents.task import TaskDocument
from scanplan.api.documents.words import ErrorClass, Outcome
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.client import pipeline
from scanplan.client.pipeline import Attempt
from scanplan.client.settings import ClientSettings
from tests.unit.core.objects import merged
from tests.unit.runner.documents import document

SHARDS = 3
TASK = document(endpoints=tuple(f"http://{name}.example" for name in "abc"), shards=SHARDS)
CRASHED = TaskError(error_class=ErrorClass.UNKNOWN, reason=Reason.UNKNOWN_ERROR, message="nobody knows why")


class Clock:
    """A monotonic clock that moves by scans alone."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def monotonic(self) -> float:
        return self.now


class Runner:
    """Scans shards in `seconds`; keeps which, and how long each might take."""

    def __init__(self, clock: Clock, seconds: float, error: TaskError | None = None) -> None:
        self.begun: list[tuple[int, int]] = []
        self._clock = clock
        self._seconds = seconds
        self._error = error

    def run_shard(self, task: TaskDocument, index: int, *_: object, **__: object) -> ShardReport:
        self.begun.append((index, task.timeout_seconds))
        self._clock.now += self._seconds
        outcome = Outcome.PARTIAL if self._error else Outcome.COMPLETE
        return ShardReport(shard=index, attempt=1, outcome=outcome, error=self._error, endpoints=1)


@pytest.mark.parametrize("complete", [True, False])
def test_what_ended_the_attempts_counts_only_if_something_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, complete: bool
) -> None:
    """Lost otherwise: a complete result, whose worker was killed a moment before it had stored it."""
    found = merged(complete=complete)
    monkeypatch.setattr(pipeline, "_merged", lambda *_: (found, None))
    monkeypatch.setattr(pipeline, "_added_to_project", lambda *_: None)
    result = pipeline.conclude(Attempt(TASK), ClientSettings(data_directory=tmp_path), error=CRASHED)
    assert (result.success, result.complete) == (complete, complete)
    assert result.reason == (None if complete else Reason.UNKNOWN_ERROR)


@pytest.mark.parametrize(
    ("seconds", "error", "begun", "told"),
    [
        (10, None, [(0, 100), (1, 90), (2, 80)], None),
        (50, None, [(0, 100), (1, 50)], (ErrorClass.TEMPORARY, Reason.ATTEMPT_TIMEOUT, "1 of 3 shards failed: ")),
        (200, None, [(0, 100)], (ErrorClass.TEMPORARY, Reason.ATTEMPT_TIMEOUT, "2 of 3 shards failed: ")),
        (50, CRASHED, [(0, 100), (1, 50)], (ErrorClass.UNKNOWN, Reason.UNKNOWN_ERROR, "3 of 3 shards failed: ")),
    ],
    ids=str,
)
def test_no_shard_is_begun_once_the_attempts_time_is_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, seconds: float, error: TaskError | None, begun: Any, told: Any
) -> None:
    """Lost otherwise: all findings. Each shard left was begun for a second, until RQ ended the worker before it had merged."""
    clock = Clock()
    runner = Runner(clock, seconds, error)
    monkeypatch.setattr(pipeline, "time", clock)
    monkeypatch.setattr(pipeline, "run_shard", runner.run_shard)
    attempt = pipeline.attempt(TASK, ClientSettings(data_directory=tmp_path, task_timeout=100))
    assert runner.begun == begun
    assert attempt.complete == (told is None)
    if attempt.error is not None:
        error_class, reason, beginning = told
        assert (attempt.error.error_class, attempt.error.reason) == (error_class, reason)
        assert attempt.error.message.startswith(beginning)
