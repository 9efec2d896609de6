"""Errors between a program and its queue. A scan that fails is a `ScanResult` or a `ScanError` instead.

ClientError
├── InvalidSettings     one or more environment variables are wrong: a line for each
├── InvalidPayload      a plan, a stored task or a stored result that is not what it should be
├── UnknownTask         no queue, store or artifact knows this id (also a LookupError)
├── UnknownTaskType     the queue runs scans, and nothing else
├── QueueUnavailable    Redis or the API server did not answer, or refused: try again
└── MissingDependency   the queue needs an extra that is not installed

The scan's own errors, `NucleiBinaryError` and `TemporaryError` among them, are those of `scanplan.api.errors`.
"""

from __future__ import annotations

from scanplan.settings import loading


class ClientError(Exception):
    """Base of the library's errors; the message says what to do."""


class InvalidSettings(ClientError, loading.InvalidSettings):
    """Environment variables are wrong; the message has a line for each."""


class InvalidPayload(ClientError, ValueError):
    """An argument or a stored value does not have the required form."""


class UnknownTask(ClientError, LookupError):
    """There is no such task. The first version returned FAILED here, as for a scan that had failed."""

    def __init__(self, task_id: str) -> None:
        super().__init__(f"there is no task {task_id!r}: it was never submitted here, or its record has expired")
        self.task_id = task_id


class UnknownTaskType(ClientError, ValueError):
    """A task type other than `scan`."""

    def __init__(self, task_type: str) -> None:
        super().__init__(f"there are no tasks of type {task_type!r}: the only type is 'scan'")


class QueueUnavailable(ClientError, ConnectionError):
    """The queue could not be reached, or refused. The call may have had an effect. Repeating it is safe."""


class MissingDependency(ClientError, ImportError):
    """An optional dependency is not installed."""

    def __init__(self, queue: str, extra: str) -> None:
        super().__init__(f"TASK_QUEUE_TYPE={queue} needs more packages: pip install 'scanplan[{extra}]'")
