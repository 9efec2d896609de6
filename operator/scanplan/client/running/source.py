"""Where the frames of a running scan come from: a claim that is mounted here, or one that a reader pod reads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from scanplan.api import layout
from scanplan.api.v1alpha1.scanplan_status import ScanPlanStatus
from scanplan.client.cluster import reader, tail
from scanplan.client.cluster.cluster import Cluster
from scanplan.client.cluster.failure import Failure, Forbidden
from scanplan.client.cluster.reader import Reader
from scanplan.core.planning.pod_bounds import PodBounds
from scanplan.kube.objects import Object

_READERS = 3
"""Reader pods that may fail one after the other before the claim counts as unreadable."""
_PAUSE_SECONDS = 5.0
_REPLAYED = timedelta(hours=1)
"""Attempts that were published up to an hour before a plan may be taken over (docs/design.md, "Missing Jobs")."""


class Place(NamedTuple):
    """Where the attempts of a plan's task are."""

    claim: str
    folder: str
    """The shards' folder, from the root of the claim."""
    image: str
    not_before: float
    """Seconds since the epoch; what was written before belongs to an older scan."""


def place(plan: Object) -> Place | None:
    """Where a plan's attempts are; None before it has a Job, and where another cluster scans for it."""
    status = ScanPlanStatus.read(plan)
    artifacts = status.artifacts
    if not artifacts or not artifacts.path or not artifacts.claim_name or artifacts.cluster:
        return None
    created = datetime.fromisoformat(str(plan["metadata"]["creationTimestamp"]))
    image = status.scanner.image if status.scanner else ""
    return Place(artifacts.claim_name, f"{artifacts.path}/{layout.SHARDS}", image, (created - _REPLAYED).timestamp())


def of_folder(root: Path, where: Place, stop: threading.Event) -> Iterator[bytes | None]:
    """Frames of a claim that is mounted at `root`, until `stop` is set. None: they begin at the start of all files.

    Raises:
        OSError: the claim can't be read.
    """
    read = tail.Tail(str(root), where.folder, where.not_before)
    yield None
    while not stop.is_set():
        yield from read.look()
        stop.wait(tail.PAUSE_SECONDS)


class Claim:
    """A claim that a reader pod reads for as long as a scan goes on."""

    def __init__(self, cluster: Cluster, plan: Object, where: Place, bounds: PodBounds | None = None) -> None:
        """What to read.

        Args:
            plan: the pod's owner.
            bounds: on what the plan says about the pod, as `reader.opened` takes them.
        """
        self._cluster = cluster
        self._plan = plan
        self._where = where
        self._bounds = bounds
        self.reader: Reader | None = None
        """The reader, while one is there."""

    def frames(self, stop: threading.Event) -> Iterator[bytes | None]:
        """Frames until `stop` is set. None: a new reader begins at the start of all files.

        Raises:
            Failure: a reader may not be made, or several have failed one after the other.
        """
        where, failures = self._where, 0
        while not stop.is_set():
            try:
                with reader.opened(self._cluster, self._plan, where.claim, where.image, self._bounds) as self.reader:
                    yield None
                    for piece in self.reader.follow(where.folder, where.not_before):
                        failures = 0
                        yield piece
                        if stop.is_set():
                            return
            except Forbidden:
                raise
            except Failure:
                failures += 1
                if failures == _READERS:
                    raise
                stop.wait(_PAUSE_SECONDS)
            finally:
                self.reader = None
