"""What a worker makes of an attempt's end; tests/client has the same with real workers and Redis."""

from __future__ import annotations

import contextlib
import errno
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import redis
from rq import Retry
from rq.timeouts import JobTimeoutException

from scanplan.api import layout
from scanplan.api.documents import records
from scanplan.api.documents.task import TaskDocument
from scanplan.api.documents.words import ErrorClass, Outcome
from scanplan.api.errors import InvalidPlan, NucleiBinaryError, ScanError, TemporaryError, UnknownScanError
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.client import document, findings, models, pipeline
from scanplan.client.errors import InvalidPayload
from scanplan.client.models import ScanPlan, ScanResult, TaskStatus
from scanplan.client.pipeline import Attempt
from scanplan.client.queues import workers
from scanplan.client.queues.redis_store import Begun
from scanplan.client.settings import ClientSettings
from scanplan.core.planning import shards
from scanplan.runner.artifacts import divided, publish
from tests.unit.runner.artifacts.merging.test_merge import published
from tests.unit.runner.documents import finding

PLAN = ScanPlan("r", "p", ["https://a.example"], ["http/"])
FIRST_SEEN = datetime(2020, 1, 1, 12, tzinfo=UTC)
RETRIES_LEFT = 3

Scan = Callable[[TaskDocument], Attempt]


class Store:
    """Keeps results."""

    def __init__(self) -> None:
        self.finished: list[ScanResult] = []
        self.failures = 0
        """Of its task so far, of the class of the next."""
        self.killed = 0
        """Attempts at its task that were killed."""

    def task_id(self, job_id: str) -> str:
        return job_id

    def begin(self, _task_id: str) -> Begun:
        return Begun(failures=self.killed, first_seen=FIRST_SEEN)

    def count_failure(self, *_: object) -> int:
        self.failures += 1
        return self.failures

    def finish(self, _key: str, result: ScanResult) -> None:
        self.finished.append(result)


class Worker:
    """A worker whose scans are functions."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.store = Store()
        self.job = SimpleNamespace(connection=None, id=models.task_id_of(PLAN), retries_left=RETRIES_LEFT)
        self.cancelled = False
        self.run = folder / layout.run_directory(PLAN.run_id)
        self._monkeypatch = monkeypatch
        settings = ClientSettings(data_directory=folder)
        monkeypatch.setattr(workers, "load_settings", lambda: settings)
        monkeypatch.setattr(workers, "get_current_job", lambda: self.job)
        monkeypatch.setattr(workers, "RedisStore", lambda *_: self.store)
        monkeypatch.setattr(workers, "_Watch", lambda *_: contextlib.nullcontext(self))

    orphaned = False

    def must_stop(self) -> bool:
        return self.cancelled

    def attempt(self, scan: Scan, payload: Mapping[str, Any] | None = None) -> Any:
        """Make an attempt by `scan`; what RQ gets."""
        self._monkeypatch.setattr(pipeline, "attempt", lambda task, *_: scan(task))
        return workers.execute_scan_task(models.payload_of(PLAN) if payload is None else payload)

    @property
    def result(self) -> ScanResult:
        """The one result that was stored."""
        (result,) = self.store.finished
        return result


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Worker:
    return Worker(monkeypatch, tmp_path)


def raising(error: Exception) -> Scan:
    """A scan that ends by an exception."""

    def scan(_task: TaskDocument) -> Attempt:
        raise error

    return scan


def complete(worker: Worker) -> Scan:
    """A scan with one finding."""

    def scan(task: TaskDocument) -> Attempt:
        published(worker.run, task, 0, finding())
        return Attempt(task)

    return scan


def test_all_attempts_take_over_the_same_shards(worker: Worker) -> None:
    """Lost otherwise: what earlier attempts of a long task have scanned, once it is older than the idempotency window."""
    seen: list[TaskDocument] = []

    def scan(task: TaskDocument) -> Attempt:
        seen.append(task)
        raise RuntimeError("it ends here")

    for _ in range(2):
        with contextlib.suppress(UnknownScanError):
            worker.attempt(scan)
    assert [task.replay_not_before for task in seen] == ["2020-01-01T11:00:00Z"] * 2


def test_a_cancelled_task_is_over_also_where_its_attempt_has_crashed(worker: Worker) -> None:
    """Lost otherwise: five minutes, after which a scan that nobody wants begins again, to be told of its cancellation."""
    worker.cancelled = True
    answer = worker.attempt(raising(RuntimeError("a bug")))
    assert (worker.result.status, worker.result.reason) == (TaskStatus.CANCELLED, Reason.CANCELLED)
    assert answer["status"] == TaskStatus.CANCELLED.value
    assert not worker.store.failures


def test_a_task_whose_last_attempt_has_crashed_keeps_what_was_published(worker: Worker) -> None:
    """Lost otherwise: the findings of all shards, in a scan that hung in the last one until RQ ended it."""

    def scan(task: TaskDocument) -> Attempt:
        shard = divided.shard_folder(worker.run, task, shards.cut(task.endpoints, 1)[0])
        begun = publish.begin(shard, records.begun(task.key, 0, 1, records.timestamp(time.time())))
        begun.findings.feed(finding() + b"\n")
        begun.abandon()
        raise JobTimeoutException("Task exceeded maximum timeout value (3900 seconds)")

    worker.store.failures = 1
    with pytest.raises(UnknownScanError, match="Task exceeded maximum timeout value"):
        worker.attempt(scan)
    assert (worker.result.status, worker.result.finding_count) == (TaskStatus.FAILED, 1)


@pytest.mark.parametrize("cancelled", [False, True])
def test_a_task_that_was_killed_too_often_keeps_what_was_published(worker: Worker, cancelled: bool) -> None:
    """Lost otherwise: the findings of the attempts, since none of them lived to publish them."""
    published(worker.run, document.build(PLAN, ClientSettings(), FIRST_SEEN), 0, finding(), outcome=Outcome.PARTIAL)
    worker.store.killed = ClientSettings().retry_temporary + 1
    worker.cancelled = cancelled
    with contextlib.suppress(TemporaryError):
        worker.attempt(raising(AssertionError("nothing is scanned")))
    status, reason = (
        (TaskStatus.CANCELLED, Reason.CANCELLED) if cancelled else (TaskStatus.FAILED, Reason.SCANNER_KILLED)
    )
    assert (worker.result.status, worker.result.reason, worker.result.finding_count) == (status, reason, 1)


def test_a_crash_is_tried_again(worker: Worker) -> None:
    assert isinstance(worker.attempt(raising(RuntimeError("a bug"))), Retry)
    assert not worker.store.finished


def test_a_plan_that_cannot_run_fails_even_if_it_is_cancelled(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = ClientSettings(data_directory=tmp_path, denied_targets=("a.example",))
    monkeypatch.setattr(workers, "load_settings", lambda: settings)
    worker.cancelled = True
    with pytest.raises(NucleiBinaryError, match=r"a\.example"):
        worker.attempt(raising(RuntimeError()))
    assert (worker.result.status, worker.result.reason) == (TaskStatus.FAILED, Reason.TARGET_DENIED)


@pytest.mark.parametrize(
    ("number", "reason", "retried"),
    [
        (errno.EACCES, Reason.CLAIM_NOT_WRITABLE, False),
        (errno.ENOSPC, Reason.DISK_FULL, True),
        (errno.EIO, Reason.STORAGE_ERROR, True),
    ],
)
def test_a_data_directory_that_cannot_be_used_is_said(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, number: int, reason: Reason, retried: bool
) -> None:
    """Lost otherwise: why it failed. The task was told to have been killed, and was not tried again."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, "refused", "/data")

    monkeypatch.setattr(Path, "mkdir", refuse)
    if retried:
        assert isinstance(worker.attempt(complete(worker)), Retry)
        worker.store.failures = ClientSettings().retry_temporary
    with pytest.raises(ScanError, match="/data"):
        worker.attempt(complete(worker))
    assert (worker.result.status, worker.result.reason) == (TaskStatus.FAILED, reason)
    assert worker.job.retries_left == 0


def test_a_finding_store_that_cannot_be_used_costs_no_result(worker: Worker, tmp_path: Path) -> None:
    """Lost otherwise: the result of a scan that has ended, since the findings of its project are damaged."""
    store = tmp_path / findings.PROJECTS / PLAN.project_id / findings.STORE
    store.parent.mkdir(parents=True)
    store.write_text("this is no database" * 100)
    assert isinstance(worker.attempt(complete(worker)), Retry)
    worker.store.failures = ClientSettings().retry_temporary
    with pytest.raises(TemporaryError, match=findings.STORE):
        worker.attempt(complete(worker))
    result = worker.result
    assert (result.status, result.reason, result.finding_count) == (TaskStatus.FAILED, Reason.STORAGE_ERROR, 1)
    assert result.artifact_path


@pytest.mark.parametrize("change", [{"severity_levels": ["grave"]}, {"endpoints": ["http://["]}, {"task_key": "other"}])
def test_a_task_that_holds_no_plan_says_so(worker: Worker, change: dict[str, Any]) -> None:
    """Lost otherwise: why it failed. Programs that are newer than the workers were told to give these more memory."""
    with pytest.raises((InvalidPayload, InvalidPlan)):
        worker.attempt(raising(RuntimeError()), {**models.payload_of(PLAN), **change})
    result = worker.result
    assert (result.status, result.error_class, result.run_id) == (TaskStatus.FAILED, ErrorClass.FATAL, PLAN.run_id)
    assert result.task_id == models.task_id_of(PLAN)
    assert result.reason in {Reason.TASK_DOCUMENT_INVALID, Reason.INVALID_ENDPOINT}
    assert worker.job.retries_left == 0


def test_a_redis_that_is_away_costs_no_task(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost otherwise: tasks that a worker takes while Redis restarts. RQ tries again."""

    def begin(*_: object) -> None:
        raise redis.exceptions.ConnectionError("Redis restarts")

    monkeypatch.setattr(worker.store, "begin", begin)
    with pytest.raises(redis.exceptions.ConnectionError):
        worker.attempt(complete(worker))
    assert not worker.store.finished
    assert worker.job.retries_left == RETRIES_LEFT
