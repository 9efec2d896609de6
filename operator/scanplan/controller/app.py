"""What the operator does while it leads: kopf's watches, the controller's workers, and the resync.

Kopf has the credentials, the watches and the process's end. Nothing of its own persistence is used: no annotations, no finalizers,
no writes.
"""

from __future__ import annotations

import asyncio
import gc
import logging
from typing import Any

import kopf

from scanplan.controller import resync
from scanplan.controller.engine.probes import Health
from scanplan.controller.scanplan import Controller
from scanplan.controller.settings import OperatorSettings
from scanplan.controller.watches import Watches

log = logging.getLogger("scanplan.operator")


async def work(controller: Controller, settings: OperatorSettings, health: Health, stop: asyncio.Event) -> None:
    """Watch and reconcile until `stop` is set."""
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
