"""One operator works, the others stand by: a Lease, by the `kubernetes` package's leader election.

Two operators at once make one Job without it too, since POST of its name is the lock and each looks again just before; the lease
saves these looks, and lets a standby take over within seconds. A leader that can't renew it in time stops working before it runs
out, and ends its process, so that it comes back as a standby with nothing in memory.
"""

from __future__ import annotations

import asyncio
import logging
import math
import socket
import time
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
from kubernetes.aio.client import ApiClient, ApiException, V1Lease, V1ObjectMeta
from kubernetes.aio.leaderelection.electionconfig import Config
from kubernetes.aio.leaderelection.leaderelection import LeaderElection
from kubernetes.aio.leaderelection.resourcelock.leaselock import LeaseLock

log = logging.getLogger("scanplan.leadership")

LEASE_SECONDS = 8
"""A standby takes over so long after the leader's last renewal."""
RENEW_DEADLINE_SECONDS = 5
RETRY_SECONDS = 2
_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class LeadershipLost(Exception):
    """The lease could not be renewed in time."""


class _Lock(LeaseLock):
    """The package's lock, for which a server that doesn't answer is a failed try, and not the end."""

    def __init__(self, name: str, namespace: str, identity: str, client: ApiClient) -> None:
        super().__init__(name, namespace, identity, client)
        self.ours_until = -math.inf
        """On the monotonic clock; counted from before the request, since whoever waits for the lease to run out sees it later."""

    async def get(self, name: str, namespace: str) -> Any:
        try:
            return await super().get(name, namespace)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return False, ApiException(status=0, reason=repr(error))

    async def create(self, name: str, namespace: str, election_record: Any) -> bool:
        # The package's own passes `pretty=True`, which its client refuses (kubernetes 37.0.2).
        lease = V1Lease(metadata=V1ObjectMeta(name=name), spec=self.update_lease(election_record))
        return await self._tried(self.api_instance.create_namespaced_lease(namespace, lease))

    async def update(self, *arguments: Any, **named: Any) -> bool:
        return await self._tried(super().update(*arguments, **named))

    async def _tried(self, call: Awaitable[Any]) -> bool:
        asked = time.monotonic()
        try:
            written = bool(await call)
        except (ApiException, aiohttp.ClientError, TimeoutError, OSError) as error:
            log.warning("the lease could not be written: %r", error)
            return False
        if written:
            self.ours_until = asked + LEASE_SECONDS
        return written


class Lease:
    """The lease `name`, as one process wants and has it."""

    def __init__(self, client: ApiClient, namespace: str, name: str) -> None:
        self._lock = _Lock(name, namespace, f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}", client)
        self._title = f"{namespace}/{name}"

    def held(self) -> bool:
        """Whether nobody else can have it now, by this process's own clock; not after it was stopped for too long."""
        return time.monotonic() < self._lock.ours_until

    async def lead(self, work: Callable[[], Awaitable[None]]) -> None:
        """Stand by until this process has the lease, then do `work` for as long as it has it.

        Raises:
            LeadershipLost: another process may have taken over.
        """
        acquired = asyncio.Event()

        async def hold() -> None:
            acquired.set()
            await asyncio.Event().wait()

        async def released() -> None:
            acquired.clear()

        log.info("standing by for lease %s as %s", self._title, self._lock.identity)
        configuration = Config(self._lock, LEASE_SECONDS, RENEW_DEADLINE_SECONDS, RETRY_SECONDS, hold, released)
        election = asyncio.create_task(LeaderElection(configuration).run())
        tasks: set[asyncio.Future[Any]] = {election}
        try:
            waiting = asyncio.ensure_future(acquired.wait())
            tasks.add(waiting)
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if not acquired.is_set():
                election.result()
                raise LeadershipLost(f"lease {self._title} was not to be had")
            log.info("leading")
            working = asyncio.ensure_future(work())
            tasks = {election, working}
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                raise LeadershipLost(f"lease {self._title} could not be renewed within {RENEW_DEADLINE_SECONDS} s")
            working.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def own_namespace(default: str = "default") -> str:
    """The namespace of the pod that this process runs in; `default` outside of one."""
    return _NAMESPACE_FILE.read_text().strip() if _NAMESPACE_FILE.exists() else default
