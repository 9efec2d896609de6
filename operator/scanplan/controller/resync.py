"""Compare what the operator knows with what there is: after each relist, and every five minutes.

Kopf lists anew when a watch could not be continued, but says nothing of objects that were deleted in between. A watch may also
lose an event, and nobody notices. A Job that is known but gone would keep its plan Running for ever, and take up a slot of its
namespace. Whatever is found is fed to the controller like an event.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

from scanplan.api import labels
from scanplan.controller.engine.reflector import guarded
from scanplan.controller.engine.workqueue import ObjectName
from scanplan.controller.scanplan import Controller
from scanplan.kube.failures import FAILURES
from scanplan.kube.objects import gone

log = logging.getLogger("scanplan.resync")

RESYNC_SECONDS = 300.0


async def run(controller: Controller, relisted: asyncio.Event, compared: Callable[[], None]) -> None:
    """Compare every `RESYNC_SECONDS`, and whenever `relisted` is set, until cancelled; `compared` is called after each time."""
    while True:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RESYNC_SECONDS):
                await relisted.wait()
        relisted.clear()
        for namespace in controller.scope.to_list:
            try:
                await compare(controller, namespace)
            except (*FAILURES, ValueError) as error:  # ValueError: the answer is not JSON
                log.warning("objects could not be compared, next try in %.0f s: %r", RESYNC_SECONDS, error)
        compared()


async def compare(controller: Controller, namespace: str | None) -> None:
    """Compare once; `namespace` None: the whole cluster."""
    store = controller.store
    doubts = store.doubts
    # Note what is known before the list is asked for. Only such an object is surely gone if the list lacks it.
    jobs = {job.uid: (job.namespace, job.name) for job in store.all_jobs(namespace)}
    async for body in controller.api.each_job(namespace):
        jobs.pop(body["metadata"]["uid"], None)
        with guarded("Jobs", body):
            controller.intake.job_event(None, body)
    for uid, (of, name) in jobs.items():
        controller.intake.job_event("DELETED", gone(of, name, uid))
    plans = {uid: name for uid, name in store.uids.items() if namespace in {None, name.namespace}}
    async for body in controller.api.each_plan(namespace):
        metadata = body["metadata"]
        plans.pop(metadata["uid"], None)
        known = store.plans.version(ObjectName(metadata["namespace"], metadata["name"]))
        if known != (metadata["uid"], metadata["resourceVersion"]):
            with guarded("ScanPlans", body):
                controller.intake.plan_event(None, body)
    for uid, plan_name in plans.items():
        controller.intake.plan_event("DELETED", gone(*plan_name, uid))
    await look_for_leftovers(controller, namespace, doubts)


async def look_for_leftovers(controller: Controller, namespace: str | None, doubts: int) -> None:
    """Find the pods that outlive their Jobs, after Jobs and plans were listed; `doubts`: the store's counter before these lists."""
    living = set()
    async for pod in controller.api.each_living_pod(namespace):
        living.add((pod["metadata"]["namespace"], pod["metadata"]["labels"][labels.TASK]))
    for of, task in living:
        if task not in controller.store.jobs(of):
            controller.store.doubt(of, task)
    controller.store.settle_doubts(namespace, doubts, living)
