"""What can go wrong between a program and its queue; what goes wrong in a scan is a `ScanResult`, or a `ScanError`.

ClientError
├── InvalidSettings     one or more environment variables are wrong: a line for each
├── InvalidPayload      a plan, a stored task or a stored result that is not what it should be
├── UnknownTask         no queue, store or artifact knows this id (also a LookupError)
├── UnknownTaskType     the queue runs scans, and nothing else
├── QueueUnavailable    Redis or the API server did not answer: nothing was concluded, try again
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
    """Something that was handed in, or found in a store, has not the form that it must have."""


class UnknownTask(ClientError, LookupError):
    """Nobody knows the task. The first version said FAILED here, which nobody could tell from a scan that had failed."""

    def __init__(self, task_id: str) -> None:
        super().__init__(f"there is no task {task_id!r}: it was never submitted here, or its record has expired")
        self.task_id = task_id


class UnknownTaskType(ClientError, ValueError):
    """A task type other than `scan`."""

    def __init__(self, task_type: str) -> None:
        super().__init__(f"there are no tasks of type {task_type!r}: the only type is 'scan'")


class QueueUnavailable(ClientError, ConnectionError):
    """The queue could not be reached, or refused; whether the call had an effect is unknown, and repeating it is safe."""


class MissingDependency(ClientError, ImportError):
    """An optional dependency is not installed."""

    def __init__(self, queue: str, extra: str) -> None:
        super().__init__(f"TASK_QUEUE_TYPE={queue} needs more packages: pip install 'scanplan[{extra}]'")
