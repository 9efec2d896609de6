"""Which endpoints lead to a denied address, asked of DNS before the scan.

Nuclei refuses denied addresses one by one when it dials: of a name with an allowed and a denied address, it takes the allowed one.
Which of them a request reaches is then chance, and some of its protocols dial by themselves. So a name that has a denied
address among its own is not scanned at all. What DNS answers differently later is held by Nuclei's exclusion alone.
"""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from scanplan.core.planning import shards
from scanplan.core.planning.targets import endpoints
from scanplan.core.planning.targets.guard import Address, Guard

Resolve = Callable[[str], Iterable[str]]
_THREADS = 16
_LIMIT_SECONDS = 30.0
"""Names that have no answer by then are left to Nuclei's own exclusion."""
_TICK_SECONDS = 0.1
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
    names = [host for host in dict.fromkeys(hosts.values()) if endpoints.parse_address(host) is None]
    ranges: dict[str, str] = {}
    for name, found in _resolved(names, resolve, stop, limit_seconds).items():
        for text in found:
            parsed: Address | None = endpoints.parse_address(text)
            if parsed is not None and (covering := guard.covering(parsed)) is not None:
                ranges[name] = covering
    return {target: ranges[host] for target, host in hosts.items() if host in ranges}


def shown(refused: Mapping[str, str]) -> str:
    """Some of the refused endpoints, each with its range."""
    return ", ".join(f"{endpoint} ({covering})" for endpoint, covering in list(refused.items())[:_SHOWN])


def _resolved(
    names: Sequence[str], resolve: Resolve, stop: Callable[[], bool], limit_seconds: float
) -> dict[str, Iterable[str]]:
    """Addresses by name, of those that were answered in time."""
    waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
    answers: queue.SimpleQueue[tuple[str, Iterable[str]]] = queue.SimpleQueue()
    for name in names:
        waiting.put(name)

    def work() -> None:
        while True:
            try:
                name = waiting.get_nowait()
            except queue.Empty:
                return
            answers.put((name, resolve(name)))

    for _ in range(min(_THREADS, len(names))):
        # Daemons: a resolver that hangs must not keep the process alive.
        threading.Thread(target=work, name="resolve", daemon=True).start()
    found: dict[str, Iterable[str]] = {}
    deadline = time.monotonic() + limit_seconds
    while len(found) < len(names) and time.monotonic() < deadline and not stop():
        try:
            name, answer = answers.get(timeout=_TICK_SECONDS)
        except queue.Empty:
            continue
        found[name] = answer
    return found
