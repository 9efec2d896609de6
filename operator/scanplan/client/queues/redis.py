"""The `redis` queue: tasks are RQ jobs, and any number of workers take them.

One transaction sets a plan's claim and enqueues its job. So a hundred submitters of one plan start one scan, and a submitter that
dies leaves both or neither. A claim without a job that is alive is ignored. Redis is the only store: a flush loses waiting tasks,
claims and results. Artifacts stay, and results are read from them again.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import redis
from redis.exceptions import WatchError
from rq import Queue, Retry, worker_registration
from rq.exceptions import DeserializationError, NoSuchJobError
from rq.job import Job, JobStatus
from rq.registry import FailedJobRegistry, ScheduledJobRegistry
from rq.results import Result
from rq.serializers import JSONSerializer

from scanplan.api.documents.report import TaskError
from scanplan.api.documents.words import ErrorClass
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.client import artifacts, document, models, pipeline
from scanplan.client.errors import InvalidPayload, UnknownTask, UnknownTaskType
from scanplan.client.models import QueueHealth, ScanPlan, ScanResult, TaskStatus
from scanplan.client.queues import statistics
from scanplan.client.queues.base import TaskQueue
from scanplan.client.queues.redis_store import NORMAL_PRIORITY, PRIORITIES, RedisStore, connect, reachable
from scanplan.client.queues.statistics import Statistics
from scanplan.client.settings import ClientSettings, load_settings
from scanplan.core.planning import keys

if TYPE_CHECKING:
    from redis.client import Pipeline

WORKER_FUNCTION = "scanplan.client.queues.workers.execute_scan_task"
BACKSTOP_SECONDS = 300
"""Seconds by which RQ's timeout is longer than ours. Ours publishes what was found; RQ's is for a worker that hangs."""
ENDED = {JobStatus.FINISHED, JobStatus.FAILED, JobStatus.STOPPED, JobStatus.CANCELED}
KILLED = TaskError(
    error_class=ErrorClass.TEMPORARY,
    reason=Reason.SCANNER_KILLED,
    message="its worker was killed, and its attempts are used up: see its log, and the memory limits and restarts where it runs",
)
"""The error of a task whose last attempt was killed: a kill counts as a temporary error."""
_ALIVE = {JobStatus.CREATED, JobStatus.QUEUED, JobStatus.STARTED, JobStatus.SCHEDULED, JobStatus.DEFERRED}


class ScanJob(Job):
    """An RQ job that can only be a scan. A plain RQ job calls whatever function its record in Redis names."""

    @property
    def func(self) -> Any:
        if self.func_name != WORKER_FUNCTION or self.instance:
            raise InvalidPayload(f"job {self.id} in Redis is to call {self.func_name!r}; workers only scan")
        return super().func

    def restore(self, raw_data: Any) -> None:
        super().restore(raw_data)
        self._success_callback_name = self._failure_callback_name = self._stopped_callback_name = None
        self.webhooks = []


class ScanQueue(Queue):
    """An RQ queue with JSON instead of pickle, so that a record in Redis can't run code in a worker."""

    job_class = ScanJob

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **{**options, "serializer": JSONSerializer})


class RQTaskQueue(TaskQueue):
    """Tasks on Redis. `redis_conn` and `queue` are names of the first design."""

    def __init__(self, redis_url: str, settings: ClientSettings | None = None) -> None:
        """Create the queue; it connects on first use.

        Raises:
            InvalidSettings: without `settings`, when the environment has wrong ones.
        """
        settings = settings or load_settings()
        self.redis_conn = connect(redis_url)
        self._settings = settings
        self._store = RedisStore(self.redis_conn, settings)
        self._queues = {p: ScanQueue(self._store.queue_name(p), connection=self.redis_conn) for p in PRIORITIES}
        self.queue = self._queues[NORMAL_PRIORITY]

    @classmethod
    def of(cls, settings: ClientSettings) -> RQTaskQueue:
        """The queue at the settings' REDIS_URL."""
        return cls(settings.redis_url, settings)

    def submit_task(self, task_type: str, payload: Mapping[str, Any], priority: int | None = None) -> str:
        if task_type != models.TASK_TYPE:
            raise UnknownTaskType(task_type)
        plan = models.plan_from(payload if priority is None else {**payload, "priority": priority})
        if plan.priority is None:
            plan = replace(plan, priority=self._settings.async_scan_priority)
        document.check(plan, self._settings)
        with reachable(), self.redis_conn.pipeline() as pipe:
            while True:
                try:
                    return self._submit(pipe, plan)
                except WatchError:
                    continue

    def is_answered(self, plan: ScanPlan) -> bool:
        with reachable():
            return self._is_answered(self.redis_conn, plan)

    def get_task_status(self, task_id: str) -> TaskStatus:
        with reachable():
            job = self._job(task_id)
            if job is None:
                return self._ended(task_id, None).status
            status = job.get_status(refresh=False)
            if status == JobStatus.STARTED:
                return TaskStatus.RUNNING
            if status in _ALIVE:
                # only retries are scheduled; one that is due is queued again
                again = status == JobStatus.SCHEDULED or self._store.failures(task_id)
                return TaskStatus.RETRYING if again else TaskStatus.PENDING
            return self._ended(task_id, job).status

    def get_task_result(self, task_id: str) -> dict[str, Any] | None:
        with reachable():
            job = self._job(task_id)
            if job is not None and job.get_status(refresh=False) in _ALIVE:
                return None
            return models.dump(self._ended(task_id, job))

    def store_task_result(self, task_id: str, result: Mapping[str, Any]) -> None:
        checked = models.to_json(models.result_for(task_id, result))
        with reachable():
            self.redis_conn.set(self._store.result_key(task_id), checked, ex=self._settings.result_ttl)

    def cancel_task(self, task_id: str) -> bool:
        with reachable():
            job = self._job(task_id)
            if job is None:
                self._ended(task_id, None)
                return False
            status = job.get_status(refresh=False)
            if status not in _ALIVE:
                return False
            # The request stays. A worker that has just taken the job sees it at once, and ends the job.
            self._store.request_cancellation(task_id)
            if self._store.has_begun(task_id):
                # A worker publishes what the attempts before have found. A retry that waits for its time need wait no longer.
                waiting = ScheduledJobRegistry(job.origin, connection=self.redis_conn).key
                self.redis_conn.zadd(waiting, {job.id: time.time()}, xx=True)
            elif status != JobStatus.STARTED:
                plan = plan_of(job)
                self._store.finish(models.generate_task_key(plan), pipeline.as_cancelled(pipeline.nothing(plan)))
                job.delete()  # RQ keeps cancelled jobs for ever, with all endpoints
            return True

    def find_task(self, run_id: str) -> str | None:
        with reachable():
            value: Any = self.redis_conn.get(self._store.run_key(run_id))
        if value:
            return str(value.decode())
        key = artifacts.newest_task(self._settings.data_directory, run_id)
        return keys.job_name(key) if key else None

    def health(self) -> QueueHealth:
        """All counts are 0 where Redis does not answer; then `redis_connected` is False."""
        try:
            with self.redis_conn.pipeline(transaction=False) as pipe:
                for queue in self._queues.values():
                    pipe.llen(queue.key)
                    pipe.zcard(ScheduledJobRegistry(queue=queue).key)
                    pipe.zcard(FailedJobRegistry(queue=queue).key)
                counts = pipe.execute()
            workers = worker_registration.get_keys(self.queue)
        except redis.exceptions.RedisError:
            return QueueHealth(queue_size=0, active_workers=0, failed_jobs=0, redis_connected=False)
        return QueueHealth(
            queue_size=sum(counts[0::3]) + sum(counts[1::3]),
            active_workers=len(workers),
            failed_jobs=sum(counts[2::3]),
            redis_connected=True,
        )

    def check(self) -> None:
        with reachable():
            self.redis_conn.ping()

    def statistics(self) -> Statistics:
        with reachable():
            return statistics.read(self.redis_conn, self._store.statistics_key)

    def close(self) -> None:
        self.redis_conn.close()

    # the transaction

    def _submit(self, pipe: Pipeline, plan: ScanPlan) -> str:
        """Find the plan's task, or claim and enqueue it in one transaction. Raises WatchError where another submitter was first."""
        task_key = models.generate_task_key(plan)
        task_id = models.task_id_of(plan)
        job_id = self._store.job_id(task_id)
        pipe.watch(self._store.claim_key(task_key), Job.key_for(job_id))
        if self._is_answered(pipe, plan):
            pipe.unwatch()
            return task_id
        queue = self._queues[plan.priority if plan.priority is not None else NORMAL_PRIORITY]
        job = self._new_job(queue, plan, job_id)
        pipe.multi()
        pipe.delete(Job.key_for(job_id), Result.get_key(job_id))
        for other in self._queues.values():
            pipe.zrem(FailedJobRegistry(queue=other).key, job_id)
        self._store.claim(pipe, task_key, task_id, plan.run_id)
        queue.enqueue_job(job, pipeline=pipe)
        pipe.execute()
        return task_id

    def _is_answered(self, connection: redis.Redis, plan: ScanPlan) -> bool:
        """`is_answered`, by a connection or by a pipeline that watches."""
        task_id = models.task_id_of(plan)
        status: Any = connection.hget(Job.key_for(self._store.job_id(task_id)), "status")
        if status and JobStatus(status.decode()) in _ALIVE:
            return True
        claimed = connection.get(self._store.claim_key(models.generate_task_key(plan))) is not None
        return claimed and self._has_succeeded(connection, task_id)

    def _has_succeeded(self, connection: redis.Redis, task_id: str) -> bool:
        value: Any = connection.get(self._store.result_key(task_id))
        try:
            return bool(value) and models.load(ScanResult, value, f"the stored result of {task_id}").success
        except InvalidPayload:  # a damaged result does not count: scan again
            return False

    def _new_job(self, queue: ScanQueue, plan: ScanPlan, job_id: str) -> Job:
        settings = self._settings
        waits = [*intervals(settings.retry_temporary_seconds, settings.retry_temporary), 1]
        return queue.create_job(
            WORKER_FUNCTION,
            args=(models.payload_of(plan),),
            job_id=job_id,
            timeout=settings.task_timeout + BACKSTOP_SECONDS,
            result_ttl=settings.result_ttl,
            failure_ttl=settings.result_ttl,
            description=f"scan of {len(plan.endpoints)} endpoints, run {plan.run_id}, project {plan.project_id}",
            # RQ counts attempts that were killed. The worker counts all others itself, by class. The last retry only publishes.
            retry=Retry(max=len(waits), interval=waits),
        )

    # looking

    def _job(self, task_id: str) -> Job | None:
        try:
            return Job.fetch(self._store.job_id(task_id), connection=self.redis_conn, serializer=JSONSerializer)
        except (NoSuchJobError, ValueError):  # ValueError: no job can have this id
            return None

    def _ended(self, task_id: str, job: Job | None) -> ScanResult:
        """The result of an ended task: from its worker, else from the artifacts, else from the job's state."""
        result = self._store.result(task_id)
        if result is not None:
            return result
        recovered = artifacts.recovered(self._settings.data_directory, task_id)
        if job is None:
            if recovered is None:
                raise UnknownTask(task_id)
            return recovered
        plan = plan_of(job)
        if job.get_status(refresh=False) in {JobStatus.STOPPED, JobStatus.CANCELED}:
            return pipeline.as_cancelled(pipeline.nothing(plan))
        if recovered is not None and recovered.success:
            return recovered
        return pipeline.failed(recovered or pipeline.nothing(plan), KILLED)


def plan_of(job: Job) -> ScanPlan:
    """Read and check the plan in a job.

    Raises:
        InvalidPayload: the job has no valid plan.
    """
    try:
        payload = job.args[0]
    except (DeserializationError, IndexError, TypeError) as error:
        raise InvalidPayload(f"job {job.id} in Redis holds no scan task: {error}") from error
    return models.plan_from(payload if isinstance(payload, dict) else {})


def intervals(first: int, attempts: int) -> list[int]:
    """Seconds before each further attempt: the first, then doubled, at most a day."""
    return [min(first << number, 86_400) for number in range(attempts)]
