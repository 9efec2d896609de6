"""Workers of the `redis` queue: ``scanplan worker``, or RQ's own ``rq worker`` as docs/migration.md has it.

A job is one attempt at a whole plan. While it runs, a thread renews its claim and looks for a cancel request. After a failure
the class of the error decides. By default, temporary errors are tried again after 60, 120 and 240 s, unknown ones once after
300 s, fatal ones never. A kill of the worker counts as a temporary error. After the last one, a further attempt scans nothing,
and publishes what the others have found. A worker that is told to stop gives its task back, and the next attempt continues with
the findings so far.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Any

import redis
from rq import Retry, Worker, worker_registration
from rq.exceptions import NoSuchJobError
from rq.job import Job, JobStatus, get_current_job
from rq.serializers import JSONSerializer
from rq.utils import now, utcformat
from rq.worker_pool import WorkerPool

from scanplan.api.documents.report import TaskError
from scanplan.api.documents.task import TaskDocument
from scanplan.api.documents.words import ErrorClass
from scanplan.api.errors import InvalidPlan, ScanError
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.client import document, models, pipeline
from scanplan.client.compat import nuclei_wrapper
from scanplan.client.errors import InvalidPayload
from scanplan.client.models import ScanPlan, ScanResult
from scanplan.client.pipeline import Attempt
from scanplan.client.queues.local import SyncTaskQueue
from scanplan.client.queues.redis import ENDED, KILLED, ScanJob, ScanQueue, intervals
from scanplan.client.queues.redis_store import NORMAL_PRIORITY, RedisStore, connect, reachable
from scanplan.client.settings import ClientSettings, load_settings
from scanplan.runner.artifacts import durable
from scanplan.runner.interruption import Interruption

log = logging.getLogger("scanplan.worker")

_LOST_SECONDS = 60
"""Age from which on a job in no queue counts as lost."""
_LOOK_SECONDS = 1.0
"""Pause between two renewals of a claim, each with a look for a cancel request."""
_ENDLESS = 1_000_000
"""Attempts that RQ may make. It is high, because our own count decides."""
_told_to_stop = Interruption()
"""Set in the child process that works on a task, once its worker is told to stop."""


def execute_scan_task(payload: Mapping[str, Any]) -> dict[str, Any] | Retry:
    """Run one attempt at a task. RQ calls this in a child process of the worker.

    Returns:
        The fields of the `ScanResult`, or RQ's `Retry` where another attempt follows.

    Raises:
        InvalidPayload, InvalidPlan, ScanError: the scan has failed for good; the result is stored.
        InterruptedError: the worker has died. RQ tries again after this, and after an error of Redis.
    """
    job = get_current_job()
    if job is None:
        raise RuntimeError("execute_scan_task runs in an RQ worker; elsewhere call run_scan")
    settings = load_settings()
    store = RedisStore(job.connection, settings)
    try:
        task = _Task(models.plan_from(payload), store, settings)
    except (InvalidPayload, InvalidPlan) as wrong:
        job.retries_left = 0  # RQ would try again for any exception
        store.finish(str(payload.get("task_key")), _unreadable(store.task_id(job.id), payload, wrong))
        raise
    outcome = task.attempt()
    if isinstance(outcome, Retry):
        return outcome
    store.finish(task.key, outcome)
    if outcome.task_error:  # to be raised, so that RQ counts the job as failed
        job.retries_left = 0
        nuclei_wrapper.raise_for(outcome.task_error)
    return models.dump(outcome)


def _unreadable(task_id: str, payload: Mapping[str, Any], error: Exception) -> ScanResult:
    """The result of a task that holds no plan, such as one of a newer program."""
    result = ScanResult(
        run_id=str(payload.get("run_id")),
        success=False,
        endpoint_count=0,
        finding_count=0,
        duration_ms=0,
        task_id=task_id,
    )
    return pipeline.failed(result, _error_of(error))


class _Task:
    """A running attempt at a task."""

    def __init__(self, plan: ScanPlan, store: RedisStore, settings: ClientSettings) -> None:
        self.key = models.generate_task_key(plan)
        self._plan = plan
        self._task_id = models.task_id_of(plan)
        self._store = store
        self._settings = settings

    def attempt(self) -> ScanResult | Retry:
        """Scan, and return the result; RQ's `Retry` where another attempt follows."""
        begun = self._store.begin(self._task_id)
        with _Watch(self._store, self.key, self._task_id) as watch:
            try:
                task = document.build(self._plan, self._settings, begun.first_seen)
                with SyncTaskQueue(self._settings).held(self._task_id):
                    if begun.failures > self._settings.retry_temporary:
                        return pipeline.conclude(Attempt(task), self._settings, cancelled=watch.cancelled, error=KILLED)
                    return self._scanned(task, watch)
            except (InterruptedError, redis.exceptions.RedisError):
                raise
            except Exception as failed:
                error = self._told(failed)
                if watch.cancelled and not _is_fatal(error):
                    return pipeline.as_cancelled(pipeline.nothing(self._plan))
                return self._again(error) or pipeline.failed(pipeline.nothing(self._plan), error)

    def _scanned(self, task: TaskDocument, watch: _Watch) -> ScanResult | Retry:
        attempt = Attempt(task)
        try:
            attempt = pipeline.attempt(task, self._settings, watch.must_stop)
            error = attempt.error
        except Exception as failed:  # also RQ's, after its own time limit
            error = self._told(failed)
        if watch.orphaned:
            raise InterruptedError("the worker has died: another one takes the task over")
        if watch.cancelled and not attempt.complete:
            return pipeline.conclude(attempt, self._settings, cancelled=True)
        if _told_to_stop() and not attempt.complete and not _is_fatal(error):
            log.info("%s: given back, since this worker is being stopped", self._task_id)
            self._store.give_back(self._task_id)
            return Retry(max=_ENDLESS)
        if error and (retry := self._again(error)):
            return retry
        result = pipeline.conclude(attempt, self._settings, error=error)
        if error is None and result.task_error:  # all is scanned, but could not be added to the project's findings
            return self._again(result.task_error) or result
        return result

    def _told(self, failed: Exception) -> TaskError:
        """The error of an attempt that ended by an exception; logged."""
        log.error("%s: the attempt failed", self._task_id, exc_info=failed)
        return _error_of(failed)

    def _again(self, error: TaskError) -> Retry | None:
        """RQ's `Retry`; None where a retry can't help, or where the attempts of this class are used up."""
        settings = self._settings
        if _is_fatal(error):
            return None
        failed = self._store.count_failure(self._task_id, error.error_class)
        if error.error_class is ErrorClass.TEMPORARY:
            limit, wait = settings.retry_temporary, intervals(settings.retry_temporary_seconds, failed)[-1]
        else:
            limit, wait = settings.retry_unknown, settings.retry_unknown_seconds
        if failed > limit:
            return None
        log.warning(
            "%s: %s; failure %d of at most %d of its kind, next attempt in %d s",
            *(self._task_id, error.message, failed, limit + 1, wait),
        )
        return Retry(max=_ENDLESS, interval=wait)


def _error_of(failed: Exception) -> TaskError:
    """The error of a task by an exception that ended its attempt."""
    match failed:
        case ScanError():
            return TaskError.of(failed)
        case InvalidPlan():
            return TaskError(error_class=ErrorClass.FATAL, reason=failed.reason, message=failed.message)
        case InvalidPayload():
            return TaskError(error_class=ErrorClass.FATAL, reason=Reason.TASK_DOCUMENT_INVALID, message=str(failed))
        case OSError():
            return TaskError.of(durable.storage_error(failed, starting=False))
    message = f"the attempt failed: {type(failed).__name__}: {failed}"
    return TaskError(error_class=ErrorClass.UNKNOWN, reason=Reason.UNKNOWN_ERROR, message=message)


def _is_fatal(error: TaskError | None) -> bool:
    return error is not None and error.error_class is ErrorClass.FATAL


class _Watch:
    """Renews the task's claim, and tells whether the scan must stop: it was cancelled, or its worker is stopped or has died."""

    def __init__(self, store: RedisStore, key: str, task_id: str) -> None:
        self.cancelled = False
        self._store = store
        self._key = key
        self._task_id = task_id
        self._parent = os.getppid()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="claim", daemon=True)

    @property
    def orphaned(self) -> bool:
        return os.getppid() != self._parent

    def must_stop(self) -> bool:
        return self.cancelled or self.orphaned or _told_to_stop()

    def __enter__(self) -> _Watch:
        self._look()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._end.wait(_LOOK_SECONDS):
            self._look()

    def _look(self) -> None:
        try:
            self.cancelled = self._store.renew(self._key, self._task_id) or self.cancelled
        except redis.exceptions.RedisError as error:
            log.warning("%s: Redis doesn't answer (%s); the scan goes on", self._task_id, error)


class ScanWorker(Worker):
    """An RQ worker that takes over tasks of dead workers (after about six heartbeats), and tasks lost between queue and worker.

    When told to stop, RQ's own worker waits for the end of its task. A node is drained in less time than a scan takes, so this one
    passes the signal on to the scan, which gives the task back.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        heartbeat = load_settings().worker_heartbeat
        defaults = {
            # An idle worker wakes 15 seconds before this has passed, and then looks whether maintenance is due.
            "worker_ttl": 15 + heartbeat,
            "job_monitoring_interval": heartbeat,
            "maintenance_interval": 3 * heartbeat,
        }
        super().__init__(*arguments, **{**defaults, **options})

    def get_heartbeat_ttl(self, job: Job, working_time: float = 0.0) -> int:  # noqa: ARG002 - RQ's signature
        return 3 * int(self.job_monitoring_interval)

    def setup_work_horse_signals(self) -> None:
        super().setup_work_horse_signals()  # type: ignore[no-untyped-call] # RQ has types, but not here
        _told_to_stop.install()

    def handle_warm_shutdown_request(self) -> None:
        super().handle_warm_shutdown_request()  # type: ignore[no-untyped-call]
        if self.horse_pid:
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                os.kill(self.horse_pid, signal.SIGTERM)

    def run_maintenance_tasks(self) -> None:
        super().run_maintenance_tasks()  # type: ignore[no-untyped-call] # RQ has types, but not here
        requeue_lost(RedisStore(self.connection, load_settings()))


def requeue_lost(store: RedisStore, *, older_than: float = _LOST_SECONDS) -> int:
    """Put jobs back into their queue that a worker took and did not begin, because it died.

    Such a job has the state queued, but is in no queue. RQ finds it again only where a worker has a single queue.

    Args:
        older_than: least age in seconds. A younger job may be on its way from queue to worker.

    Returns:
        The number of jobs that were put back.
    """
    count = 0
    jobs: Any = store.connection.zrange(store.open_key, 0, -1)
    for job_id in (name.decode() for name in jobs):
        with store.connection.pipeline() as pipe:
            pipe.watch(Job.key_for(job_id))
            try:
                job = Job.fetch(job_id, connection=store.connection, serializer=JSONSerializer)
            except NoSuchJobError:
                store.connection.zrem(store.open_key, job_id)
                continue
            queue = ScanQueue(job.origin, connection=store.connection)
            if job.get_status(refresh=False) in ENDED:  # such as one whose workers were killed too often
                store.connection.zrem(store.open_key, job_id)
                continue
            if job.get_status(refresh=False) != JobStatus.QUEUED or queue.get_job_position(job_id) is not None:
                continue
            if job.enqueued_at is not None and (now() - job.enqueued_at).total_seconds() < older_than:
                continue
            pipe.multi()
            pipe.hset(Job.key_for(job_id), "enqueued_at", utcformat(now()))
            pipe.rpush(queue.key, job_id)
            try:
                pipe.execute()
                count += 1
            except redis.exceptions.WatchError:  # meanwhile a worker has begun it, or put it back
                continue
    return count


def of_this_host(settings: ClientSettings) -> int:
    """The number of this host's workers that are registered in Redis and have a recent heartbeat.

    Raises:
        QueueUnavailable: Redis does not answer.
    """
    connection = connect(settings.redis_url)
    queue = ScanQueue(RedisStore(connection, settings).queue_name(NORMAL_PRIORITY), connection=connection)
    with reachable(), connection.pipeline(transaction=False) as pipe:
        for key in worker_registration.get_keys(queue):
            pipe.hget(key, "hostname")
        return pipe.execute().count(socket.gethostname().encode())


def run(settings: ClientSettings, *, burst: bool = False) -> None:
    """Run WORKER_CONCURRENCY workers until SIGTERM or SIGINT. Dead workers are replaced. At the end, running tasks are given back.

    Args:
        burst: end when the queues are empty.

    Raises:
        QueueUnavailable: Redis does not answer at the start. Later, workers wait for it.
    """
    connection = redis.Redis.from_url(settings.redis_url)
    with reachable():
        connection.ping()
    pool = WorkerPool(
        RedisStore(connection, settings).queue_names,
        connection,
        num_workers=settings.worker_concurrency,
        worker_class=ScanWorker,
        job_class=ScanJob,
        queue_class=ScanQueue,
        serializer=JSONSerializer,
    )
    pool.start(burst=burst)
