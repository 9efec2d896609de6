"""Cut a task's endpoints into shards, by host.

No host is ever in two shards, so that limits per host hold and one server is not scanned from several pods at once. The cut
depends on nothing but endpoints and count, which is how the runner in each pod finds its part of the document by itself. Hosts
go, largest first, to the shard with the fewest endpoints (longest processing time first, Graham 1969). So any two shards differ
by at most the endpoints of the largest host.
"""

from __future__ import annotations

import hashlib
import heapq
import math
import re
import zlib
from collections import defaultdict
from collections.abc import Sequence

from scanplan.api.documents.task import MAX_SHARDS

_HOST = re.compile(r"(?:https?://)?(?:\[(?P<address>[^\]]*)\]|(?P<name>[^:/?#]*))")
"""As `urlsplit` has it, in a tenth of its time: a plan of 100,000 endpoints keeps all others waiting meanwhile."""


def host_of(endpoint: str) -> str:
    """The host of a canonical endpoint: ``https://a.example:8443/x`` and ``a.example:8443`` both give ``a.example``."""
    match = _HOST.match(endpoint)
    return (match and (match["address"] or match["name"])) or endpoint


def shard_count(endpoints: Sequence[str], max_endpoints_per_shard: int) -> int:
    """How many shards a task gets: enough to keep to the maximum on average, no more than hosts, at least one."""
    wanted = math.ceil(len(endpoints) / max_endpoints_per_shard)
    return max(1, min(wanted, len({host_of(endpoint) for endpoint in endpoints}), MAX_SHARDS))


def cut(endpoints: Sequence[str], shards: int) -> list[list[str]]:
    """All shards of `endpoints`, in index order; each keeps the order of `endpoints`.

    Args:
        endpoints: canonical and unique.
        shards: at least 1; with fewer hosts than shards the last ones are empty.
    """
    hosts: defaultdict[str, list[str]] = defaultdict(list)
    for endpoint in endpoints:
        hosts[host_of(endpoint)].append(endpoint)
    loads = [(0, index) for index in range(shards)]
    shard_of: dict[str, int] = {}
    for host in sorted(hosts, key=lambda host: (-len(hosts[host]), host)):
        load, index = heapq.heappop(loads)
        shard_of[host] = index
        heapq.heappush(loads, (load + len(hosts[host]), index))
    result: list[list[str]] = [[] for _ in range(shards)]
    for endpoint in endpoints:
        result[shard_of[host_of(endpoint)]].append(endpoint)
    return result


def count_for(endpoints: int, max_endpoints_per_shard: int) -> int:
    """How many shards a task gets whose hosts nobody knows beforehand."""
    return min(math.ceil(endpoints / max_endpoints_per_shard), MAX_SHARDS)


def of_host(host: bytes, shards: int) -> int:
    """The shard of a host, where no pod knows all hosts; any two shards differ by chance, and by the size of large hosts.

    By CRC-32, which takes a tenth of the time of any other hash here, and spreads names and addresses no worse.
    """
    return zlib.crc32(host) % shards


def file_digest(sha256: str, index: int, shards: int) -> str:
    """The same as `content_digest`, of a part of a file."""
    return hashlib.sha256(f"{sha256}\n{index}\n{shards}".encode()).hexdigest()[:16]


def content_digest(endpoints: Sequence[str]) -> str:
    """Name of a shard's content: 16 hex of SHA-256 over its endpoints, so that a re-made Job finds published work."""
    return hashlib.sha256("\n".join(endpoints).encode()).hexdigest()[:16]
