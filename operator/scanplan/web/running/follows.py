"""Follows the findings of running scans: a thread and, where the claim is not mounted here, a reader pod for each plan.

They are there as long as somebody looks. All viewers of a plan share them. A viewer first gets all that was found so far, then
what comes. A viewer that does not keep up is disconnected, and begins again with all. Plans, viewers and rows are bounded.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from scanplan.api.v1alpha1.scanplan import Phase
from scanplan.api.v1alpha1.scanplan_status import ScanPlanStatus
from scanplan.client.cluster.cluster import Cluster
from scanplan.client.cluster.failure import Failure
from scanplan.client.running import source
from scanplan.client.running.shown import Current, Event, Found, Full, PassedOver, Shown, Withdrawn
from scanplan.client.running.source import Place
from scanplan.core.planning.pod_bounds import PodBounds
from scanplan.findings.exceptions import Suppressor
from scanplan.kube.objects import Object
from scanplan.kube.resources import PLANS
from scanplan.report import finding
from scanplan.web.ui.events import event
from scanplan.web.ui.feeds import Viewer

log = logging.getLogger("scanplan.api")

MOST_PLANS = 16
"""Plans that are followed at the same time, each by a thread."""
MOST_PER_USER = 4
MOST_VIEWERS = 128
MOST_ROWS = 2_000
"""Findings that are shown of one scan before its end."""
PLAN_SECONDS = 4.0
"""Seconds between two looks at a plan: whether its scan has ended."""
LOOKS_AFTER_THE_END = 2
"""Complete looks at the claim after the scan has ended: the first may have begun before."""

Frames = Callable[[Cluster, Object, Place, threading.Event], Iterator[bytes | None]]
"""The frames of a plan's attempts until the event is set (`scanplan.client.running.source`)."""


class Claims:
    """Opens claims: the one that is mounted here, and others by reader pods where these are allowed."""

    def __init__(self, root: Path, namespace: str, bounds: PodBounds | None) -> None:
        """What there is to read from.

        Args:
            root: where the claim of `namespace` is mounted.
            bounds: on reader pods; None: there must be none.
        """
        self._root = root
        self._namespace = namespace
        self._bounds = bounds

    def may_have(self, namespace: str) -> bool:
        """Whether claims of this namespace can be read at all."""
        return self._bounds is not None or namespace == self._namespace

    def frames(self, cluster: Cluster, plan: Object, where: Place, stop: threading.Event) -> Iterator[bytes | None]:
        """Frames of a plan; raises Failure, OSError."""
        mounted = plan["metadata"]["namespace"] == self._namespace
        if self._bounds is None or (mounted and (self._root / where.folder).exists()):
            return source.of_folder(self._root, where, stop)
        return source.Claim(cluster, plan, where, self._bounds).frames(stop)


class Follows:
    """The plans that are followed; for one event loop."""

    def __init__(self, frames: Frames, suppressed: Callable[[str], Suppressor]) -> None:
        """`suppressed`: says which findings of a namespace fall under an exception now."""
        self._frames = frames
        self._suppressed = suppressed
        self._follows: dict[tuple[str, str], Follow] = {}
        self._started: list[Follow] = []
        """Those whose threads have not ended: a reader pod takes a while to start, and to be removed."""
        self._closed = False

    @contextlib.contextmanager
    def watched(self, cluster: Cluster, plan: Object, user: str) -> Iterator[Viewer | None]:
        """Follow a plan's scan; None where the user or all together follow too much already, or the server ends."""
        key = (plan["metadata"]["namespace"], plan["metadata"]["name"])
        users = [viewer.user for follow in self._follows.values() for viewer in follow.viewers]
        self._started = [follow for follow in self._started if follow.is_alive]
        crowded = key not in self._follows and len(self._started) >= MOST_PLANS
        if self._closed or crowded or len(users) >= MOST_VIEWERS or users.count(user) >= MOST_PER_USER:
            yield None
            return
        follow = self._follows.get(key)
        if follow is None or follow.has_ended:
            follow = self._follows[key] = Follow(cluster, plan, self._frames, self._suppressed)
            self._started.append(follow)
        viewer = Viewer(user)
        follow.add(viewer)
        try:
            yield viewer
        finally:
            follow.viewers.discard(viewer)
            if not follow.viewers:
                follow.stop()
                if self._follows.get(key) is follow:
                    del self._follows[key]

    def end(self) -> None:
        """End all streams."""
        self._closed = True
        for follow in self._follows.values():
            follow.end()

    def close(self) -> None:
        """Wait until all reader pods are removed."""
        for follow in self._started:
            follow.close()


class Follow:
    """One plan's scan, and who looks at it."""

    def __init__(self, cluster: Cluster, plan: Object, frames: Frames, suppressed: Callable[[str], Suppressor]) -> None:
        self.viewers: set[Viewer] = set()
        self.has_ended = False
        self._cluster = cluster
        self._plan = plan
        self._frames = frames
        self._suppressed = suppressed
        self._rows: list[Object] = []
        self._last: list[bytes] = []
        """The events that end the stream, for those who come later."""
        self._loop = asyncio.get_running_loop()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="running", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether its thread goes on."""
        return self._thread.is_alive()

    # on the event loop

    def add(self, viewer: Viewer) -> None:
        """Let somebody look."""
        self.viewers.add(viewer)
        viewer.offer(event("snapshot", {"final": False, "findings": self._rows}))

    def stop(self) -> None:
        """End the thread, soon."""
        self._stop.set()

    def end(self) -> None:
        """End the streams of all viewers."""
        self._stop.set()
        for viewer in self.viewers:
            viewer.offer(None)

    def close(self) -> None:
        """Wait for the thread's end."""
        self._stop.set()
        self._thread.join()

    def _restart(self) -> None:
        """The plan was edited: another scan."""
        self._rows.clear()
        self._offer(event("snapshot", {"final": False, "findings": []}))

    def _add(self, rows: list[Object]) -> None:
        self._rows += rows
        self._offer(event("findings", {"final": False, "findings": rows}))

    def _withdraw(self, withdrawn: Withdrawn) -> None:
        place = {"shard": withdrawn.attempt.shard, "attempt": withdrawn.attempt.number}
        for row in self._rows:
            if place.items() <= row.items():
                row["withdrawn"] = True
        self._offer(event("withdrawn", {**place, "findings": withdrawn.findings}))

    def _finish(self, kind: str, content: Object) -> None:
        self.has_ended = True
        self._offer(event(kind, content))
        self.end()

    def _offer(self, what: bytes) -> None:
        for viewer in self.viewers:
            viewer.offer(what)

    # in the thread

    def _tell(self, call: Callable[..., None], *arguments: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(call, *arguments)

    def _run(self) -> None:
        try:
            while not self._stop.is_set() and not has_ended(self._plan):
                where = source.place(self._plan)
                if where and ScanPlanStatus.read(self._plan).phase in {Phase.RUNNING, Phase.RETRYING}:
                    self._tell(self._restart)
                    self._read(where)
                else:
                    self._stop.wait(PLAN_SECONDS)
                    self._look()
            self._tell(self._finish, "ended", {"phase": ScanPlanStatus.read(self._plan).phase or Phase.PENDING})
        except Failure as failure:
            self._tell(self._finish, "trouble", {"detail": failure.message})
        except OSError as error:
            self._tell(self._finish, "trouble", {"detail": f"the claim can't be read: {error.strerror}"})
        except Exception:
            log.exception("findings of %s", self._plan["metadata"]["name"])
            self._tell(self._finish, "trouble", {"detail": "an internal error: see the API's log"})

    def _look(self) -> None:
        metadata = self._plan["metadata"]
        self._plan = self._cluster.named(PLANS, metadata["name"])

    def _read(self, where: Place) -> None:
        """Follow the scan until it has ended, or until the plan was edited so that it is another one."""
        shown, suppressed = Shown(MOST_ROWS), self._suppressed(self._plan["metadata"]["namespace"])
        came: list[Event] = []
        looks, next_look = 0, time.monotonic() + PLAN_SECONDS
        for piece in self._frames(self._cluster, self._plan, where, self._stop):
            if piece is None:
                shown.begin()
                continue
            for each in shown.feed(piece):
                came.append(each)
                if not isinstance(each, Current):
                    continue
                self._pass_on(came, suppressed)
                came.clear()
                looks += has_ended(self._plan)
                if looks >= LOOKS_AFTER_THE_END:
                    return
                if not looks and time.monotonic() >= next_look:
                    next_look = time.monotonic() + PLAN_SECONDS
                    self._look()
                    if not has_ended(self._plan) and source.place(self._plan) != where:
                        return

    def _pass_on(self, events: list[Event], suppressed: Suppressor) -> None:
        """Tell the viewers, many findings at once; the last event is `Current`."""
        rows: list[Object] = []
        for each in events:
            if isinstance(each, Found):
                rows.append(row(finding.parse(each.line, suppressed), each.attempt.shard, each.attempt.number))
                continue
            if rows:
                self._tell(self._add, rows)
                rows = []
            if isinstance(each, Withdrawn):
                self._tell(self._withdraw, each)
            elif isinstance(each, Full | PassedOver):
                self._tell(self._offer, event("more", {"shown": MOST_ROWS}))


def has_ended(plan: Object) -> bool:
    """Whether this generation of a plan has ended for good."""
    return ScanPlanStatus.read(plan).is_over(plan["metadata"].get("generation"))


def row(found: finding.Finding, shard: str, attempt: int) -> Object:
    """What is shown of a finding: no request, no response."""
    return {
        "severity": found.severity.value,
        "name": found.name,
        "template": found.template_id,
        "where": found.matched_at or found.host,
        "time": found.timestamp,
        "shard": shard,
        "attempt": attempt,
        "suppressed": found.suppressed.name if found.suppressed else None,
        "withdrawn": False,
    }
