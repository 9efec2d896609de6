"""Watches ScanPlans by kopf, and hands each event to the controller's queue.

We don't use kopf's change handlers, because they keep state in annotations and finalizers of the plan. All that is used of kopf is
in this module, and documented in its manual (handlers: "Event-watching handlers", settings: "Configuration", the process:
"Embedding").
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import Any

import kopf

from scanplan.api import labels
from scanplan.controller.scanplan import Controller
from scanplan.controller.watches import Watches
from scanplan.kube.requests import REQUEST_SECONDS

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


def configure_log(*, json: bool, verbose: bool) -> None:
    """Have the process log as kopf does: JSON, or text with the names of objects."""
    kopf.configure(log_format=kopf.LogFormat.JSON if json else kopf.LogFormat.FULL, verbose=verbose)
    logging.getLogger("kopf").setLevel(logging.WARNING)


async def run(controller: Controller, namespaces: Collection[str], watches: Watches) -> None:
    """Run kopf, which hands each event of a ScanPlan to the controller."""
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    async def log_in(**_: Any) -> kopf.ConnectionInfo:
        return kopf.ConnectionInfo(**(await controller.api.connection())._asdict())

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
