"""The `sync` queue: `submit_task` scans in the caller's process, and returns when the scan has ended.

It needs no server. Status, result and cancellation are small files beside the artifacts, which other threads and processes read.
A file lock for each task makes sure that equal plans are scanned once. It ends with its process. A task has one attempt, since
the caller waits. Submitting it again continues after the steps that were saved.
"""

from __future__ import annotations

import contextlib
import fcntl
import re
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from scanplan.api.documents.report import TaskError
from scanplan.api.errors import ScanError
from scanplan.client import artifacts, document, models, pipeline
from scanplan.client.errors import InvalidPayload, QueueUnavailable, UnknownTask, UnknownTaskType
from scanplan.client.models import QueueHealth, ScanPlan, ScanResult, TaskStatus
from scanplan.client.queues.base import TaskQueue
from scanplan.client.settings import ClientSettings
from scanplan.core.planning import keys
from scanplan.runner.artifacts import durable

FOLDER = ".tasks"
"""Folder below the data directory with the result, the lock and the cancel request of each task."""
_ID = re.compile(r"scan-[0-9a-f]{20}")


@contextlib.contextmanager
def _reachable() -> Iterator[None]:
    """Turn errors of the data directory into `QueueUnavailable`."""
    try:
        yield
    except ScanError as error:
        raise QueueUnavailable(error.message) from error


class SyncTaskQueue(TaskQueue):
    """Runs tasks in the caller's thread."""

    def __init__(self, settings: ClientSettings) -> None:
        self._settings = settings
        self._folder = settings.data_directory / FOLDER

    def submit_task(self, task_type: str, payload: Mapping[str, Any], priority: int | None = None) -> str:
        if task_type != models.TASK_TYPE:
            raise UnknownTaskType(task_type)
        fields = dict(payload) if priority is None else {**payload, "priority": priority}
        with _reachable():
            return self._run(models.plan_from(fields)).task_id

    def run(self, plan: ScanPlan) -> ScanResult:
        """Scan the plan, unless it was scanned within the idempotency window. Waits for a scan of it that is running.

        Raises:
            InvalidPlan: the plan can't run as it is written.
        """
        try:
            return self._run(plan)
        except ScanError as failed:
            return pipeline.failed(pipeline.nothing(plan), TaskError.of(failed))

    def _run(self, plan: ScanPlan) -> ScanResult:
        """As `run`. Raises ScanError where the data directory can't be written."""
        document.check(plan, self._settings)
        task_id, asked = models.task_id_of(plan), time.time()
        with self.held(task_id):
            known = self._fresh(task_id) or self._ended_since(asked, task_id)
            if known:
                return known
            self._cancel(task_id).unlink(missing_ok=True)
            self._result(task_id).unlink(missing_ok=True)
            wish = self._cancel(task_id)
            task = document.build(plan, self._settings, datetime.now(UTC))
            attempt = pipeline.attempt(task, self._settings, wish.exists)
            result = pipeline.conclude(attempt, self._settings, cancelled=wish.exists() and not attempt.complete)
            with durable.on_claim():
                durable.replace(self._result(task_id), models.to_json(result))
                wish.unlink(missing_ok=True)
        return result

    @contextlib.contextmanager
    def held(self, task_id: str) -> Iterator[None]:
        """Hold the lock of a task, which everybody takes who works on its artifacts.

        Raises:
            ScanError: the data directory can't be written.
        """
        with contextlib.ExitStack() as stack:
            with durable.on_claim(starting=True):
                stack.enter_context(artifacts.locked(self._lock(task_id)))
            yield

    def is_answered(self, plan: ScanPlan) -> bool:
        task_id = models.task_id_of(plan)
        return self._is_running(task_id) or self._fresh(task_id) is not None

    def get_task_status(self, task_id: str) -> TaskStatus:
        if self._is_running(task_id):
            return TaskStatus.RUNNING
        return self._ended(task_id).status

    def get_task_result(self, task_id: str) -> dict[str, Any] | None:
        return None if self._is_running(task_id) else models.dump(self._ended(task_id))

    def store_task_result(self, task_id: str, result: Mapping[str, Any]) -> None:
        if not _ID.fullmatch(task_id):
            raise InvalidPayload(f"{task_id!r} is not the id of a task")
        checked = models.to_json(models.result_for(task_id, result))
        with _reachable(), self.held(task_id), durable.on_claim():
            durable.replace(self._result(task_id), checked)

    def cancel_task(self, task_id: str) -> bool:
        if self._is_running(task_id):
            self._cancel(task_id).touch()
            return True
        self._ended(task_id)
        return False

    def find_task(self, run_id: str) -> str | None:
        key = artifacts.newest_task(self._settings.data_directory, run_id)
        return keys.job_name(key) if key else None

    def health(self) -> QueueHealth:
        names = [path.stem for path in self._folder.glob("scan-*.lock")]
        running = [name for name in names if self._is_running(name)]
        failed = (
            result.status is TaskStatus.FAILED
            for name in names
            if name not in running and (result := self._readable(name)) is not None
        )
        return QueueHealth(queue_size=0, active_workers=len(running), failed_jobs=sum(failed), redis_connected=False)

    # files

    def _fresh(self, task_id: str) -> ScanResult | None:
        """The task's result where it succeeded within the idempotency window and its artifacts still exist; else None."""
        result = self._readable(task_id)
        if result is None or not result.success or not result.artifact_path:
            return None
        age = time.time() - self._result(task_id).stat().st_mtime
        folder = self._settings.data_directory / result.artifact_path
        there = all((folder / file.name).exists() for file in result.artifacts)
        return result if there and age < self._settings.idempotency_window else None

    def _ended(self, task_id: str) -> ScanResult:
        result = self._stored(task_id) if _ID.fullmatch(task_id) else None
        result = result or artifacts.recovered(self._settings.data_directory, task_id)
        if result is None:
            raise UnknownTask(task_id)
        return result

    def _stored(self, task_id: str) -> ScanResult | None:
        try:
            return models.load(ScanResult, durable.read_bytes(self._result(task_id)), f"the stored result of {task_id}")
        except FileNotFoundError:
            return None

    def _ended_since(self, moment: float, task_id: str) -> ScanResult | None:
        """The result of a scan that somebody else made while this one waited for it; None: nobody did."""
        result = self._readable(task_id)
        return result if result and self._result(task_id).stat().st_mtime >= moment else None

    def _readable(self, task_id: str) -> ScanResult | None:
        """As `_stored`; None too where the result is damaged, or of a later version: the task is scanned again."""
        with contextlib.suppress(InvalidPayload):
            return self._stored(task_id)
        return None

    def _is_running(self, task_id: str) -> bool:
        """Whether a thread or process holds the task's lock."""
        if not _ID.fullmatch(task_id):
            return False
        try:
            with durable.open_regular(self._lock(task_id)) as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    def _lock(self, task_id: str) -> Path:
        return self._folder / f"{task_id}.lock"

    def _result(self, task_id: str) -> Path:
        return self._folder / f"{task_id}.json"

    def _cancel(self, task_id: str) -> Path:
        return self._folder / f"{task_id}.cancel"
