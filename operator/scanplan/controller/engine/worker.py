"""Works off a queue of names, one after the other, and tries again what has failed."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from scanplan.controller.engine.workqueue import ObjectName, WorkQueue
from scanplan.kube.failures import FAILURES, reason_of, retry_after

Reconcile = Callable[[ObjectName], Awaitable[None]]
Ended = Callable[[ObjectName, float, Exception | None], Awaitable[None]]
"""Called after each reconcile with the name, the seconds that it took, and its exception (None: it went well)."""


async def run(queue: WorkQueue, reconcile: Reconcile, log: logging.Logger, ended: Ended | None = None) -> None:
    """Reconcile what the queue gives, one name at a time, until cancelled. Start several to work on several names at once."""
    while True:
        name = await queue.get()
        try:
            begun = time.monotonic()
            failure = await _reconciled(name, queue, reconcile, log)
            if ended:
                await _report(ended, name, time.monotonic() - begun, failure, log)
        finally:
            queue.done(name)
        # A reconcile without a request never yields. Thousands in a row would hold up the event loop, and so the lease.
        await asyncio.sleep(0)


async def _report(
    ended: Ended, name: ObjectName, seconds: float, failure: Exception | None, log: logging.Logger
) -> None:
    try:
        await ended(name, seconds, failure)
    except Exception:
        log.exception("%s: its end could not be reported", name)


async def _reconciled(
    name: ObjectName, queue: WorkQueue, reconcile: Reconcile, log: logging.Logger
) -> Exception | None:
    """Reconcile one name; returns the exception after which it is queued again, or None."""
    try:
        await reconcile(name)
    except FAILURES as error:
        delay = queue.add_failed(name, retry_after(error))
        log.warning("%s: %s; trying again in %.1f s", name, reason_of(error), delay)
        return error
    except Exception as error:
        # A bug that shows in one object must not stop the work on all others.
        log.exception("%s: trying again in %.1f s", name, queue.add_failed(name))
        return error
    queue.forget(name)
    return None
