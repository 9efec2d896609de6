"""Learns the API server's own addresses, so that no plan scans them.

`KUBERNETES_SERVICE_HOST` is the Service's address only. Behind it are the addresses that the API servers announce in the
EndpointSlice `kubernetes` of the namespace `default`
(https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/), which a pod reaches as well. They are read at the
start and now and then, since control planes are replaced.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging

from scanplan.controller.scanplan import Controller
from scanplan.core.planning.targets import endpoints
from scanplan.core.planning.targets.guard import Guard
from scanplan.kube.failures import FAILURES, reason_of
from scanplan.kube.resources import WrongObject

log = logging.getLogger("scanplan.guard")

LOOK_SECONDS = 300.0
RETRY_SECONDS = 30.0


class ApiServerAddresses:
    """Keeps the controller's guard up to date with the API server's addresses."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self._denied = controller.policy.guard.entries
        self._known: tuple[str, ...] = ()
        self._told = False

    async def look(self) -> float:
        """Read them once; where that fails, what was known stays denied. Returns the seconds until the next look."""
        try:
            slice_ = await self._controller.api.get_api_server_endpoints()
        except (*FAILURES, WrongObject, ValueError) as error:
            return self._unknown(reason_of(error))
        found = tuple(
            sorted(
                address
                for endpoint in slice_.get("endpoints") or ()
                for address in endpoint.get("addresses") or ()
                if endpoints.parse_address(address) is not None
            )
        )
        if not found:
            return self._unknown("the EndpointSlice names none")
        self._told = False
        if found != self._known:
            self._known = found
            guard = Guard((*self._denied, *found))
            self._controller.policy = dataclasses.replace(self._controller.policy, guard=guard)
            log.info("the API server is at %s, which is no target", ", ".join(found))
        return LOOK_SECONDS

    def _unknown(self, why: str) -> float:
        if not self._told:
            log.warning(
                "the API server's own addresses are not known, so only its Service is denied as a target "
                "(examples/install/api-server-addresses.yaml lets the operator read them): %s",
                why,
            )
        self._told = True
        return RETRY_SECONDS

    async def run(self, wait: float) -> None:
        """Look again after `wait` seconds, and now and then, until cancelled."""
        while True:
            await asyncio.sleep(wait)
            wait = await self.look()
