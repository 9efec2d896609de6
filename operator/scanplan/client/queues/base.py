"""The interface of the three task queues: local, Redis and Kubernetes.

Every queue gives equal plans the same task id, runs a plan once however often it is submitted, and returns the same types. Where
a queue does not know an answer it raises an error; it never returns a status that means something else.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from scanplan.client.models import QueueHealth, ScanPlan, TaskStatus
from scanplan.client.queues.statistics import Statistics

if TYPE_CHECKING:
    from scanplan.client.queues.redis import RQTaskQueue

__all__ = ["RQTaskQueue", "TaskQueue", "TaskStatus"]


class TaskQueue(ABC):
    """Takes scan tasks and returns their results. Safe to use from several threads.

    All methods raise `QueueUnavailable` where the queue can't be reached. Methods that take a task id raise `UnknownTask` where
    there is no such task.
    """

    @abstractmethod
    def submit_task(self, task_type: str, payload: Mapping[str, Any], priority: int | None = None) -> str:
        """Submit a task, unless the queue has the same one already.

        Args:
            task_type: ``scan``.
            payload: the fields of a `ScanPlan`.
            priority: 0 to 10, higher first; by default the payload's, else ASYNC_SCAN_PRIORITY.

        Returns:
            The task's id: the same for the same plan.

        Raises:
            UnknownTaskType: another type.
            InvalidPayload: the payload is not a plan.
            InvalidPlan: the plan can't be run: an endpoint that can't be parsed, or may not be scanned.
        """

    @abstractmethod
    def is_answered(self, plan: ScanPlan) -> bool:
        """Whether submitting the plan would start no scan: its task waits, runs, or has succeeded within the idempotency window."""

    @abstractmethod
    def get_task_status(self, task_id: str) -> TaskStatus:
        """The state of the task."""

    @abstractmethod
    def get_task_result(self, task_id: str) -> dict[str, Any] | None:
        """The fields of the task's `ScanResult`; None until the task has ended, also where it failed.

        Raises:
            InvalidPayload: a stored result is damaged.
        """

    @abstractmethod
    def store_task_result(self, task_id: str, result: Mapping[str, Any]) -> None:
        """Store the result of a task that a program has run by itself, for as long as the queue keeps results.

        Raises:
            InvalidPayload: these are not the fields of a `ScanResult` of this task, or this queue stores no results.
        """

    @abstractmethod
    def cancel_task(self, task_id: str) -> bool:
        """Cancel a waiting or running task; what it has found is kept.

        Returns:
            True where the task is or will be cancelled; False where it had ended before.
        """

    @abstractmethod
    def find_task(self, run_id: str) -> str | None:
        """The newest task of a run; None where there is none."""

    @abstractmethod
    def health(self) -> QueueHealth:
        """Count waiting, running and failed tasks."""

    def check(self) -> None:  # noqa: B027 - some queues are always there
        """Check that the queue answers. It costs little, however many tasks there are."""

    def statistics(self) -> Statistics:
        """Counters of the queue's workers; empty for queues whose tasks are counted elsewhere."""
        return Statistics()

    def close(self) -> None:  # noqa: B027 - most queues have nothing to give back
        """Close connections. The queue can't be used afterwards."""


def __getattr__(name: str) -> Any:
    if name == "RQTaskQueue":  # import redis and rq only for programs that use this queue
        from scanplan.client.queues.redis import RQTaskQueue  # noqa: PLC0415

        return RQTaskQueue
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
