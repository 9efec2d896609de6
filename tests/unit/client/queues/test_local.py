"""The queue of a program's own process, without a scan: what it makes of the files that it finds."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest

from scanplan.api.documents.task import TaskDocument
from scanplan.api.documents.words import ErrorClass
from scanplan.client import models, pipeline, submission
from scanplan.client.errors import InvalidPayload, QueueUnavailable
from scanplan.client.models import ScanPlan, TaskStatus
from scanplan.client.pipeline import Attempt
from scanplan.client.queues.local import FOLDER, SyncTaskQueue
from scanplan.client.settings import ClientSettings

PLAN = ScanPlan("r", "p", ["https://a.example"], ["http/"])
TASK_ID = models.task_id_of(PLAN)


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SyncTaskQueue:
    """Its attempts scan nothing."""

    def attempt(task: TaskDocument, *_: object) -> Attempt:
        return Attempt(task)

    monkeypatch.setattr(pipeline, "attempt", attempt)
    return SyncTaskQueue(ClientSettings(data_directory=tmp_path))


@pytest.mark.parametrize("content", [b"", b"no JSON", b'{"run_id": "r", "of_a_later_version": true}'])
def test_a_result_that_cannot_be_read_holds_nothing_up(
    queue: SyncTaskQueue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    """Lost otherwise: the plan, which could not be scanned any more, and health and metrics of the whole queue."""
    monkeypatch.setattr(submission, "task_queue", lambda: queue)
    queue.run(PLAN)
    assert queue.health().failed_jobs == 1
    (tmp_path / FOLDER / f"{TASK_ID}.json").write_bytes(content)
    with pytest.raises(InvalidPayload, match="the stored result"):
        queue.get_task_result(TASK_ID)
    assert queue.health().failed_jobs == 0
    assert submission.check_existing_task(PLAN) is None
    assert queue.run(PLAN).status is TaskStatus.FAILED
    assert queue.get_task_status(TASK_ID) is TaskStatus.FAILED


def test_who_waits_for_an_equal_scan_takes_its_end_whatever_it_is(
    queue: SyncTaskQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lost otherwise: a cancellation, since each who waits would scan again."""
    come, go_on, scans, held = threading.Semaphore(0), threading.Event(), list[str](), queue.held

    def counted(task_id: str) -> AbstractContextManager[None]:
        come.release()
        return held(task_id)

    def attempt(task: TaskDocument, *_: object) -> Attempt:
        scans.append(task.run_id)
        go_on.wait(120)
        return Attempt(task)

    monkeypatch.setattr(queue, "held", counted)
    monkeypatch.setattr(pipeline, "attempt", attempt)
    with ThreadPoolExecutor(3) as pool:
        results = [pool.submit(queue.run, PLAN) for _ in range(3)]
        for _ in results:
            assert come.acquire(timeout=120)
        go_on.set()
        assert {each.result().status for each in results} == {TaskStatus.FAILED}
    assert len(scans) == 1
    assert queue.run(PLAN).status is TaskStatus.FAILED
    assert len(scans) == 2, "asked anew, it scans anew"


def test_a_result_exists_for_as_long_as_it_answers(
    queue: SyncTaskQueue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lost otherwise: the scans of all further nights, in a program that asks whether one exists before it submits."""
    monkeypatch.setattr(submission, "task_queue", lambda: queue)
    queue.run(PLAN)
    (tmp_path / "artifacts").mkdir()
    result = replace(
        pipeline.nothing(PLAN), success=True, status=TaskStatus.COMPLETED, artifact_path="artifacts", complete=True
    )
    stored = tmp_path / FOLDER / f"{TASK_ID}.json"
    stored.write_bytes(models.to_json(result))
    assert submission.check_existing_task(PLAN) == TASK_ID
    os.utime(stored, (time.time() - 4_000,) * 2)
    assert submission.check_existing_task(PLAN) is None
    assert queue.get_task_status(TASK_ID) is TaskStatus.COMPLETED, "it can be read all the same"


def test_a_data_directory_that_cannot_be_written_is_said(queue: SyncTaskQueue, tmp_path: Path) -> None:
    """As a result for who waits for one, and as an error for who would look for it later."""
    (tmp_path / FOLDER).write_text("no folder")
    result = queue.run(PLAN)
    assert (result.status, result.error_class) == (TaskStatus.FAILED, ErrorClass.TEMPORARY)
    with pytest.raises(QueueUnavailable, match=FOLDER):
        queue.submit_task("scan", models.payload_of(PLAN))
    with pytest.raises(QueueUnavailable, match=FOLDER):
        queue.store_task_result(TASK_ID, models.dump(result))
