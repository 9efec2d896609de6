"""Which endpoints never answered.

Nuclei exits 0 when nothing answers. It tells of an unresponsive host only where it has more requests for it (`Skipped …`
in the log), but writes every failed request to its error log. An endpoint counts as unreachable when its host was
skipped, or when as many of its requests failed as each host was to get.
"""

from __future__ import annotations

import collections
from collections.abc import Collection, Iterable, Sequence
from urllib.parse import urlsplit

import msgspec

from scanplan.runner import wire
from scanplan.runner.nuclei.statistics import ScannerLog

_PORTS = {"http": 80, "https": 443}
_NETWORK_KINDS = ("network-permanent-error", "network-temporary-error", "deadline-error", "unknown-error")
"""Kinds of Nuclei's errors that say something about the host, rather than about the template."""


_DENIED = "denied address found for host"


class Silent(msgspec.Struct, frozen=True):
    """The endpoints that never answered."""

    unreachable: tuple[str, ...] = ()
    denied: tuple[str, ...] = ()
    """Those of them that were not even asked, because their name resolves to a denied address."""
    failed_elsewhere: int = 0
    """Requests that failed at the other endpoints, which do answer."""

    def refusing(self, refused: Collection[str], endpoints: Sequence[str]) -> Silent:
        """With endpoints that were kept from Nuclei, in the order of all endpoints."""
        unreachable, denied = {*self.unreachable, *refused}, {*self.denied, *refused}
        return Silent(
            unreachable=tuple(endpoint for endpoint in endpoints if endpoint in unreachable),
            denied=tuple(endpoint for endpoint in endpoints if endpoint in denied),
            failed_elsewhere=self.failed_elsewhere,
        )


class _FailedRequest(msgspec.Struct):
    input: str = ""
    address: str = ""
    error: str = ""
    kind: str = ""


_decode = msgspec.json.Decoder(_FailedRequest).decode


def address(endpoint: str) -> str:
    """``host:port`` of an endpoint, as Nuclei names it in its logs; just the host where neither port nor scheme is known."""
    parts = urlsplit(endpoint if "://" in endpoint else f"//{endpoint}")
    try:
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        port = None
    host = parts.hostname or endpoint
    host = f"[{host}]" if ":" in host else host
    return f"{host}:{port}" if port else host


def silent(endpoints: Sequence[str], log: ScannerLog, error_lines: Iterable[bytes]) -> Silent:
    """The endpoints that never answered, in their order.

    Args:
        endpoints: of the shard.
        log: the scan's log, to its end.
        error_lines: of the file that Nuclei wrote by `-elog`.
    """
    failures: collections.Counter[str] = collections.Counter()
    denials: set[str] = set()
    failed_at: collections.Counter[str] = collections.Counter()
    for line in error_lines:
        try:
            request = _decode(line)
        except wire.UNREADABLE:
            continue
        if request.kind in _NETWORK_KINDS:
            name = address(request.input) if "://" in request.input else request.address or request.input
            failed_at[name] += 1
            # An endpoint without a port is asked at one that Nuclei guesses.
            for key in {name, _host(name)}:
                failures[key] += 1
                if _DENIED in request.error:
                    denials.add(key)
    sharing = collections.Counter(address(endpoint) for endpoint in endpoints)
    skipped = {key for name in log.skipped for key in (_bracketed(name), _host(_bracketed(name)))}
    each = max(1, log.total // log.hosts) if log.hosts else 0
    gone = tuple(
        endpoint
        for endpoint in endpoints
        if (name := address(endpoint)) in skipped or (each and failures[name] >= each * sharing[name])
    )
    names = {address(endpoint) for endpoint in gone}
    return Silent(
        unreachable=gone,
        denied=tuple(endpoint for endpoint in gone if address(endpoint) in denials),
        failed_elsewhere=sum(count for name, count in failed_at.items() if not {name, _host(name)} & names),
    )


def _bracketed(name: str) -> str:
    """``host:port`` as `address` spells it: Nuclei leaves the brackets of IPv6 addresses out now and then."""
    host, _, port = name.lower().rpartition(":")
    return f"[{host}]:{port}" if ":" in host and not host.startswith("[") else name.lower()


def _host(name: str) -> str:
    host, _, port = name.rpartition(":")
    return host if host and port.isdigit() else name
