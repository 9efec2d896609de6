"""The operator's probes: alive, and ready.

Alive is more than a process that runs. A worker that has been at one plan for minutes is stuck, and the kubelet should start
another one. Ready is an operator that works, or a standby that could.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from aiohttp import web

from scanplan.controller.engine import http
from scanplan.controller.engine.workqueue import WorkQueue

STUCK_SECONDS = 300.0
"""No reconcile takes so long: a request ends after 15 s, and a reconcile makes a handful of them."""


@dataclass(slots=True)
class Health:
    """What the probes look at."""

    queue: WorkQueue
    working: bool = False
    """Watches and workers have been started."""
    standing_by: Callable[[], bool] = lambda: False
    """Whether it could have the lease when its holder ends; one without the right to it never works, and is not ready."""

    def problem(self) -> str | None:
        """Why this process should be replaced; None: it shouldn't."""
        seconds = self.queue.longest_work()
        return f"a reconcile has taken {seconds:.0f} s" if seconds > STUCK_SECONDS else None


def serving(health: Health, port: int) -> AbstractAsyncContextManager[None]:
    """Answer /healthz and /readyz on all addresses while the context lasts; port 0: don't.

    Raises:
        CannotListen: the port is taken.
    """

    async def healthz(_: web.Request) -> web.Response:
        problem = health.problem()
        state = {"queue": len(health.queue), "working": health.working, "problem": problem}
        return web.json_response(state, status=503 if problem else 200)

    async def readyz(_: web.Request) -> web.Response:
        ready = health.working or health.standing_by()
        return web.json_response({"ready": ready}, status=200 if ready else 503)

    return http.serving([web.get("/healthz", healthz), web.get("/readyz", readyz)], port, "SCANPLAN_PROBE_PORT")
