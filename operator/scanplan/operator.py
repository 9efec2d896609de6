"""The operator's process, composed top-down: `load` reads its settings, `run` builds its parts and runs them.

Nothing below this module knows the whole. The controller tells its observers what happens; metrics and Redis are two of them.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scanplan.client import errors
from scanplan.controller import app
from scanplan.controller.cache.ended import EndedScans
from scanplan.controller.cache.notifiers import Notifiers
from scanplan.controller.cache.schedules import Schedules
from scanplan.controller.cache.store import Store
from scanplan.controller.engine import leadership, probes
from scanplan.controller.engine.probes import Health
from scanplan.controller.engine.scope import Scope
from scanplan.controller.engine.workqueue import WorkQueue
from scanplan.controller.exceptions import ExceptionController
from scanplan.controller.notify.notifiers import NotifierController
from scanplan.controller.observer import Observer
from scanplan.controller.reads.zones import ZONES
from scanplan.controller.scanplan import Controller
from scanplan.controller.schedule import ScheduleController
from scanplan.controller.settings import OperatorSettings, load_settings
from scanplan.core.planning.policy import IDEMPOTENCY_WINDOW_SECONDS
from scanplan.kube.api import Api
from scanplan.kube.clock import ServerClock
from scanplan.kube.connection import connect
from scanplan.kube.service_account import own_namespace
from scanplan.metrics import server
from scanplan.metrics.operator import OperatorMetrics

if TYPE_CHECKING:
    from scanplan.client.redis.publication import Publication, PublicationSettings
    from scanplan.client.redis.sharing import SharedTasks

log = logging.getLogger("scanplan.operator")


@dataclass(frozen=True, slots=True)
class Configuration:
    """The settings of all parts; None: the part is off."""

    operator: OperatorSettings
    redis: PublicationSettings | None = None


def load() -> Configuration:
    """Read the environment. What is off is not imported: it would cost the operator its memory.

    Raises:
        settings.loading.InvalidSettings: with a line for each wrong variable.
        MissingDependency: the package for Redis is not installed.
    """
    return Configuration(load_settings(), _redis())


def _redis() -> PublicationSettings | None:
    if not (os.environ.get("REDIS_URL") or os.environ.get("SCANPLAN_SHARED_TASKS")):
        return None
    try:
        from scanplan.client.redis import publication  # noqa: PLC0415 - needs an extra
    except ModuleNotFoundError as error:
        raise errors.MissingDependency("redis", "redis") from error
    settings = publication.load()
    return settings if settings.redis_url else None


async def run(configuration: Configuration) -> None:
    """Run the operator until SIGTERM or SIGINT.

    Raises:
        LeadershipLost: another operator has taken over; this process should end, and come back as a standby.
        WatchEnded: the watch of the plans was broken with an error; this process should end, and begin anew.
        ServerTooOld: the API server lacks what every scan needs.
        CannotListen: a port is taken.
    """
    started = time.monotonic()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):  # kopf's own take their place once there is work, and end it
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    settings = configuration.operator
    ended = EndedScans() if settings.notifiers else None
    queue, store = WorkQueue(), Store(ended, Scope(settings.namespaces, settings.namespace_selector))
    known_schedules, known_notifiers = Schedules(store.deletions), Notifiers(store.deletions)
    health, clock = Health(queue), ServerClock()
    publication, shared = _in_redis(configuration.redis, clock) if configuration.redis else (None, None)
    metrics = OperatorMetrics(
        store,
        queue,
        known_schedules,
        known_notifiers,
        lambda: health.working,
        publication.outcomes if publication else None,
    )
    observers: list[Observer] = [metrics, publication] if publication else [metrics]
    try:
        async with AsyncExitStack() as services:
            # Each watch holds a connection, and there are two for each namespace; the workers bound all other requests.
            client = await services.enter_async_context(await connect(connections=0))
            api = Api(client, metrics.count_request, clock)
            controller = Controller(api, store, queue, settings.policy(), sharing=shared, observers=observers)
            exceptions = ExceptionController(controller, WorkQueue())
            others: list[ScheduleController | NotifierController] = []
            if settings.schedules:
                others.append(ScheduleController(controller, known_schedules, WorkQueue(), ZONES))
            if ended:
                hosts, page_url = settings.notifier_hosts, settings.page_url
                others.append(NotifierController(controller, ended, known_notifiers, hosts, page_url, [metrics]))
            controller.observe(exceptions, *others)

            await services.enter_async_context(probes.serving(health, settings.probe_port))
            await services.enter_async_context(server.serving(metrics, settings.metrics_port))
            if shared:
                await services.enter_async_context(shared.kept(lambda: store.all_jobs(None)))
            if publication:
                await services.enter_async_context(publication.publishing())

            async def work() -> None:
                await app.work(controller, exceptions, others, settings, health, stop)

            if settings.leader_election:
                namespace = settings.lease_namespace or own_namespace()
                lease = leadership.Lease(client, namespace, settings.lease_name, settings.pod_uid)
                controller.actions.alone, health.standing_by = lease.held, lease.known
                await lease.lead(work, stop)
            else:
                await work()
    finally:
        log.info("stopped after %.0f s", time.monotonic() - started)


def _in_redis(settings: PublicationSettings, clock: ServerClock) -> tuple[Publication, SharedTasks | None]:
    from scanplan.client.redis import publication, sharing  # noqa: PLC0415 - needs an extra

    url, cluster = settings.redis_url or "", settings.cluster_name
    if not settings.shared_tasks:
        return publication.Publication(url, cluster), None
    shared = sharing.SharedTasks(url, cluster, IDEMPOTENCY_WINDOW_SECONDS, clock.now)
    return publication.Publication(url, cluster, shared.settle), shared
