"""The first version's functions: submit a scan, and ask for its status and result.

The settings decide where a scan runs: in this process while ENABLE_ASYNC_TASKS is off, else where TASK_QUEUE_TYPE says. So a
program that is written for a queue also works without one.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from scanplan.client import models
from scanplan.client.errors import MissingDependency, UnknownTask
from scanplan.client.models import ScanPlan, ScanResult, TaskStatus
from scanplan.client.queues.base import TaskQueue
from scanplan.client.queues.local import SyncTaskQueue
from scanplan.client.settings import ClientSettings, QueueType, load_settings

_queues: dict[ClientSettings, TaskQueue] = {}
_queues_lock = threading.Lock()


def queue_for(settings: ClientSettings) -> TaskQueue:
    """A new queue of the type that the settings name.

    Raises:
        MissingDependency: its extra is not installed.
    """
    match settings.queue_type:
        case QueueType.SYNC:
            return SyncTaskQueue(settings)
        case QueueType.REDIS:
            try:
                from scanplan.client.queues.redis import RQTaskQueue  # noqa: PLC0415 - needs an extra
            except ModuleNotFoundError as error:
                raise MissingDependency("redis", "redis") from error
            return RQTaskQueue.of(settings)
        case QueueType.KUBERNETES:
            try:
                from scanplan.client.queues.kubernetes import KubernetesTaskQueue  # noqa: PLC0415 - needs an extra
            except ModuleNotFoundError as error:
                raise MissingDependency("kubernetes", "kubernetes") from error
            return KubernetesTaskQueue(settings)


def task_queue() -> TaskQueue:
    """The queue that the environment names. Calls with equal settings return the same queue, with its connections.

    Raises:
        InvalidSettings: an environment variable is wrong.
        MissingDependency: the queue's extra is not installed.
    """
    settings = load_settings()
    with _queues_lock:
        if settings not in _queues:
            _queues[settings] = queue_for(settings)
        return _queues[settings]


def submit_scan(plan: ScanPlan) -> ScanResult | str:
    """Scan: with ENABLE_ASYNC_TASKS off wait for the result, with it on return the task's id at once.

    A program that always wants one of the two calls `run_scan` or `submit_scan_async`.

    Raises:
        InvalidPlan: an endpoint that can't be parsed, or may not be scanned.
        ClientError: the settings are wrong, or the queue can't be reached.
    """
    settings = load_settings()
    return submit_scan_async(plan) if settings.enable_async_tasks else SyncTaskQueue(settings).run(plan)


def run_scan(plan: ScanPlan) -> ScanResult:
    """Scan in this process, whatever the settings say, and return the result. A failed scan is a result, not an exception.

    Raises:
        InvalidPlan: an endpoint that can't be parsed, or may not be scanned.
    """
    return SyncTaskQueue(load_settings()).run(plan)


def submit_scan_async(plan: ScanPlan) -> str:
    """Submit a scan to the queue; the same plan, submitted again, is the same task.

    With ENABLE_ASYNC_TASKS off the scan runs before this returns; the id then leads to its result.

    Returns:
        The task's id, for `get_scan_result`, `get_task_status` and `cancel_task`.

    Raises:
        InvalidPlan: an endpoint that can't be parsed, or may not be scanned.
        ClientError: the settings are wrong, or the queue can't be reached.
    """
    return task_queue().submit_task(models.TASK_TYPE, models.payload_of(plan))


def check_existing_task(plan: ScanPlan) -> str | None:
    """The id of the plan's task; None where submitting the plan would start a scan.

    So it is that of a task that waits, runs, or has succeeded within the idempotency window. A damaged result is none.
    """
    return models.task_id_of(plan) if task_queue().is_answered(plan) else None


def get_task_status(task_id: str) -> TaskStatus:
    """The state of a task.

    Raises:
        UnknownTask: there is none of this id.
    """
    return task_queue().get_task_status(task_id)


def get_scan_result(task_or_run_id: str) -> ScanResult | None:
    """The result of a task, or of a run's newest task; None until it has ended.

    Raises:
        UnknownTask: there is no such task, and no such run.
    """
    queue = task_queue()
    try:
        fields = queue.get_task_result(task_or_run_id)
    except UnknownTask:
        task_id = queue.find_task(task_or_run_id)
        if task_id is None:
            raise
        fields = queue.get_task_result(task_id)
    return models.load(ScanResult, fields, f"the result of {task_or_run_id}") if fields else None


def get_task_result(task_id: str) -> dict[str, Any] | None:
    """The fields of a task's `ScanResult`; None until it has ended.

    Raises:
        UnknownTask: there is none of this id.
    """
    return task_queue().get_task_result(task_id)


def store_task_result(task_id: str, result: Mapping[str, Any]) -> None:
    """Store the result of a task that this program has run by itself.

    Raises:
        InvalidPayload: neither the fields of a `ScanResult` of this task nor what `execute_nuclei_pipeline` returns; or the queue
            is Kubernetes, where the operator writes results.
    """
    task_queue().store_task_result(task_id, result)


def cancel_task(task_id: str) -> bool:
    """Cancel a waiting or running task; False where it had ended before.

    Raises:
        UnknownTask: there is none of this id.
    """
    return task_queue().cancel_task(task_id)
