"""The operator's process: settings, kopf's watches, and the controller's workers.

Kopf has the credentials, the watches and the process's end. Nothing of its own persistence is used: no annotations, no finalizers,
no writes.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import time
from typing import Any

import kopf

from scanplan.controller import resync
from scanplan.controller.engine import leadership, probes
from scanplan.controller.engine.probes import Health
from scanplan.controller.extension import Extension
from scanplan.controller.scanplan import Controller
from scanplan.controller.settings import OperatorSettings
from scanplan.controller.watches import Watches
from scanplan.kube import api as apis

log = logging.getLogger("scanplan.operator")

PLAIN = Extension()


async def run(settings: OperatorSettings, extension: Extension = PLAIN) -> None:
    """Run the operator until SIGTERM or SIGINT.

    Raises:
        LeadershipLost: another operator has taken over; this process should end, and come back as a standby.
    """
    started = time.monotonic()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):  # kopf's own take their place once there is work, and end it
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with await apis.connect() as client:
        controller = extension.controller(extension.api(client), settings.policy())
        health = Health(controller.queue)

        async def work() -> None:
            await _work(controller, settings, health, stop)

        try:
            async with probes.serving(health, settings.probe_port), extension.beside(controller):
                if settings.leader_election:
                    namespace = settings.lease_namespace or leadership.own_namespace()
                    lease = leadership.Lease(client, namespace, settings.lease_name, settings.pod_uid)
                    controller.alone, health.standing_by = lease.held, lease.known
                    await lease.lead(work, stop)
                else:
                    await work()
        finally:
            log.info("stopped after %.0f s", time.monotonic() - started)


async def _work(controller: Controller, settings: OperatorSettings, health: Health, stop: asyncio.Event) -> None:
    """Watch and reconcile, as the one thing that kopf's process is there for."""
    log.info("watching %s", ", ".join(settings.namespaces) or "all namespaces")
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    async def log_in(**_: Any) -> kopf.ConnectionInfo:
        return await controller.api.connection()

    namespaces = settings.namespaces or (None,)
    watches = Watches(controller, namespaces)

    async def all_parts() -> None:
        # Any part ending ends all: watches without workers, or workers without watches, would look alive.
        async with asyncio.TaskGroup() as group:
            _keep_what_is_there()
            await watches.begin(group)
            controller.begin()
            _keep_what_is_there()
            group.create_task(controller.run(settings.workers))
            group.create_task(resync.run(controller, namespaces, watches.relisted))
            health.working = True

    await kopf.operator(
        registry=registry,
        settings=watches.settings,
        clusterwide=not settings.namespaces,
        namespaces=settings.namespaces,
        stop_flag=stop,
        _command=all_parts(),
    )


def _keep_what_is_there() -> None:
    """Modules and plans stay: each full collection of garbage would go through them all, which takes 50 ms and more."""
    gc.collect()
    gc.freeze()
