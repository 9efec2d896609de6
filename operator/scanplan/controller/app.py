"""Starts all controllers and watches, and runs them until told to stop. The caller does so while this process leads."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Sequence
from typing import Protocol

from scanplan.controller import plan_watch, resync
from scanplan.controller.engine.parts import until_one_ends
from scanplan.controller.engine.probes import Health
from scanplan.controller.engine.reflector import Reflector
from scanplan.controller.exceptions import ExceptionController
from scanplan.controller.namespaces import Kinds, NamespaceSelector
from scanplan.controller.reads import platform
from scanplan.controller.reads.api_server import ApiServerAddresses
from scanplan.controller.scanplan import Controller
from scanplan.controller.settings import OperatorSettings
from scanplan.controller.watches import Watches

log = logging.getLogger("scanplan.operator")


class KindController(Protocol):
    """Works on the objects of one kind."""

    reflector: Reflector

    async def run(self) -> None:
        """Watch and work until cancelled. It is started after the operator has listed all plans and Jobs once."""

    def reconcile_all(self) -> None:
        """Reconcile all objects, in case the wall clock was set. Timers run on the monotonic clock, and don't notice."""


async def work(
    controller: Controller,
    exceptions: ExceptionController,
    optional: Sequence[KindController],
    settings: OperatorSettings,
    health: Health,
    stop: asyncio.Event,
) -> None:
    """List everything, then watch and reconcile until `stop` is set, or kopf is told to end by a signal.

    Args:
        optional: the controllers of the kinds that can be switched off.

    Raises:
        ServerTooOld: the API server lacks what every scan needs.
        WatchEnded: kopf has ended with an error.
    """
    namespaces = NamespaceSelector(controller)
    watches = Watches(controller)
    addresses = ApiServerAddresses(controller)

    def on_resync() -> None:
        for each in optional:
            each.reconcile_all()
        controller.look_at_windows()

    async def run_controllers() -> None:
        _freeze_long_lived_objects()
        await platform.look(controller, settings.pod_security_context)
        await watches.everything_listed()
        await exceptions.reflector.tried()
        next_look = await addresses.look()
        controller.begin()
        _freeze_long_lived_objects()
        health.working = True
        await until_one_ends(
            controller.run(settings.workers),
            resync.run(controller, watches.jobs.relisted, on_resync),
            exceptions.run(),
            *(each.run() for each in optional),
            namespaces.follow(Kinds(watches, exceptions, [each.reflector for each in optional])),
            addresses.run(next_look),
            plan_watch.run(controller, settings.namespaces, watches),
        )

    async def watch_and_run() -> None:
        await namespaces.listed()
        log.info("watching %s", controller.scope)
        await until_one_ends(watches.jobs.run(), exceptions.reflector.run(), run_controllers())

    await until_one_ends(namespaces.run(), watch_and_run(), stop.wait())


def _freeze_long_lived_objects() -> None:
    """Freezes long-lived objects so that a full garbage collection skips them (saves about 50 ms)."""
    gc.collect()
    gc.freeze()
