"""Works off a queue of names, one after the other, and tries again what has failed."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from scanplan.controller.engine.workqueue import PlanName, WorkQueue
from scanplan.kube.failures import FAILURES, reason_of, retry_after

Reconcile = Callable[[PlanName], Awaitable[None]]
Ended = Callable[[PlanName, float, Exception | None], Awaitable[None]]
"""Is told of each work: its name, the seconds that it took, and how it failed (None: it went well)."""


async def run(queue: WorkQueue, reconcile: Reconcile, log: logging.Logger, ended: Ended | None = None) -> None:
    """Reconcile what the queue gives until cancelled; start one for each name that may be in work at the same time."""
    while True:
        name = await queue.get()
        try:
            begun = time.monotonic()
            failure = await _tried(name, queue, reconcile, log)
            if ended:
                await ended(name, time.monotonic() - begun, failure)
        finally:
            queue.done(name)
        # Names that ask for nothing would be one long turn for thousands of them, for which even the lease waits.
        await asyncio.sleep(0)


async def _tried(name: PlanName, queue: WorkQueue, reconcile: Reconcile, log: logging.Logger) -> Exception | None:
    """Reconcile one name; the failure after which the queue brings it back, or None."""
    try:
        await reconcile(name)
    except FAILURES as error:
        delay = queue.add_failed(name, retry_after(error))
        log.warning("%s: %s; trying again in %.1f s", name, reason_of(error), delay)
        return error
    except Exception as error:
        # A bug of ours that one object brings to light is no reason to leave all others alone.
        log.exception("%s: trying again in %.1f s", name, queue.add_failed(name))
        return error
    queue.forget(name)
    return None
