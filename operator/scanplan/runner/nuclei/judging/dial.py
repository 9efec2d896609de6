"""Tests by one TCP connection whether an endpoint listens, where Nuclei's output does not show it.

Nuclei reports a failed TLS handshake in the same way for a closed port and for a port without TLS. The target guard applies as
in Nuclei: a denied address is not dialled.
"""

from __future__ import annotations

import contextlib
import math
import socket
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

from scanplan.core.planning.targets import endpoints
from scanplan.core.planning.targets.guard import Guard
from scanplan.runner.nuclei.judging import asking

_TLS_PORT = 443
_THREADS = 64
_ADDRESSES = 2
"""Of a name, that may have to be tried in vain: IPv4 and IPv6."""


class Listeners:
    """Where somebody listens, by one connection to each endpoint. Answers are kept."""

    def __init__(self, guard: Guard, timeout: float, stop: Callable[[], bool]) -> None:
        """
        Args:
            guard: what must not be dialled.
            timeout: seconds for each address of an endpoint.
            stop: asked several times a second; once true, nobody is waited for.
        """
        self._guard = guard
        self._timeout = timeout
        self._stop = stop
        self._known: dict[str, bool] = {}

    def among(self, endpoints: Iterable[str]) -> set[str]:
        """Those of the endpoints at which somebody listens.

        There is time for each of them, also if none answers. One whose resolver hangs longer is not among them.
        """
        asked = set(endpoints)
        new = sorted(asked - self._known.keys())
        self._known |= asking.answers(
            new,
            lambda endpoint: listens(endpoint, self._guard, self._timeout),
            self._stop,
            threads=_THREADS,
            limit_seconds=(math.ceil(len(new) / _THREADS) + 1) * _ADDRESSES * self._timeout,
        )
        return {endpoint for endpoint in asked if self._known.get(endpoint)}


def listens(endpoint: str, guard: Guard, timeout: float) -> bool:
    """Whether a TCP connection to the endpoint succeeds.

    Args:
        endpoint: as in the plan. Without a port, it is 80 for http:// and 443 otherwise.
        guard: what must not be dialled.
        timeout: seconds for each of its addresses.
    """
    try:
        parts = urlsplit(endpoint if "://" in endpoint else f"//{endpoint}")
        port = parts.port or (80 if parts.scheme == "http" else _TLS_PORT)
    except ValueError:
        return False
    connection = connected(parts.hostname or "", port, guard, timeout)
    if connection is not None:
        connection.close()
    return connection is not None


def connected(host: str, port: int, guard: Guard, timeout: float) -> socket.socket | None:
    """Connect to the first allowed address of a host that accepts a connection; None where none does.

    Args:
        guard: what must not be dialled.
        timeout: seconds for each of its addresses.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, ValueError):
        return None
    for family, kind, protocol, _, where in found:
        address = endpoints.parse_address(str(where[0]).partition("%")[0])
        if address is None or guard.covering(address) is not None:
            continue
        with contextlib.ExitStack() as opened, contextlib.suppress(OSError):
            connection = opened.enter_context(socket.socket(family, kind, protocol))
            connection.settimeout(timeout)
            connection.connect(where)
            opened.pop_all()
            return connection
    return None
