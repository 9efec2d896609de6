"""Shares tasks between the operators of several clusters: one Redis says which cluster has a task, and its result.

It is optional (`SCANPLAN_SHARED_TASKS`), for clusters that get the same plans. One atomic command takes a task. It is renewed while
its Job exists, and given back when the Job fails. A complete result stays for the idempotency window. A cluster that dies loses
its tasks after `TAKEN_SECONDS`. Without Redis, or with a value that is not ours, every cluster scans for itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from datetime import datetime

import msgspec
import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from scanplan.api import wire
from scanplan.api.documents.report import ArtifactFile, FindingCounts, MergedResult
from scanplan.api.documents.words import Document, encode
from scanplan.api.times import lenient_time
from scanplan.api.v1alpha1.scanplan import Phase
from scanplan.api.v1alpha1.scanplan_status import Findings, PublishedArtifacts, ScanPlanStatus
from scanplan.client.redis import background
from scanplan.core.observed.jobs import JobView
from scanplan.core.observed.sharing import OtherCluster
from scanplan.core.planning.task import Plan
from scanplan.core.status import findings
from scanplan.kube import clock

log = logging.getLogger("scanplan.sharing")

TAKEN_SECONDS = 90
"""Seconds after which a task is free again where its operator does not renew it."""
RENEW_SECONDS = 20.0
ANSWER_SECONDS = 2.0
"""Longest time in seconds that a plan waits for Redis."""

_KEEP = """
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
return 1
"""
_END = """
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then return 0 end
if ARGV[2] == '' then return redis.call('DEL', KEYS[1]) end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return 1
"""


class SharedTask(Document, frozen=True, kw_only=True):
    """The value of a task's key."""

    cluster: str
    claim: str
    result: MergedResult | None = None


class SharedTasks:
    """Takes, renews and gives back the tasks of this cluster."""

    def __init__(self, url: str, cluster: str, window_seconds: int, now: Callable[[], datetime] = clock.local) -> None:
        """Opens no connection yet.

        Args:
            url: of the Redis.
            cluster: this cluster's name.
            window_seconds: how long after a scan other clusters use its complete result instead of a scan of their own.
            now: the API server's time.
        """
        self._connection = redis.asyncio.Redis.from_url(
            url, socket_connect_timeout=ANSWER_SECONDS, socket_timeout=ANSWER_SECONDS, retry=Retry(NoBackoff(), 0)
        )
        self._cluster = cluster
        self._window = window_seconds
        self._now = now

    async def take(self, namespace: str, key: str, claim: str) -> OtherCluster | None:
        """See `scanplan.controller.reads.sharing.Sharing`."""
        name, ours = shared_key(namespace, key), self._value(claim)
        try:
            held = await self._connection.set(name, ours, nx=True, get=True, ex=TAKEN_SECONDS)
            if not isinstance(held, bytes) or held == ours:
                return None
            task = wire.decode(held, SharedTask)
            if task.cluster != self._cluster:
                return OtherCluster(task.cluster, task.claim, task.result)
            await self._connection.set(
                name, ours, ex=TAKEN_SECONDS
            )  # a former result of this cluster, or one on another claim
        except redis.RedisError as error:
            log.warning("%s: whether another cluster has it can't be known, so it is scanned here: %s", key, error)
        except msgspec.MsgspecError as error:
            log.warning("%s: Redis holds %s, which is not ours, so it is scanned here: %s", key, name, error)
        return None

    def kept(self, jobs: Callable[[], Iterable[JobView]]) -> AbstractAsyncContextManager[None]:
        """Renew the tasks of all Jobs in progress while the context lasts, then close the connections."""
        return background.repeated(lambda: self._keep(jobs), self._connection, ANSWER_SECONDS)

    async def _keep(self, jobs: Callable[[], Iterable[JobView]]) -> None:
        try:
            for job in jobs():
                if job.in_progress and job.key and not (job.collector or job.exporter):
                    name = shared_key(job.namespace, job.key)
                    if not await self._run(_KEEP, name, self._value(job.claim), TAKEN_SECONDS):
                        log.warning("%s: another cluster has taken it while it runs here", job.key)
        except redis.RedisError as error:
            log.warning("tasks can't be kept: %s", error)
        await asyncio.sleep(RENEW_SECONDS)

    async def settle(self, plan: Plan, status: ScanPlanStatus) -> None:
        """After the status was written by which a task ended: share a complete result, or give back a task without one.

        Later writes of the same end say nothing about the task: another plan of ours may run it by then.

        Args:
            plan: as it was before.

        Raises:
            redis.RedisError: Redis did not take it. Other clusters wait until the task expires.
        """
        phase, artifacts = status.phase, status.artifacts
        if phase is None or not phase.is_terminal or status.task_key is None or status.job_ref is None:
            return
        if _end_of(plan.status) == _end_of(status):
            return
        claim = artifacts.claim_name if artifacts else ""
        complete = artifacts if phase is Phase.COMPLETED and artifacts and artifacts.complete else None
        seconds = self._seconds_left(status)
        ended = self._value(claim, _result_of(status, complete)) if complete and seconds > 0 else b""
        await self._run(_END, shared_key(plan.namespace, status.task_key), self._value(claim), ended, seconds)

    def _seconds_left(self, status: ScanPlanStatus) -> int:
        """How long other clusters may still use a result."""
        completed = lenient_time(status.completion_time)
        age = (self._now() - completed).total_seconds() if completed else 0.0
        return self._window - max(0, int(age))

    def _value(self, claim: str, result: MergedResult | None = None) -> bytes:
        return encode(SharedTask(cluster=self._cluster, claim=claim, result=result))

    async def _run(self, script: str, key: str, *values: bytes | int) -> bool:
        return bool(await self._connection.eval(script, 1, key, *values))


def shared_key(namespace: str, key: str) -> str:
    """A task's key in Redis. A namespace has no underscore, so it never equals a key of one cluster."""
    return f"shared:task_key:{namespace}:{key}"


def _end_of(status: ScanPlanStatus) -> tuple[bool, str | None, str | None]:
    is_terminal = status.phase is not None and status.phase.is_terminal
    return is_terminal, status.task_key, status.completion_time


def _result_of(status: ScanPlanStatus, artifacts: PublishedArtifacts) -> MergedResult:
    counts = (status.findings or Findings()).model_dump(include=set(FindingCounts.__struct_fields__))
    return MergedResult(
        path=artifacts.path,
        complete=True,
        shards=status.shards.total if status.shards else 1,
        endpoints_scanned=status.endpoints_scanned or 0,
        endpoints_unreachable=status.endpoints_unreachable or 0,
        endpoints_skipped=status.endpoints_skipped or 0,
        endpoints_throttled=status.endpoints_throttled or 0,
        endpoints_blocked=status.endpoints_blocked or 0,
        templates_run=status.templates_run or 0,
        templates_not_run=status.templates_not_run or 0,
        requests=status.requests_sent or 0,
        seconds=status.sending_seconds or 0,
        coverage=round(float((status.coverage or "0%").removesuffix("%")) * 10),
        findings=FindingCounts(**counts),
        history=findings.history_of(status.findings or Findings()),
        files=tuple(
            ArtifactFile(name=file.name, bytes=file.bytes, sha256=file.sha256) for file in artifacts.files or ()
        ),
    )
