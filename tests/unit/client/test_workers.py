"""What a worker makes of an attempt's end; tests/client has the same with real workers and Redis."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from rq import Retry
from rq.timeouts import JobTimeoutException

from scanplan.api import layout
from scanplan.api.documents.task import TaskDocument
from scanplan.api.errors import NucleiBinaryError, UnknownScanError
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.client import pipeline
from scanplan.client.models import ScanPlan, ScanResult, TaskStatus
from scanplan.client.pipeline import Attempt
from scanplan.client.queues import workers
from scanplan.client.queues.redis_store import Begun
from scanplan.client.settings import ClientSettings
from scanplan.runner.artifacts import divided, publish, records
from tests.unit.runner.documents import finding

PLAN = ScanPlan("r", "p", ["https://a.example"], ["http/"])
FIRST_SEEN = datetime(2020, 1, 1, 12, tzinfo=UTC)


class Store:
    """Keeps results. Its task was never killed."""

    def __init__(self, failures: int = 0) -> None:
        """`failures` of its task so far; one may be retried."""
        self.finished: list[ScanResult] = []
        self.failures = failures

    def begin(self, _task_id: str) -> Begun:
        return Begun(failures=0, first_seen=FIRST_SEEN)

    def count_failure(self, *_: object) -> int:
        self.failures += 1
        return self.failures

    def finish(self, _key: str, result: ScanResult) -> None:
        self.finished.append(result)


Scan = Callable[[TaskDocument], Attempt]


def raising(error: Exception) -> Scan:
    """A scan that ends by an exception."""

    def scan(_task: TaskDocument) -> Attempt:
        raise error

    return scan


def attempt(
    monkeypatch: pytest.MonkeyPatch, folder: Path, scan: Scan, *, cancelled: bool = False, store: Store | None = None
) -> tuple[Any, Store]:
    """Let a worker make an attempt by `scan`; what it returns, and what it has stored."""
    store = store or Store()
    watch = SimpleNamespace(cancelled=cancelled, orphaned=False, must_stop=lambda: cancelled)
    monkeypatch.setattr(workers, "RedisStore", lambda *_: store)
    monkeypatch.setattr(workers, "_Watch", lambda *_: contextlib.nullcontext(watch))
    monkeypatch.setattr(pipeline, "attempt", lambda task, *_: scan(task))
    job = cast("Any", SimpleNamespace(connection=None))
    return workers._Task(PLAN, job, ClientSettings(data_directory=folder)).attempt(), store


def test_all_attempts_take_over_the_same_shards(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Lost otherwise: what earlier attempts of a long task have scanned, once it is older than the idempotency window."""
    seen: list[TaskDocument] = []

    def scan(task: TaskDocument) -> Attempt:
        seen.append(task)
        raise RuntimeError("it ends here")

    for _ in range(2):
        attempt(monkeypatch, tmp_path, scan)
    assert [task.replay_not_before for task in seen] == ["2020-01-01T11:00:00Z"] * 2


def test_a_cancelled_task_is_over_also_where_its_attempt_has_crashed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Lost otherwise: five minutes, after which a scan that nobody wants begins again, to be told of its cancellation."""
    answer, store = attempt(monkeypatch, tmp_path, raising(RuntimeError("a bug")), cancelled=True)
    assert [(each.status, each.reason) for each in store.finished] == [(TaskStatus.CANCELLED, Reason.CANCELLED)]
    assert answer["status"] == TaskStatus.CANCELLED.value
    assert not store.failures


def test_a_task_whose_last_attempt_has_crashed_keeps_what_was_published(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Lost otherwise: the findings of all shards, in a scan that hung in the last one until RQ ended it."""

    def scan(task: TaskDocument) -> Attempt:
        shard = divided.shard_folder(tmp_path / layout.run_directory(task.run_id), task, task.endpoints)
        begun = publish.begin(shard, records.begun(task.key, 0, 1, records.timestamp(time.time())))
        begun.findings.feed(finding() + b"\n")
        begun.abandon()
        raise JobTimeoutException("Task exceeded maximum timeout value (3900 seconds)")

    store = Store(failures=1)
    with pytest.raises(UnknownScanError, match="Task exceeded maximum timeout value"):
        attempt(monkeypatch, tmp_path, scan, store=store)
    assert [(each.status, each.finding_count) for each in store.finished] == [(TaskStatus.FAILED, 1)]


def test_a_crash_is_tried_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    answer, store = attempt(monkeypatch, tmp_path, raising(RuntimeError("a bug")))
    assert isinstance(answer, Retry)
    assert not store.finished


def test_a_plan_that_cannot_run_fails_even_if_it_is_cancelled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SCANPLAN_DENIED_TARGETS", "a.example")
    with pytest.raises(NucleiBinaryError, match="may not be scanned"):
        attempt(monkeypatch, tmp_path, raising(RuntimeError()), cancelled=True)
