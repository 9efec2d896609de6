"""Which endpoints lead to a denied address, asked of DNS before the scan.

Nuclei refuses denied addresses one by one when it dials: of a name with an allowed and a denied address, it takes the allowed one.
Which of them a request reaches is then chance, and some of its protocols dial by themselves. So a name that has a denied
address among its own is not scanned at all. What DNS answers differently later is held by Nuclei's exclusion alone.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Mapping, Sequence

from scanplan.core.planning import shards
from scanplan.core.planning.targets import endpoints
from scanplan.core.planning.targets.guard import Address, Guard
from scanplan.runner.nuclei.judging import asking

Resolve = Callable[[str], Iterable[str]]
_THREADS = 16
_LIMIT_SECONDS = 30.0
"""Names that have no answer by then are left to Nuclei's own exclusion."""
_SHOWN = 5


def addresses(host: str) -> list[str]:
    """All addresses of a name, by the system's resolver; none where it has none.

    Returns:
        Addresses as text, without scopes.
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return [str(entry[4][0]).partition("%")[0] for entry in found]


def denied(
    targets: Sequence[str],
    guard: Guard,
    *,
    stop: Callable[[], bool] = lambda: False,
    resolve: Resolve = addresses,
    limit_seconds: float = _LIMIT_SECONDS,
) -> dict[str, str]:
    """The endpoints whose names have a denied address among theirs.

    Args:
        targets: endpoints in canonical form; those that are addresses were checked when the plan was resolved.
        stop: asked several times a second; once true, what is known by then is the answer.
        resolve: the addresses of a name.
        limit_seconds: how long names may take together.

    Returns:
        The denied range, by endpoint.
    """
    if not guard.entries:
        return {}
    hosts = {target: shards.host_of(target) for target in targets}
    names = [host for host in hosts.values() if endpoints.parse_address(host) is None]
    ranges: dict[str, str] = {}
    for name, found in asking.answers(names, resolve, stop, threads=_THREADS, limit_seconds=limit_seconds).items():
        for text in found:
            parsed: Address | None = endpoints.parse_address(text)
            if parsed is not None and (covering := guard.covering(parsed)) is not None:
                ranges[name] = covering
    return {target: ranges[host] for target, host in hosts.items() if host in ranges}


def shown(refused: Mapping[str, str]) -> str:
    """Some of the refused endpoints, each with its range."""
    return ", ".join(f"{endpoint} ({covering})" for endpoint, covering in list(refused.items())[:_SHOWN])
