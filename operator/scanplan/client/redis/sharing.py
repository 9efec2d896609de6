"""Tasks shared by the operators of several clusters: who has a task, and what it has brought, in one Redis.

The owner's choice (`SCANPLAN_SHARED_TASKS`), for clusters that get the same plans. A task is taken by one atomic command, kept for
as long as its Job lives, and given back when it fails; a complete result stays for the idempotency window. A cluster that dies
loses its tasks after `TAKEN_SECONDS`. Redis away, or a value that isn't one of ours: every cluster scans for itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager

import msgspec
import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from scanplan.api.v1alpha1.scanplan import Phase
from scanplan.api.v1alpha1.scanplan_status import Findings, PublishedArtifacts, ScanPlanStatus
from scanplan.api.v1alpha1.task import ArtifactFile, Document, FindingCounts, MergedResult, encode
from scanplan.client.redis import background
from scanplan.core.observed.sharing import Elsewhere
from scanplan.core.observed.views import JobView
from scanplan.core.planning.task import Plan

log = logging.getLogger("scanplan.sharing")

TAKEN_SECONDS = 90
"""How long a task stays with a cluster whose operator says nothing."""
RENEW_SECONDS = 20.0
ANSWER_SECONDS = 2.0
"""A plan waits no longer for Redis."""

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
    """The tasks that this cluster has, as the other ones see them."""

    def __init__(self, url: str, cluster: str, window_seconds: int) -> None:
        """`window_seconds`: how long a complete result stands in for a scan in another cluster."""
        self._connection = redis.asyncio.Redis.from_url(
            url, socket_connect_timeout=ANSWER_SECONDS, socket_timeout=ANSWER_SECONDS, retry=Retry(NoBackoff(), 0)
        )
        self._cluster = cluster
        self._window = window_seconds

    async def take(self, namespace: str, key: str, claim: str) -> Elsewhere | None:
        """As `scanplan.controller.sharing.Sharing` has it."""
        name, ours = shared_key(namespace, key), self._value(claim)
        try:
            held = await self._connection.set(name, ours, nx=True, get=True, ex=TAKEN_SECONDS)
            if not isinstance(held, bytes) or held == ours:
                return None
            task = msgspec.json.decode(held, type=SharedTask)
            if task.cluster != self._cluster:
                return Elsewhere(task.cluster, task.claim, task.result)
            await self._connection.set(name, ours, ex=TAKEN_SECONDS)  # an earlier end of our own, or another claim's
        except redis.RedisError as error:
            log.warning("%s: whether another cluster has it can't be known, so it is scanned here: %s", key, error)
        except msgspec.MsgspecError as error:
            log.warning("%s: Redis holds %s, which is not ours, so it is scanned here: %s", key, name, error)
        return None

    def kept(self, jobs: Callable[[], Iterable[JobView]]) -> AbstractAsyncContextManager[None]:
        """Keep the tasks of all Jobs that live, as long as the context lasts; then let go of the connections."""
        return background.repeated(lambda: self._keep(jobs), self._connection, ANSWER_SECONDS)

    async def _keep(self, jobs: Callable[[], Iterable[JobView]]) -> None:
        try:
            for job in jobs():
                if job.in_progress and job.key and not job.collector:
                    name = shared_key(job.namespace, job.key)
                    if not await self._run(_KEEP, name, self._value(job.claim), TAKEN_SECONDS):
                        log.warning("%s: another cluster has taken it while it runs here", job.key)
        except redis.RedisError as error:
            log.warning("tasks can't be kept: %s", error)
        await asyncio.sleep(RENEW_SECONDS)

    async def settle(self, plan: Plan, status: ScanPlanStatus) -> None:
        """A status was written: leave a complete result to the others, give a task back that has ended without one.

        Raises:
            redis.RedisError: it could not be told; the others wait until the task runs out.
        """
        phase, artifacts = status.phase, status.artifacts
        if phase is None or not phase.is_terminal or status.task_key is None or status.job_ref is None:
            return
        claim = artifacts.claim_name if artifacts else ""
        complete = artifacts if phase is Phase.COMPLETED and artifacts and artifacts.complete else None
        ended = self._value(claim, _result_of(status, complete)) if complete else b""
        await self._run(_END, shared_key(plan.namespace, status.task_key), self._value(claim), ended, self._window)

    def _value(self, claim: str, result: MergedResult | None = None) -> bytes:
        return encode(SharedTask(cluster=self._cluster, claim=claim, result=result))

    async def _run(self, script: str, key: str, *values: bytes | int) -> bool:
        return bool(await self._connection.eval(script, 1, key, *values))


def shared_key(namespace: str, key: str) -> str:
    """A task's key in Redis. A namespace has no underscore, so no cluster's own keys can be meant."""
    return f"shared:task_key:{namespace}:{key}"


def _result_of(status: ScanPlanStatus, artifacts: PublishedArtifacts) -> MergedResult:
    counts = (status.findings or Findings()).model_dump(include=set(FindingCounts.__struct_fields__))
    return MergedResult(
        path=artifacts.path,
        complete=True,
        shards=status.shards.total if status.shards else 1,
        endpoints_scanned=status.endpoints_scanned or 0,
        endpoints_unreachable=status.endpoints_unreachable or 0,
        findings=FindingCounts(**counts),
        files=tuple(
            ArtifactFile(name=file.name, bytes=file.bytes, sha256=file.sha256) for file in artifacts.files or ()
        ),
    )
