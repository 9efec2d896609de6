"""One operator works, the others stand by: a Lease, by the `kubernetes` package's leader election.

The lease is not needed for one Job a task. The API server accepts only one Job of a name, and without a lease each operator
checks again before it creates one. The lease saves these checks, and a standby takes over within seconds. A leader makes no Job
once its lease may have run out (`Lease.held`). If it can't renew the lease, its process ends within seconds, and comes back as
a standby with nothing in memory. A leader that is told to stop gives the lease back.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import socket
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from kubernetes.aio.client import ApiClient, ApiException, V1Lease, V1LeaseSpec, V1ObjectMeta
from kubernetes.aio.leaderelection.electionconfig import Config
from kubernetes.aio.leaderelection.leaderelection import LeaderElection
from kubernetes.aio.leaderelection.resourcelock.leaselock import LeaseLock

from scanplan.kube import failures

log = logging.getLogger("scanplan.leadership")

LEASE_SECONDS = 7
"""A standby takes over this many seconds after the leader's last renewal."""
RENEW_DEADLINE_SECONDS = 4
"""A leader whose attempts to renew the lease have failed for so long makes no further one, and stops working."""
REQUEST_SECONDS = RENEW_DEADLINE_SECONDS / 2
"""Time limit of a request for the lease, as in client-go: one without an answer leaves time for another. The package's own limit is
five minutes."""
RETRY_SECONDS = 1.5
"""Pause between two renewals, and between two checks of a standby. It can delay a takeover by this much."""
_FORBIDDEN = 403


class LeadershipLost(Exception):
    """The lease could not be renewed in time."""


class _Lock(LeaseLock):
    """The package's lock, but a server that is unreachable or silent is a failed attempt, and does not end the election."""

    def __init__(self, name: str, namespace: str, identity: str, client: ApiClient) -> None:
        super().__init__(name, namespace, identity, client)
        self.title = f"{namespace}/{name}"
        self.known = False
        """Whether the server has ever let us read or write the lease. It stays False where RBAC forbids that."""
        self.ours_until = -math.inf
        """On the monotonic clock, counted from before the write: others see the write later, so they wait longer than this."""
        self._written: V1Lease | None = None
        """The server's answer to our last write. The next write names its `resourceVersion`. None: the lease must be read first."""

    async def get(self, name: str, namespace: str) -> Any:
        if self._written:
            return True, self.election_record(self._written)
        # The package's `get` sets no time limit.
        try:
            lease = await self.api_instance.read_namespaced_lease(name, namespace, _request_timeout=REQUEST_SECONDS)
        except ApiException as error:
            if error.status == _FORBIDDEN:
                self._log_refusal(error)
            return False, error
        except failures.UNREACHABLE as error:
            return False, ApiException(status=0, reason=repr(error))
        self.known, self.lease_reference = True, lease
        return True, self.election_record(lease)

    async def create(self, name: str, namespace: str, election_record: Any) -> bool:
        # The package's `create` passes `pretty=True`, which its client refuses (kubernetes 37.0.2).
        lease = V1Lease(metadata=V1ObjectMeta(name=name), spec=self.update_lease(election_record))
        return await self._write(
            self.api_instance.create_namespaced_lease(namespace, lease, _request_timeout=REQUEST_SECONDS)
        )

    async def update(self, name: str, namespace: str, updated_record: Any) -> bool:
        # The package's `update` drops the answer, and with it the `resourceVersion` that the next write names.
        lease = self.lease_reference
        assert lease is not None  # noqa: S101 - the package gets it before it updates it
        lease.spec = self.update_lease(updated_record, lease.spec)
        return await self._write(
            self.api_instance.replace_namespaced_lease(name, namespace, lease, _request_timeout=REQUEST_SECONDS)
        )

    async def release(self) -> None:
        """Leave the lease to whoever asks next, if it is still ours. Where that fails, it runs out by itself."""
        self.ours_until, self._written = -math.inf, None
        found, record = await self.get(self.name, self.namespace)
        if found and record.holder_identity == self.identity and self.lease_reference:
            self.lease_reference.spec = V1LeaseSpec(holder_identity="")
            try:
                await self.api_instance.replace_namespaced_lease(self.name, self.namespace, self.lease_reference)
            except failures.FAILURES as error:
                log.warning("lease %s could not be given back: %r", self.title, error)

    async def _write(self, call: Awaitable[V1Lease]) -> bool:
        asked = time.monotonic()
        self._written = None
        try:
            self._written = self.lease_reference = await call
        except ApiException as error:
            self._log_refusal(error)
            return False
        except failures.UNREACHABLE as error:
            log.warning("lease %s could not be written: %r", self.title, error)
            return False
        self.known = True
        self.ours_until = asked + LEASE_SECONDS
        return True

    def _log_refusal(self, error: ApiException) -> None:
        message = f"lease {self.title}: {failures.message_of(error)}"
        if error.status == _FORBIDDEN:
            log.error(
                "%s; apply examples/install/leader-election.yaml, which grants it, or set SCANPLAN_LEADER_ELECTION=false",
                message,
            )
        else:
            log.warning("%s; trying again in %s s", message, RETRY_SECONDS)


class Lease:
    """One process's claim to the lease `name`."""

    def __init__(self, client: ApiClient, namespace: str, name: str, pod: str) -> None:
        """Asks for nothing before `lead`.

        Args:
            pod: UID of the pod, if it runs no other operator; else empty. The kubelet starts a container again only after its last
                process has ended. So a restarted container takes over that process's lease at once.
        """
        self._lock = _Lock(name, namespace, f"{socket.gethostname()}-{pod or uuid.uuid4()}", client)

    def known(self) -> bool:
        """Whether the server has ever let this process read or write the lease."""
        return self._lock.known

    def held(self) -> bool:
        """Whether nobody else can have the lease now, by this process's clock. False after the process was paused for too long."""
        return time.monotonic() < self._lock.ours_until

    async def lead(self, work: Callable[[], Awaitable[None]], stop: asyncio.Event) -> None:
        """Stand by until this process has the lease, do `work` as long as it has it, and give it back.

        `stop` ends only the wait for the lease; `work` must heed it itself.

        Raises:
            LeadershipLost: the lease could not be acquired, or not be renewed, so another process may have it.
        """
        acquired = asyncio.Event()

        async def hold() -> None:
            acquired.set()
            await asyncio.Event().wait()

        async def released() -> None:
            acquired.clear()

        log.info("standing by for lease %s as %s", self._lock.title, self._lock.identity)
        configuration = Config(self._lock, LEASE_SECONDS, RENEW_DEADLINE_SECONDS, RETRY_SECONDS, hold, released)
        election = asyncio.create_task(LeaderElection(configuration).run())
        tasks: set[asyncio.Future[Any]] = {election, *(asyncio.ensure_future(each.wait()) for each in (acquired, stop))}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if stop.is_set():
                return
            if not acquired.is_set():
                election.result()
                raise LeadershipLost(f"lease {self._lock.title} could not be acquired")
            log.info("leading")
            working = asyncio.ensure_future(work())
            tasks.add(working)
            await asyncio.wait({election, working}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                raise LeadershipLost(f"lease {self._lock.title} could not be renewed within {RENEW_DEADLINE_SECONDS} s")
            working.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._give_back()

    async def _give_back(self) -> None:
        if self.held():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._lock.release(), RETRY_SECONDS)
