"""Which endpoints were scanned, which never answered, and which stopped answering.

Each endpoint is judged by what came of the requests to its own address. A closed port is an answer if the template chose the port,
and none if it is the endpoint's own. Failures elsewhere on the host count only if the endpoint's own address was never tried.
"""

from __future__ import annotations

import collections
import datetime
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from enum import StrEnum

import msgspec

from scanplan.api.documents.report import THROTTLING, EndpointTrouble, Trouble
from scanplan.api.times import format_time
from scanplan.runner.nuclei.judging.evidence import (
    FORBIDDEN,
    TOO_MANY,
    Answers,
    Contact,
    Evidence,
    address,
    host_of,
)

_NAMED = 5
_GUESSED_PORTS = (80, 443)
"""Where Nuclei looks for an endpoint that names no port."""
_FAILED_SHARE = 0.05
"""From this share of failed requests on, an endpoint is reported as failing. Nuclei itself retries single time-outs."""
_DIED = 10
"""After this many failures in a row, up to the end of the scan, an endpoint has stopped answering; or if Nuclei gave it up."""


_TROUBLES = (
    (
        (Trouble.FAILING,),
        "Requests failed at {} endpoints that do answer",
        "Lower rateLimit or concurrency if they are overloaded",
    ),
    (
        THROTTLING,
        "{} endpoints throttled the scan, or were out of service",
        "Lower rateLimit or concurrency",
    ),
    ((Trouble.BLOCKED,), "{} endpoints blocked the scan", "Lower rateLimit, or allow the scanner there"),
)
"""What warnings say of endpoints that answer: kinds, what happened, what to do."""


class Standing(StrEnum):
    """What became of one endpoint."""

    SCANNED = "scanned"
    UNREACHABLE = "unreachable"
    UNTRIED = "untried"
    """Only other ports of its host were tried, which templates chose, and none of them answered."""
    DENIED = "denied"
    """Not dialled, since the target guard denies the address that its name resolves to."""
    STOPPED = "stopped"
    """It answered at first, then no more."""
    SILENT = "silent"
    """No template had anything to send to it."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The endpoints of a shard: each is in one of the first three tuples, in the order of the shard."""

    scanned: tuple[str, ...] = ()
    unreachable: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    """Not, or not wholly, scanned, though they may answer."""
    denied: tuple[str, ...] = ()
    """Those of `unreachable` that were not even asked."""
    untried: tuple[str, ...] = ()
    """Those of `unreachable` whose own address was not tried."""
    stopped: tuple[str, ...] = ()
    """Those of `skipped` that answered at first."""
    troubled: tuple[EndpointTrouble, ...] = ()
    """Endpoints that answered, but may not be fully scanned."""
    warnings: tuple[str, ...] = ()

    @property
    def untroubled(self) -> frozenset[str]:
        """The scanned ones without trouble. Only there does a missing finding show that it is gone."""
        return frozenset(self.scanned) - {each.endpoint for each in self.troubled}

    @property
    def doubtful(self) -> bool:
        """Something failed, and nothing answered: the endpoints may be dead, or the network."""
        return not self.scanned and bool(self.stopped or len(self.unreachable) > len(self.denied))

    @property
    def hopeless(self) -> bool:
        """Each endpoint was tried in vain, has stopped answering, or is denied: none is left that may answer."""
        return not (self.scanned or self.untried) and self.skipped == self.stopped


def judge(
    evidence: Evidence,
    given_up: Iterable[str],
    refused: Collection[str],
    listening: Callable[[Sequence[str]], Collection[str]],
) -> Verdict:
    """What became of each endpoint.

    Args:
        evidence: what was sent and answered.
        given_up: ``host:port`` of the hosts that Nuclei skipped in the end.
        refused: endpoints that were kept from Nuclei, since their names have denied addresses.
        listening: those of some endpoints at which somebody listens; asked about those where nothing but TLS handshakes was tried.
    """
    by_host: dict[str, list[str]] = collections.defaultdict(list)
    for name in evidence.contacts:
        by_host[host_of(name)].append(name)
    skipped = {address(name) for name in given_up}
    endpoints = evidence.addresses.endpoints
    standings: dict[str, Standing] = {}
    troubled: list[EndpointTrouble] = []
    uncertified: list[str] = []
    unclear: list[str] = []
    for index, endpoint in enumerate(endpoints):
        own = _own(evidence, index)
        near = by_host[host_of(evidence.addresses.own[index])]
        elsewhere = [name for name in near if name not in own and evidence.addresses.find(name) >> index & 1]
        at_own, at_others = _sum(evidence, own), _sum(evidence, elsewhere)
        if at_own.uncertified:
            uncertified.append(endpoint)
        answers = evidence.answers.get(endpoint, Answers())
        standing = _standing(at_own, at_others, asked=bool(evidence.questions >> index & 1))
        if endpoint in refused:
            standing = Standing.DENIED
        elif standing is Standing.SILENT and (at_own.unclear or at_others.unclear):
            unclear.append(endpoint)
        if (
            at_own.answered
            and at_own.since_answer
            and (at_own.since_answer >= _DIED or _newest(evidence, own) in skipped)
        ):
            standing = Standing.STOPPED
            troubled.append(_stopped(endpoint, at_own, answers))
        elif at_own.answered and at_own.failed and at_own.failed >= _FAILED_SHARE * (at_own.failed + at_own.answered):
            troubled.append(_failing(endpoint, at_own))
        troubled.extend(_answering(endpoint, answers))
        standings[endpoint] = standing
    listeners = listening(unclear) if unclear else ()
    for endpoint in unclear:
        standings[endpoint] = Standing.SCANNED if endpoint in listeners else Standing.UNREACHABLE
    return _verdict(endpoints, standings, troubled, uncertified)


def _stopped(endpoint: str, contact: Contact, answers: Answers) -> EndpointTrouble:
    answered = contact.answered + answers.checks
    since = format_time(datetime.datetime.fromtimestamp(contact.answered_at, datetime.UTC))
    return EndpointTrouble(
        endpoint=endpoint,
        trouble=Trouble.STOPPED,
        count=contact.since_answer,
        total=answered + contact.failed,
        last_answer=since,
        remark=f"answered {answered} times, the last at {since}; then {contact.since_answer} requests failed",
    )


def _failing(endpoint: str, contact: Contact) -> EndpointTrouble:
    total = contact.failed + contact.answered
    remark = f"{contact.failed} of {total} requests failed"
    return EndpointTrouble(endpoint=endpoint, trouble=Trouble.FAILING, count=contact.failed, total=total, remark=remark)


def _answering(endpoint: str, answers: Answers) -> Iterator[EndpointTrouble]:
    for trouble, status, count in (
        (Trouble.THROTTLED, f"{TOO_MANY} (too many requests)", answers.throttled),
        (Trouble.UNAVAILABLE, "502, 503 or 504 (unavailable)", answers.unavailable),
        (Trouble.BLOCKED, f"{FORBIDDEN} (forbidden)", answers.forbidden),
    ):
        if count:
            remark = f"answered {status} to {count} of {answers.checks} checks"
            yield EndpointTrouble(endpoint=endpoint, trouble=trouble, count=count, total=answers.checks, remark=remark)


def _own(evidence: Evidence, index: int) -> list[str]:
    """The addresses at which an endpoint is expected to answer."""
    name = evidence.addresses.own[index]
    if name != host_of(name):
        return [name]
    guessed = [f"{name}:{port}" for port in _GUESSED_PORTS]
    return [guess for guess in guessed if not evidence.addresses.is_own(guess)]


def _newest(evidence: Evidence, names: Iterable[str]) -> str:
    """The address with the newest answer; empty where none was tried."""
    return max(
        (name for name in names if name in evidence.contacts),
        key=lambda name: evidence.contacts[name].answered_at,
        default="",
    )


def _sum(evidence: Evidence, names: Sequence[str]) -> Contact:
    """What came of the requests to some addresses. An endpoint answers as long as one of them does."""
    total = Contact()
    for name in names:
        if name in evidence.contacts:
            total.add(evidence.contacts[name])
    if newest := _newest(evidence, names):
        total.since_answer = evidence.contacts[newest].since_answer
    return total


def _standing(own: Contact, elsewhere: Contact, *, asked: bool) -> Standing:
    if own.answered:
        return Standing.SCANNED
    if not own.failed and (elsewhere.answered or elsewhere.refused):
        return Standing.SCANNED
    failed = own if own.failed else elsewhere
    if failed.failed:
        if failed.denied == failed.failed:
            return Standing.DENIED
        return Standing.UNREACHABLE if own.failed else Standing.UNTRIED
    return Standing.SCANNED if asked and not (own.unclear or elsewhere.unclear) else Standing.SILENT


def _verdict(
    endpoints: Sequence[str],
    standings: dict[str, Standing],
    troubled: Sequence[EndpointTrouble],
    uncertified: Sequence[str],
) -> Verdict:
    def of(*wanted: Standing) -> tuple[str, ...]:
        return tuple(endpoint for endpoint in endpoints if standings[endpoint] in wanted)

    unanswering, denied = of(Standing.UNREACHABLE, Standing.UNTRIED), of(Standing.DENIED)
    stopped, silent, total = of(Standing.STOPPED), of(Standing.SILENT), len(endpoints)
    warnings = []
    if unanswering:
        warnings.append(f"{len(unanswering)} of {total} endpoints never answered: {_listed(unanswering)}")
    if uncertified:
        warnings.append(
            f"{len(uncertified)} of {total} endpoints ask for a client certificate, or rejected the one that they got "
            f"(scanner.clientCertificateFrom): {_listed(uncertified)}"
        )
    if denied:
        warnings.append(
            f"{len(denied)} of {total} endpoints resolve to addresses that the target guard denies: {_listed(denied)}"
        )
    if told := _told(troubled, Trouble.STOPPED):
        warnings.append(f"{len(stopped)} of {total} endpoints stopped answering during the scan: {_listed(told)}")
    if silent:
        warnings.append(f"Nothing was sent to {len(silent)} of {total} endpoints: {_listed(silent)}")
    for kinds, what, advice in _TROUBLES:
        if told := _told(troubled, *kinds):
            count = what.format(f"{len(told)} of {total}")
            warnings.append(f"{count}, so findings may be missing: {_listed(told)}. {advice}")
    return Verdict(
        scanned=of(Standing.SCANNED),
        unreachable=of(Standing.UNREACHABLE, Standing.UNTRIED, Standing.DENIED),
        skipped=of(Standing.STOPPED, Standing.SILENT),
        denied=denied,
        untried=of(Standing.UNTRIED),
        stopped=stopped,
        troubled=tuple(troubled),
        warnings=tuple(warnings),
    )


def _told(troubled: Sequence[EndpointTrouble], *kinds: Trouble) -> list[str]:
    """A text for each endpoint that has one of these troubles, or several."""
    remarks: dict[str, list[str]] = {}
    for each in troubled:
        if each.trouble in kinds:
            remarks.setdefault(each.endpoint, []).append(_in_short(each))
    return [f"{endpoint} ({', '.join(told)})" for endpoint, told in remarks.items()]


def _in_short(each: EndpointTrouble) -> str:
    """What a list of endpoints that have the same trouble says of one."""
    return f"{each.count} of {each.total}" if each.trouble is Trouble.FAILING else each.remark


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
