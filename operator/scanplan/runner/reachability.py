"""Which endpoints never answered.

Nuclei exits 0 when nothing answers. It tells of an unresponsive host only where it has more requests for it (`Skipped …`
in the log), but writes every failed request to its error log. An endpoint counts as unreachable when its host was
skipped, or when as many of its requests failed as each host was to get.
"""

from __future__ import annotations

import collections
from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

import msgspec

from scanplan.runner.statistics import ScannerLog

_PORTS = {"http": 80, "https": 443}
_NETWORK_KINDS = ("network-permanent-error", "network-temporary-error", "deadline-error", "unknown-error")
"""Kinds of Nuclei's errors that say something about the host, rather than about the template."""


class _FailedRequest(msgspec.Struct):
    input: str = ""
    address: str = ""
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


def unreachable(endpoints: Sequence[str], log: ScannerLog, error_lines: Iterable[bytes]) -> tuple[str, ...]:
    """The endpoints that never answered, in their order.

    Args:
        endpoints: of the shard.
        log: the scan's log, to its end.
        error_lines: of the file that Nuclei wrote by `-elog`.
    """
    failures: collections.Counter[str] = collections.Counter()
    for line in error_lines:
        try:
            request = _decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        if request.kind in _NETWORK_KINDS:
            failures[address(request.input) if "://" in request.input else request.address or request.input] += 1
    sharing: collections.Counter[str] = collections.Counter(address(endpoint) for endpoint in endpoints)
    each = max(1, log.total // log.hosts) if log.hosts else None
    skipped = {_without_brackets(host) for host in log.skipped}
    gone: list[str] = []
    for endpoint in endpoints:
        name = address(endpoint)
        bare = ":" not in name
        refused = any(_host(host) == name for host in skipped) if bare else _without_brackets(name) in skipped
        failed = sum(count for host, count in failures.items() if _host(host) == name) if bare else failures[name]
        if refused or (each is not None and failed >= each * sharing[name]):
            gone.append(endpoint)
    return tuple(gone)


def _without_brackets(name: str) -> str:
    return name.replace("[", "").replace("]", "").lower()


def _host(name: str) -> str:
    return name.rpartition(":")[0] or name
