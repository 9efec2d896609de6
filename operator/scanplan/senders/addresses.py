"""Looks up a receiver's addresses and refuses those that nothing is sent to. A connection goes to the address that was checked."""

from __future__ import annotations

import asyncio
import socket

from aiohttp.abc import AbstractResolver, ResolveResult

from scanplan.core.egress.policy import ReceiverPolicy


class AddressDenied(OSError):
    """A name has an address that nothing is sent to."""


async def checked(host: str, port: int, policy: ReceiverPolicy) -> list[tuple[socket.AddressFamily, str]]:
    """The addresses of a host.

    Raises:
        AddressDenied: one of them is denied. The others are not used either: who controls the name may mean any of them.
        OSError: there are none.
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [(family, str(address[0])) for family, _, _, _, address in found]
    if any(policy.denies(address) for _, address in addresses):
        raise AddressDenied
    return list(dict.fromkeys(addresses))


class CheckedResolver(AbstractResolver):
    """The resolver of one request. aiohttp asks it for each name, though not for addresses, and connects to what it answers."""

    def __init__(self, policy: ReceiverPolicy) -> None:
        self._policy = policy
        self.denied = False
        """An address was denied: aiohttp wraps the error."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        try:
            addresses = await checked(host, port, self._policy)
        except AddressDenied:
            self.denied = True
            raise
        return [
            ResolveResult(hostname=host, host=address, port=port, family=of, proto=0, flags=socket.AI_NUMERICHOST)
            for of, address in addresses
            if family in {socket.AF_UNSPEC, of}
        ]

    async def close(self) -> None:
        pass
