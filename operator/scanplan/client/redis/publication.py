"""Publishes task keys and results to Redis, where the operator's owner names one.

Programs that use the library read them there. The operator itself never reads them: the ScanPlan's status is what counts. So
nothing waits for Redis, and nothing is tried again. What Redis can't take is dropped with a line in the log. Keys begin with
cluster and namespace.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from enum import StrEnum

import redis.asyncio
from pydantic import Field

from scanplan.api.v1alpha1.scanplan_status import ScanPlanStatus
from scanplan.client import models
from scanplan.client.errors import InvalidSettings
from scanplan.client.queues.kubernetes import result_of, status_of
from scanplan.client.redis import background
from scanplan.controller.observer import Observer
from scanplan.core.planning.task import Plan
from scanplan.settings import loading
from scanplan.settings.fields import RedisUrl

log = logging.getLogger("scanplan.redis")

KEEP_SECONDS = 86_400
MAX_WAITING = 1_000
_ANSWER_SECONDS = 5.0


class PublicationSettings(loading.EnvironmentSettings):
    """What the operator's owner decides about Redis."""

    redis_url: RedisUrl | None = Field(
        None, alias="REDIS_URL", description="The operator publishes keys and results of tasks to this Redis."
    )
    cluster_name: str = Field(
        "default",
        alias="SCANPLAN_CLUSTER_NAME",
        pattern=r"^[A-Za-z0-9_-]{1,63}$",
        description="First part of the keys that the operator publishes to Redis.",
    )
    shared_tasks: bool = Field(
        False,
        alias="SCANPLAN_SHARED_TASKS",
        description="The clusters that publish to this Redis share tasks: one scans, the others take its result. Results "
        "are not signed, so trust everybody who can write to that Redis.",
    )


def load() -> PublicationSettings:
    """Read the environment.

    Raises:
        InvalidSettings: with a line for each wrong variable.
    """
    settings = loading.load(PublicationSettings, error=InvalidSettings)
    if settings.shared_tasks and settings.redis_url is None:
        raise InvalidSettings("SCANPLAN_SHARED_TASKS: tasks are shared through Redis, which REDIS_URL has to name")
    return settings


class PublicationOutcome(StrEnum):
    """Outcome of publishing a status."""

    PUBLISHED = "published"
    FAILED = "failed"
    DROPPED = "dropped"
    """Dropped, because too many statuses were waiting."""


class Publication(Observer):
    """Publishes each status that the controller has written."""

    def __init__(
        self, url: str, cluster: str, also: Callable[[Plan, ScanPlanStatus], Awaitable[None]] | None = None
    ) -> None:
        """`also` is called with each status after it was published. A `redis.RedisError` of it is logged."""
        self._connection = redis.asyncio.Redis.from_url(
            url, socket_connect_timeout=_ANSWER_SECONDS, socket_timeout=_ANSWER_SECONDS
        )
        self._cluster = cluster
        self._also = also
        self.outcomes: dict[str, int] = {outcome.value: 0 for outcome in PublicationOutcome}
        self._waiting: asyncio.Queue[tuple[Plan, ScanPlanStatus]] = asyncio.Queue(MAX_WAITING)

    def status_written(self, plan: Plan, status: ScanPlanStatus) -> None:
        try:
            self._waiting.put_nowait((plan, status))
        except asyncio.QueueFull:
            self.outcomes[PublicationOutcome.DROPPED] += 1
            log.warning("Redis is too slow: the status of %s/%s is not published", plan.namespace, plan.name)

    def publishing(self) -> AbstractAsyncContextManager[None]:
        """Publish while the context lasts."""
        return background.repeated(self._next, self._connection, _ANSWER_SECONDS)

    async def _next(self) -> None:
        plan, status = await self._waiting.get()
        try:
            await self._publish(plan, status)
            if self._also:
                await self._also(plan, status)
            self.outcomes[PublicationOutcome.PUBLISHED] += 1
        except redis.RedisError as error:
            self.outcomes[PublicationOutcome.FAILED] += 1
            log.warning("%s/%s is not published: %s", plan.namespace, plan.name, error)

    async def _publish(self, plan: Plan, status: ScanPlanStatus) -> None:
        prefix = f"{self._cluster}:{plan.namespace}"
        metadata = {"name": plan.name, "namespace": plan.namespace, "generation": plan.generation}
        spec = {"runId": plan.spec.run_id, "endpoints": plan.spec.endpoints}
        body = {"metadata": metadata, "spec": spec, "status": status.document()}
        async with self._connection.pipeline() as pipe:
            if status.task_key is not None:
                pipe.set(f"{prefix}:task_key:{status.task_key}", plan.name, nx=True, ex=KEEP_SECONDS)
            if status_of(body).is_terminal:
                pipe.set(f"{prefix}:task_result:{plan.name}", models.to_json(result_of(body)), ex=KEEP_SECONDS)
            if len(pipe):
                await pipe.execute()
