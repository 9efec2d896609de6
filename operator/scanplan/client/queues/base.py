"""One interface, three queues: a program that knows a `TaskQueue` need not know which.

Every queue gives the same plan the same task id, runs it once however often it is submitted, and answers in the same values.
What a queue can't know it says by an error, never by a status that means something else.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from scanplan.client.models import QueueHealth, TaskStatus
from scanplan.client.queues.statistics import Statistics

if TYPE_CHECKING:
    from scanplan.client.queues.redis import RQTaskQueue

__all__ = ["RQTaskQueue", "TaskQueue", "TaskStatus"]


class TaskQueue(ABC):
    """Where scan tasks go, and where their results come from. Safe to use from several threads.

    All methods raise `QueueUnavailable` where the queue can't be reached; those that take an id raise `UnknownTask` for one that it
    doesn't know.
    """

    @abstractmethod
    def submit_task(self, task_type: str, payload: Mapping[str, Any], priority: int | None = None) -> str:
        """Submit a task, unless the same one is there already.

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
    def get_task_status(self, task_id: str) -> TaskStatus:
        """Where the task is."""

    @abstractmethod
    def get_task_result(self, task_id: str) -> dict[str, Any] | None:
        """The fields of the task's `ScanResult`; None until it has ended, well or not.

        Raises:
            InvalidPayload: a stored result is damaged.
        """

    @abstractmethod
    def store_task_result(self, task_id: str, result: Mapping[str, Any]) -> None:
        """Store the result of a task that a program has run by itself, for as long as the queue keeps results.

        Raises:
            InvalidPayload: not the fields of a `ScanResult` of this task; or the queue's results are not stored, but observed.
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
        """How the queue is doing."""

    def check(self) -> None:  # noqa: B027 - some queues are always there
        """Return where the queue answers; costs it next to nothing, however much is in it."""

    def statistics(self) -> Statistics:
        """What has been counted; nothing, where a queue's tasks are counted elsewhere."""
        return Statistics()

    def close(self) -> None:  # noqa: B027 - most queues have nothing to give back
        """Give connections back; the queue is not used any more."""


def __getattr__(name: str) -> Any:
    if name == "RQTaskQueue":  # only who asks for it needs redis and rq
        from scanplan.client.queues.redis import RQTaskQueue  # noqa: PLC0415

        return RQTaskQueue
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
