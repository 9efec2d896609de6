"""The operator's process: settings, kopf's watches, and the controller's workers.

Kopf lists and watches both kinds, and brings relists, bookmarks and reconnects; its handlers only feed the controller. Nothing of
kopf's own persistence is used: no annotations, no finalizers, no writes.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import time
from collections.abc import Collection
from typing import Any

import kopf
from kopf._core.reactor.inventory import ResourceMemories, ResourceMemory
from kubernetes.aio.client import ApiException

from scanplan.api import labels
from scanplan.shell import api as apis
from scanplan.shell import leadership, probes, resync
from scanplan.shell.controller import Controller
from scanplan.shell.extension import Extension
from scanplan.shell.probes import Health
from scanplan.shell.settings import OperatorSettings

log = logging.getLogger("scanplan.operator")

IDLE_SECONDS = 0.1
"""Kopf has a task for each object that it has news of, for so long; with its 5 s a list of thousands is as many tasks at once."""
START_BACKOFF_SECONDS = 2.0
"""Between two tries to list plans and Jobs at the start, for an API server that doesn't answer, or a CRD that isn't there yet."""
PLAIN = Extension()


class NoDiffBase(kopf.DiffBaseStorage):
    """We compare nothing with a last-handled state, so none is built: that saves three deep copies of every event."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        return kopf.BodyEssence()

    def fetch(self, **_: Any) -> None:
        return None

    def store(self, **_: Any) -> None:
        return None


class NoMemories(ResourceMemories):
    """Kopf keeps what its handlers need to know of each object, and ours need nothing: that saves a KiB an object."""

    async def recall(self, *arguments: Any, **named: Any) -> ResourceMemory:
        return await super().recall(*arguments, **{**named, "ephemeral": True})


def registry_for(controller: Controller, settings: OperatorSettings, listed: asyncio.Event) -> kopf.OperatorRegistry:
    """Kopf's registry with our handlers; `listed` is set for every object that kopf has from a list rather than a watch."""
    registry = kopf.OperatorRegistry()

    @kopf.on.startup(registry=registry)
    async def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
        settings.persistence.diffbase_storage = NoDiffBase()
        settings.posting.enabled = False
        settings.peering.standalone = True
        settings.scanning.disabled = True
        settings.watching.chunk_size = apis.PAGE
        settings.queueing.idle_timeout = IDLE_SECONDS
        settings.watching.label_selectors["batch", "v1", "jobs"] = labels.TASK

    @kopf.on.login(registry=registry)
    async def log_in(**_: Any) -> kopf.ConnectionInfo:
        return await controller.api.connection()

    @kopf.on.startup(registry=registry, backoff=START_BACKOFF_SECONDS)
    async def know_all(**_: Any) -> None:
        # Before any plan is looked at, so that no plan with a running Job seems to have none, and none starts before its turn.
        try:
            for namespace in settings.namespaces or (None,):
                doubts = controller.store.doubts
                async for job in controller.api.each_job(namespace):
                    controller.job_event(None, job)
                async for plan in controller.api.each_plan(namespace):
                    controller.know_plan(plan)
                await resync.look_for_leftovers(controller, namespace, doubts)
        except ApiException as error:
            unknown = "the CRD of ScanPlan is not installed" if error.status == 404 else apis.message_of(error)
            raise kopf.TemporaryError(f"waiting to start: {unknown}", delay=START_BACKOFF_SECONDS) from None
        controller.begin()

    @kopf.on.event(labels.GROUP, labels.VERSION, labels.PLURAL, registry=registry)
    async def plan_event(event: kopf.RawEvent, **_: Any) -> None:
        if event["type"] is None:
            listed.set()
        controller.plan_event(event["type"], dict(event["object"]))
        await asyncio.sleep(0)  # the reconcile's request goes out first: kopf has some more to do about the event

    @kopf.on.event("batch", "v1", "jobs", labels={labels.TASK: kopf.PRESENT}, registry=registry)
    async def job_event(event: kopf.RawEvent, **_: Any) -> None:
        if event["type"] is None:
            listed.set()
        controller.job_event(event["type"], dict(event["object"]))
        await asyncio.sleep(0)

    return registry


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
    """Watch and reconcile. Any part ending ends all: watches without workers, or workers without watches, would look alive."""
    watched: Collection[str] = settings.namespaces
    log.info("watching %s", ", ".join(watched) or "all namespaces")
    listed = asyncio.Event()
    own = (controller.run(settings.workers), resync.run(controller, tuple(watched) or (None,), listed))
    tasks = {asyncio.create_task(part) for part in own}
    # Let the workers come into being: tasks that begin after itself kopf takes for its own, and waits 5 s for them at its end.
    await asyncio.sleep(0)
    gc.collect()
    gc.freeze()  # what is there before the work stays: each full collection would go through it all, which takes 50 ms
    watches = kopf.operator(
        registry=registry_for(controller, settings, listed),
        clusterwide=not watched,
        namespaces=watched,
        standalone=True,
        memories=NoMemories(),
        stop_flag=stop,
    )
    tasks.add(asyncio.create_task(watches))
    health.working = True
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
