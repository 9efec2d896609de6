"""What a worker makes of an attempt's end; tests/client has the same with real workers and Redis."""

from __future__ import annotations

import contextlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from rq import Retry

from scanplan.api.errors import InvalidPlan
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.client import pipeline
from scanplan.client.models import ScanPlan, ScanResult, TaskStatus
from scanplan.client.queues import workers
from scanplan.client.settings import ClientSettings

PLAN = ScanPlan("r", "p", ["https://a.example"], ["http/"])


class Store:
    """Keeps results; a task of it may be retried, and was never killed."""

    def __init__(self) -> None:
        self.finished: list[ScanResult] = []
        self.failures = 0

    def begin(self, _task_id: str) -> int:
        return 0

    def count_failure(self, *_: object) -> int:
        self.failures += 1
        return self.failures

    def finish(self, _key: str, result: ScanResult) -> None:
        self.finished.append(result)


def attempt(monkeypatch: pytest.MonkeyPatch, folder: Path, error: Exception, *, cancelled: bool) -> tuple[Any, Store]:
    """Let an attempt end by an exception; what the worker returns, and what it has stored."""
    store = Store()
    watch = SimpleNamespace(cancelled=cancelled, orphaned=False, must_stop=lambda: cancelled)

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(workers, "RedisStore", lambda *_: store)
    monkeypatch.setattr(workers, "_Watch", lambda *_: contextlib.nullcontext(watch))
    monkeypatch.setattr(pipeline, "attempt", fail)
    job = cast("Any", SimpleNamespace(connection=None))
    return workers._Task(PLAN, job, ClientSettings(data_directory=folder)).attempt(), store


def test_a_cancelled_task_is_over_also_where_its_attempt_has_crashed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Lost otherwise: five minutes, after which a scan that nobody wants begins again, to be told of its cancellation."""
    answer, store = attempt(monkeypatch, tmp_path, RuntimeError("a bug"), cancelled=True)
    assert [(each.status, each.reason) for each in store.finished] == [(TaskStatus.CANCELLED, Reason.CANCELLED)]
    assert answer["status"] == TaskStatus.CANCELLED.value
    assert not store.failures


def test_a_crash_is_tried_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    answer, store = attempt(monkeypatch, tmp_path, RuntimeError("a bug"), cancelled=False)
    assert isinstance(answer, Retry)
    assert not store.finished


def test_a_plan_that_cannot_run_fails_even_if_it_is_cancelled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="no such template"):
        attempt(monkeypatch, tmp_path, InvalidPlan(Reason.INVALID_SPEC, "no such template"), cancelled=True)
