"""One operator works, the others stand by: a Lease, by the `kubernetes` package's leader election.

Two operators at once make one Job without it too, since POST of its name is the lock and each looks again just before; the lease
saves these looks, and lets a standby take over within seconds. A leader that can't renew it in time stops working before it runs
out, and ends its process, so that it comes back as a standby with nothing in memory; one that is told to stop gives it back.
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
"""A standby takes over so long after the leader's last renewal."""
RENEW_DEADLINE_SECONDS = 4
RETRY_SECONDS = 1.5
"""Between two renewals, and between two looks of a standby, which so works at most this much later than `LEASE_SECONDS`."""
_FORBIDDEN = 403


class LeadershipLost(Exception):
    """The lease could not be renewed in time."""


class _Lock(LeaseLock):
    """The package's lock, for which a server that doesn't answer is a failed try, and not the end."""

    def __init__(self, name: str, namespace: str, identity: str, client: ApiClient) -> None:
        super().__init__(name, namespace, identity, client)
        self.title = f"{namespace}/{name}"
        self.known = False
        """Whether the server has ever shown or given it to us; without the right to it nobody ever leads."""
        self.ours_until = -math.inf
        """On the monotonic clock; counted from before the request, since whoever waits for the lease to run out sees it later."""
        self._written: V1Lease | None = None
        """The server's answer to our last write, with the version that the next write names; None: the lease must be read first."""

    async def get(self, name: str, namespace: str) -> Any:
        if self._written:
            return True, self.election_record(self._written)
        try:
            found, answer = await super().get(name, namespace)
        except failures.UNREACHABLE as error:
            return False, ApiException(status=0, reason=repr(error))
        self.known |= found
        if isinstance(answer, ApiException) and answer.status == _FORBIDDEN:
            self._complain(answer)
        return found, answer

    async def create(self, name: str, namespace: str, election_record: Any) -> bool:
        # The package's own passes `pretty=True`, which its client refuses (kubernetes 37.0.2).
        lease = V1Lease(metadata=V1ObjectMeta(name=name), spec=self.update_lease(election_record))
        return await self._tried(self.api_instance.create_namespaced_lease(namespace, lease))

    async def update(self, name: str, namespace: str, updated_record: Any) -> bool:
        # The package's own drops the answer, and with it the version that the next write names.
        lease = self.lease_reference
        assert lease is not None  # noqa: S101 - the package gets it before it updates it
        lease.spec = self.update_lease(updated_record, lease.spec)
        return await self._tried(self.api_instance.replace_namespaced_lease(name, namespace, lease))

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

    async def _tried(self, call: Awaitable[V1Lease]) -> bool:
        asked = time.monotonic()
        self._written = None
        try:
            self._written = self.lease_reference = await call
        except ApiException as error:
            self._complain(error)
            return False
        except failures.UNREACHABLE as error:
            log.warning("lease %s could not be written: %r", self.title, error)
            return False
        self.known = True
        self.ours_until = asked + LEASE_SECONDS
        return True

    def _complain(self, error: ApiException) -> None:
        message = f"lease {self.title}: {failures.message_of(error)}"
        if error.status == _FORBIDDEN:
            log.error(
                "%s; examples/install/leader-election.yaml grants it, SCANPLAN_LEADER_ELECTION=false does without",
                message,
            )
        else:
            log.warning("%s; trying again in %s s", message, RETRY_SECONDS)


class Lease:
    """The lease `name`, as one process wants and has it."""

    def __init__(self, client: ApiClient, namespace: str, name: str, pod: str) -> None:
        """One process's view.

        Args:
            pod: UID of the pod in which this is the only operator, or empty. The kubelet starts a container again only after
                its last process has ended, so what the pod's last one held is ours, and needn't run out first.
        """
        self._lock = _Lock(name, namespace, f"{socket.gethostname()}-{pod or uuid.uuid4()}", client)

    def known(self) -> bool:
        """Whether it is to be had at all: the server has shown it to this process."""
        return self._lock.known

    def held(self) -> bool:
        """Whether nobody else can have it now, by this process's own clock; not after it was stopped for too long."""
        return time.monotonic() < self._lock.ours_until

    async def lead(self, work: Callable[[], Awaitable[None]], stop: asyncio.Event) -> None:
        """Stand by until this process has the lease, do `work` for as long as it has it, and give it back; `stop` ends the wait.

        Raises:
            LeadershipLost: another process may have taken over.
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
                raise LeadershipLost(f"lease {self._lock.title} was not to be had")
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
