"""Starts kopf and all controllers, and runs them until told to stop. The caller does so while this process leads.

Kopf watches the ScanPlans, and hands each event to the controller's queue. We don't use kopf's change handlers, because they
keep state in annotations and finalizers of the plan. All that is used of kopf is documented in its manual (handlers:
"Event-watching handlers", settings: "Configuration", the process: "Embedding").
"""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Collection, Sequence
from typing import Any, Protocol

import kopf

from scanplan.api import labels
from scanplan.controller import resync
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
from scanplan.kube.requests import REQUEST_SECONDS

log = logging.getLogger("scanplan.operator")

CHUNK_BYTES = 2 << 20
"""Bytes of a page of kopf's list, judged by the largest plan. Kopf decodes whole pages, and small nested objects take 20 times the
memory of their JSON."""
CHUNK = 100
"""Objects in a page of kopf's list, at most."""
BACKOFFS = (1.0, 2.0, *[4.0] * 10_000)
"""Seconds before each retry of kopf's requests. It retries for half a day, so that an outage doesn't end the process."""
IDLE_SECONDS = 0.02
"""Seconds without an event after which kopf ends its worker for an object, and frees the object's last event."""


class WatchEnded(Exception):
    """Kopf can't watch ScanPlans any more; the process must restart."""


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
            watch_plans(controller, settings.namespaces, watches),
        )

    async def watch_and_run() -> None:
        await namespaces.listed()
        log.info("watching %s", controller.scope)
        await until_one_ends(watches.jobs.run(), exceptions.reflector.run(), run_controllers())

    await until_one_ends(namespaces.run(), watch_and_run(), stop.wait())


async def watch_plans(controller: Controller, namespaces: Collection[str], watches: Watches) -> None:
    """Run kopf, which hands each event of a ScanPlan to the controller."""
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    async def log_in(**_: Any) -> kopf.ConnectionInfo:
        return await controller.api.connection()

    @kopf.on.event(labels.GROUP, labels.VERSION, labels.PLURAL, registry=registry)
    async def plan_event(event: kopf.RawEvent, **_: Any) -> None:
        if event["type"] is None:  # kopf has listed again, so events may have been missed: all plans are compared again
            watches.jobs.relisted.set()
        if controller.scope.stores(event["object"]["metadata"]["namespace"]):
            controller.intake.plan_event(event["type"], dict(event["object"]))

    try:
        await kopf.operator(
            registry=registry,
            settings=kopf_settings(watches.largest_plan),
            clusterwide=not namespaces,
            namespaces=namespaces,
            memo=(),  # by default, kopf makes a dictionary for each plan
        )
    except Exception as error:
        raise WatchEnded(f"kopf has ended: {error!r}") from error


def kopf_settings(largest: int) -> kopf.OperatorSettings:
    """Kopf's settings: it watches, and writes nothing. `largest`: bytes of the largest plan."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.peering.standalone = True
    settings.scanning.disabled = True
    settings.networking.request_timeout = REQUEST_SECONDS
    settings.networking.error_backoffs = BACKOFFS
    settings.watching.chunk_size = max(1, min(CHUNK, CHUNK_BYTES // max(1, largest)))
    settings.queueing.idle_timeout = IDLE_SECONDS
    settings.persistence.diffbase_storage = NoDiffBase()
    settings.persistence.progress_storage = NoProgress()
    return settings


class NoDiffBase(kopf.DiffBaseStorage):
    """Stores no last state of a plan. We use no differences, and to compute them kopf would copy each plan three times."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        return kopf.BodyEssence()

    def fetch(self, **_: Any) -> kopf.BodyEssence | None:
        return None

    def store(self, **_: Any) -> None:
        pass


class NoProgress(kopf.ProgressStorage):
    """Keeps no progress of handlers: each event is handled once."""

    def fetch(self, **_: Any) -> None:
        return None

    def store(self, **_: Any) -> None:
        pass

    def purge(self, **_: Any) -> None:
        pass

    def touch(self, **_: Any) -> None:
        pass

    def clear(self, *, essence: kopf.BodyEssence) -> kopf.BodyEssence:
        return essence


def _freeze_long_lived_objects() -> None:
    """Freezes long-lived objects so that a full garbage collection skips them (saves about 50 ms)."""
    gc.collect()
    gc.freeze()
