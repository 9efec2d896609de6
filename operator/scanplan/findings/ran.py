"""Where a scan has looked: which templates it ran against which targets, and had an answer.

A finding that a scan does not report is resolved only where its template ran against its target. A template that was removed,
refused or not sent, a target that did not answer, throttled or blocked the scan, and a request that failed are no evidence. Nor
is a scan that was told to leave a matcher's findings out.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from scanplan.findings import aliases
from scanplan.findings.history import Sighting
from scanplan.findings.identity import Address, address


class ShardRan(msgspec.Struct, frozen=True, kw_only=True):
    """Where one shard has looked. Sets of endpoints are bits, by their place in `endpoints`."""

    endpoints: Sequence[str]
    trusted: int
    """Endpoints that answered all the time."""
    templates: frozenset[str]
    """Ids of the templates that ran, under all of their names."""
    gaps: Mapping[str, int]
    """By template: endpoints that it was not sent to, or where one of its requests failed."""
    excluded_matchers: frozenset[str] = frozenset()
    """`ID:NAME` of matchers whose findings the scan has left out; * stands for all, and so does an id alone."""

    def has_run(self, template: str, endpoint: int) -> bool:
        """Whether a template ran against the endpoint at this place."""
        bits = self.trusted & ~self.gaps.get(template, 0)
        return template in self.templates and bool(bits >> endpoint & 1)

    def leaves_out(self, names: Iterable[str], matcher: str) -> bool:
        """Whether the findings of a matcher were left out. `names`: those of its template."""
        of_template = {way for name in names for way in (name, f"{name}:*", f"{name}:{matcher}")}
        return not self.excluded_matchers.isdisjoint(of_template | {f"*:{matcher}"})


class Ran:
    """Where a scan has looked, over all of its shards."""

    def __init__(self, shards: Iterable[ShardRan], host: str = "") -> None:
        """Endpoints without this host in them are left out."""
        self._shards = tuple(shards)
        self._by_host: dict[str, list[tuple[tuple[int, int], Address]]] = collections.defaultdict(list)
        """Places of endpoints: shard, and place in it."""
        for number, shard in enumerate(self._shards):
            for index, endpoint in enumerate(shard.endpoints):
                if host in endpoint:
                    found = address(endpoint)
                    self._by_host[found.host].append(((number, index), found))

    def looked_for(self, sighting: Sighting) -> bool:
        """Whether the finding would have been seen, were it still there."""
        names = {sighting.template, aliases.canonical(sighting.template)}
        return any(
            shard.has_run(name, index)
            for number, index in self._endpoints(sighting.target)
            if not (shard := self._shards[number]).leaves_out(names, sighting.matcher)
            for name in names
        )

    def _endpoints(self, target: str) -> list[tuple[int, int]]:
        """The endpoints that a target is one of, the closest kind of likeness that there is.

        An endpoint with the target's port and path; else one that names no port, for which Nuclei chose it; else, for a port
        that the template chose, all of the host.
        """
        wanted = address(target)
        kin = self._by_host.get(wanted.host, ())
        own = [place for place, found in kin if (found.port, found.path) == (wanted.port, wanted.path)]
        if own or wanted.path:
            return own
        chosen = [place for place, found in kin if not found.port]
        return chosen or ([] if "://" in target else [place for place, _ in kin])


class DividedRan:
    """The same, of very many endpoints, whose hosts say in which shard they are; a shard is read when it is first asked for."""

    def __init__(self, shard_of: Callable[[str], int], read: Callable[[int], ShardRan | None]) -> None:
        """`read` says where the shard of a number has looked; None: nobody knows."""
        self._shard_of = shard_of
        self._read = read
        self._known: dict[int, tuple[str, ShardRan] | None] = {}
        """Each shard that was read, with its endpoints as one text: a million texts would take three times the memory."""

    def looked_for(self, sighting: Sighting) -> bool:
        """As of `Ran`."""
        host = address(sighting.target).host
        number = self._shard_of(host)
        if number not in self._known:
            found = self._read(number)
            self._known[number] = (
                ("\n".join(found.endpoints), msgspec.structs.replace(found, endpoints=())) if found else None
            )
        known = self._known[number]
        if known is None or host not in known[0]:
            return False
        shard = msgspec.structs.replace(known[1], endpoints=known[0].split("\n"))
        return Ran((shard,), host).looked_for(sighting)
