"""The rate that one run of Nuclei is given, so that the limits of the shard and of each host hold.

Nuclei has one limiter: for all requests, or (``-per-host-rate-limit``) one of the same rate for each ``host:port``. So with a
limit for each host the total is kept by the number of endpoints in a step (`most_endpoints`).
"""

from __future__ import annotations

import collections
from collections.abc import Iterable

import msgspec

from scanplan.api.documents.task import ScannerOptions
from scanplan.runner.nuclei.judging.evidence import address, host_of

CHECKED_RATE = 20
"""From this rate on endpoints are asked for their status while Nuclei runs; that is one request a second less for Nuclei."""


class Rates(msgspec.Struct, frozen=True):
    """Limits of one run."""

    limit: int
    """Requests a second."""
    per_host: bool = False
    """`limit` holds for each ``host:port``."""
    checks: bool = False
    """The runner asks endpoints while Nuclei runs."""


def of(options: ScannerOptions, targets: Iterable[str]) -> Rates:
    """The limits of a run that scans `targets`."""
    if not options.host_rate_limit:
        checks = options.rate_limit >= CHECKED_RATE
        return Rates(options.rate_limit - checks, checks=checks)
    places = {address(target) for target in targets}
    ports = max(collections.Counter(host_of(place) for place in places).values(), default=1)
    return Rates(
        max(1, min(options.host_rate_limit // ports, options.rate_limit // max(1, len(places)))), per_host=True
    )


def most_endpoints(options: ScannerOptions) -> int:
    """Endpoints of one step, at most: with more of them, the limits of their hosts would add up to more than the shard's."""
    return max(1, options.rate_limit // options.host_rate_limit) if options.host_rate_limit else 1 << 31


def expected(options: ScannerOptions, endpoints: int) -> float:
    """Requests a second that a shard of so many endpoints can send."""
    limit = options.host_rate_limit * endpoints if options.host_rate_limit else options.rate_limit
    return float(max(1, min(options.rate_limit, limit)))


def foretold(options: ScannerOptions, endpoints: int, requests: int, timeout_seconds: int) -> str:
    """A warning where so many requests take longer than an attempt may; empty: they don't."""
    rate = expected(options, endpoints)
    if requests / rate <= timeout_seconds:
        return ""
    return (
        f"About {requests:,} requests at {rate:.0f} a second take at least {requests / rate / 3600:.1f} hours, more than "
        f"timeoutSeconds ({timeout_seconds}). What is done is saved, and the next attempt goes on; more shards or a higher "
        "rateLimit make it faster."
    )
