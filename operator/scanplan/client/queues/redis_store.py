"""The keys of the `redis` queue beside RQ's own: claims, results, attempts and cancel requests.

A claim (``task_key:…``) maps a plan to its task. The transaction that enqueues the task sets it, and the worker renews it while
the task runs. After a success it stays for the idempotency window. All keys begin with the tenant's prefix.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import redis
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from scanplan.api.documents.words import ErrorClass
from scanplan.client import models
from scanplan.client.errors import QueueUnavailable
from scanplan.client.models import ScanResult, TaskStatus
from scanplan.client.queues import statistics
from scanplan.client.settings import ClientSettings

if TYPE_CHECKING:
    from redis.client import Pipeline

DEFAULT_PREFIX = "scanplan"
BASE_QUEUE = "security_scans"
NORMAL_PRIORITY = 5
PRIORITIES = range(10, -1, -1)
"""Priorities in the order in which workers take them, highest first."""

_CONNECT_SECONDS = 2.0
_ANSWER_SECONDS = 5.0
_MOST_CONNECTIONS = 1_000
"""Limit of connections. A submitting thread needs two, so redis-py's limit of 100 would refuse some of a hundred threads."""
_RUN_SECONDS = 30 * 86_400
_PERSISTENCE_SECONDS = 120.0
_RUNNING = "running"


def connect(url: str) -> redis.Redis:
    """A connection pool with timeouts of seconds instead of minutes."""
    return redis.Redis.from_url(
        url,
        socket_connect_timeout=_CONNECT_SECONDS,
        socket_timeout=_ANSWER_SECONDS,
        max_connections=_MOST_CONNECTIONS,
        retry=Retry(ExponentialBackoff(cap=0.5, base=0.05), 2),
    )


@contextlib.contextmanager
def reachable() -> Iterator[None]:
    """Turn what the connection raises into `QueueUnavailable`."""
    try:
        yield
    except redis.exceptions.RedisError as error:
        raise QueueUnavailable(f"Redis (REDIS_URL) can't be used: {error}") from error


@dataclass(frozen=True, slots=True)
class Begun:
    """A task whose next attempt has begun."""

    failures: int
    """Temporary failures so far; a killed attempt is one of them."""
    first_seen: datetime
    """When the task was submitted, the same for all of its attempts."""


class RedisStore:
    """The keys of one tenant."""

    def __init__(self, connection: redis.Redis, settings: ClientSettings) -> None:
        self.connection = connection
        self.settings = settings
        self._prefix = settings.key_prefix

    # names

    def claim_key(self, task_key: str) -> str:
        return f"{self._prefix}:task_key:{task_key}"

    def result_key(self, task_id: str) -> str:
        return f"{self._prefix}:task_result:{task_id}"

    def attempts_key(self, task_id: str) -> str:
        """A hash: failed attempts by class, and `running`, which is empty after an attempt that ended early with its worker."""
        return f"{self._prefix}:task_attempts:{task_id}"

    def cancel_key(self, task_id: str) -> str:
        return f"{self._prefix}:task_cancel:{task_id}"

    @property
    def open_key(self) -> str:
        """A sorted set of the jobs that have not ended, by time of submission."""
        return f"{self._prefix}:open"

    @property
    def statistics_key(self) -> str:
        return f"{self._prefix}:statistics"

    def run_key(self, run_id: str) -> str:
        return f"{self._prefix}:run:{run_id}"

    def job_id(self, task_id: str) -> str:
        """The id of a task's RQ job. RQ's own keys have no prefix, so the job id has the tenant's."""
        return task_id if self._prefix == DEFAULT_PREFIX else f"{self._prefix}_{task_id}"

    def task_id(self, job_id: str) -> str:
        """The id of the task whose RQ job has this id."""
        return job_id.removeprefix(f"{self._prefix}_")

    def queue_name(self, priority: int) -> str:
        """The RQ queue of a priority. RQ has no priorities in a queue, so each has its own, and workers take them in order."""
        base = BASE_QUEUE if self._prefix == DEFAULT_PREFIX else f"{self._prefix}:{BASE_QUEUE}"
        return base if priority == NORMAL_PRIORITY else f"{base}:{priority}"

    @property
    def queue_names(self) -> list[str]:
        return [self.queue_name(priority) for priority in PRIORITIES]

    # a task's life; `pipe` is the caller's transaction

    def claim(self, pipe: Pipeline, task_key: str, task_id: str, run_id: str) -> None:
        """Set a plan's claim, and delete what an earlier task of this id has left."""
        pipe.set(self.claim_key(task_key), task_id, ex=self.settings.idempotency_window)
        pipe.set(self.run_key(run_id), task_id, ex=_RUN_SECONDS)
        pipe.zadd(self.open_key, {self.job_id(task_id): time.time()})
        pipe.delete(self.result_key(task_id), self.attempts_key(task_id), self.cancel_key(task_id))

    def request_cancellation(self, task_id: str) -> None:
        """Have a worker that works on the task, or takes it, end it. A task that is claimed again has no such request."""
        self.connection.set(self.cancel_key(task_id), "1", ex=_RUN_SECONDS)

    def renew(self, task_key: str, task_id: str) -> bool:
        """Renew the claim of a running task. Returns whether its cancellation was requested."""
        with self.connection.pipeline() as pipe:
            pipe.set(self.claim_key(task_key), task_id, ex=self.settings.idempotency_window)
            pipe.exists(self.cancel_key(task_id))
            return bool(pipe.execute()[1])

    def begin(self, task_id: str) -> Begun:
        """Record the start of an attempt."""
        key = self.attempts_key(task_id)
        first = not self.connection.exists(key)
        now = time.time()
        submitted: Any = self.connection.zscore(self.open_key, self.job_id(task_id))
        waited = max(0.0, now - submitted) if submitted else 0.0  # the submitter's clock may be ahead
        with self.connection.pipeline() as pipe:
            if first and submitted:
                statistics.count_wait(pipe, self.statistics_key, waited)
            if self.connection.hget(key, _RUNNING):
                pipe.hincrby(key, ErrorClass.TEMPORARY.value, 1)
                statistics.count_failure(pipe, self.statistics_key, ErrorClass.TEMPORARY)
            pipe.hset(key, _RUNNING, "1")
            pipe.expire(key, _RUN_SECONDS)
            pipe.execute()
        failures = int(self.connection.hget(key, ErrorClass.TEMPORARY.value) or 0)
        return Begun(failures, datetime.fromtimestamp(now - waited, UTC))

    def has_begun(self, task_id: str) -> bool:
        """Whether there was an attempt at the task."""
        return bool(self.connection.exists(self.attempts_key(task_id)))

    def count_failure(self, task_id: str, error_class: ErrorClass) -> int:
        """Record a failed attempt. Returns the number of failed attempts of this class."""
        with self.connection.pipeline() as pipe:
            pipe.hincrby(self.attempts_key(task_id), error_class.value, 1)
            pipe.hdel(self.attempts_key(task_id), _RUNNING)
            statistics.count_failure(pipe, self.statistics_key, error_class)
            return int(pipe.execute()[0])

    def give_back(self, task_id: str) -> None:
        """Record that an attempt ended with its worker. It is no failure."""
        self.connection.hset(self.attempts_key(task_id), _RUNNING, "")

    def failures(self, task_id: str) -> int:
        """The number of failed attempts of all classes."""
        counts: Any = self.connection.hgetall(self.attempts_key(task_id))
        return sum(int(count) for name, count in counts.items() if name.decode() != _RUNNING)

    def finish(self, task_key: str, result: ScanResult) -> None:
        """Store the result of an ended task, and keep its claim where it succeeded. Tries again while Redis restarts."""
        give_up = time.monotonic() + _PERSISTENCE_SECONDS
        while True:
            try:
                self._finish(task_key, result)
                return
            except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError):
                if time.monotonic() > give_up:
                    raise
                time.sleep(1)

    def _finish(self, task_key: str, result: ScanResult) -> None:
        # Who cancels a task and the worker that has just taken it both end it.
        is_first = self.connection.zscore(self.open_key, self.job_id(result.task_id)) is not None
        with self.connection.pipeline() as pipe:
            pipe.set(self.result_key(result.task_id), models.to_json(result), ex=self.settings.result_ttl)
            if result.status is TaskStatus.COMPLETED:
                pipe.set(self.claim_key(task_key), result.task_id, ex=self.settings.idempotency_window)
            else:
                pipe.delete(self.claim_key(task_key))
            pipe.hdel(self.attempts_key(result.task_id), _RUNNING)
            pipe.zrem(self.open_key, self.job_id(result.task_id))
            if is_first:
                statistics.count_end(pipe, self.statistics_key, result)
            pipe.execute()

    def result(self, task_id: str) -> ScanResult | None:
        """The stored result; None where there is none.

        Raises:
            InvalidPayload: it is damaged, or of another task.
        """
        value: Any = self.connection.get(self.result_key(task_id))
        return models.load(ScanResult, value, f"the stored result of {task_id}") if value else None
