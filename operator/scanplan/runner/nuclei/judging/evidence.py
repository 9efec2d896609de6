"""What was sent and what was answered, from Nuclei's trace log.

Nuclei writes a JSON line for every request that it made: template, protocol, input, and the error or ``none``. It reaches us
through a pipe, so no disk can fill under it. Counts are kept by address (``host:port``), and by template the set of
endpoints that it was sent to. Nothing else of Nuclei says so: its statistics count steps that never come (decision 8).
"""

from __future__ import annotations

import collections
import time
from collections.abc import Sequence
from urllib.parse import urlsplit

import msgspec

from scanplan.api import wire
from scanplan.api.documents.words import Count

_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_NONE = "none"
_DENIED = "denied address found for host"
_REFUSED = ("port closed or filtered", "connection refused")
_ANSWERED = (
    "tls: ",
    "x509: ",
    "malformed HTTP",
    "server gave HTTP response",
    "protocol version not supported",
    "stopped after",
)
"""Failures that only a peer who answered can cause."""
_UNCERTIFIED = ("tls: certificate required", "tls: bad certificate")
"""A host ends the connection, since it was shown no client certificate, or one that it does not take."""
_TEMPLATE_KIND = "template-logic-error"
_UNCLEAR_SSL = "could not connect to host"
"""All that tlsx says of a failed handshake, whether the port was closed or speaks no TLS."""
SHORTAGES = {
    "too many open files": "too few open files: raise the limit of open files (nofile) of the scan pod's node, or lower "
    "concurrency and bulk size",
    "cannot assign requested address": "no free local port: lower rateLimit or concurrency",
    "cannot allocate memory": "no memory for sockets: raise the pod's memory limit",
    "no buffer space available": "no memory for sockets: raise the pod's memory limit",
}
"""Errors of this machine rather than of the target, with what to do about them."""
MAX_CAUSES = 8
TOO_MANY, FORBIDDEN = 429, 403
UNAVAILABLE = (502, 503, 504)
"""Status codes of a target that does not take part in the scan."""


class Contact(msgspec.Struct, omit_defaults=True):
    """What came of the requests to one address."""

    answered: Count = 0
    failed: Count = 0
    refused: Count = 0
    """Of `failed`: the host said that nobody listens there."""
    denied: Count = 0
    """Of `failed`: not dialled, since the target guard denies the address."""
    uncertified: Count = 0
    """Of `failed`: the host wants another client certificate, or one at all."""
    unclear: Count = 0
    """TLS handshakes that failed: the port may be closed, or speak no TLS."""
    since_answer: Count = 0
    """Failures after the last answer."""
    answered_at: float = 0.0
    """When the last answer came, in seconds since the epoch."""

    def add(self, other: Contact) -> None:
        """Count what came later."""
        self.since_answer = other.since_answer + (0 if other.answered else self.since_answer)
        self.answered += other.answered
        self.answered_at = max(self.answered_at, other.answered_at)
        self.failed += other.failed
        self.refused += other.refused
        self.denied += other.denied
        self.uncertified += other.uncertified
        self.unclear += other.unclear


class Answers(msgspec.Struct, omit_defaults=True):
    """What an endpoint answered to our checks."""

    clear: Count = 0
    """With any other status code than those below."""
    throttled: Count = 0
    unavailable: Count = 0
    forbidden: Count = 0

    @property
    def checks(self) -> int:
        return self.clear + self.throttled + self.unavailable + self.forbidden

    def take(self, status: int) -> None:
        """Count one answer."""
        if status == TOO_MANY:
            self.throttled += 1
        elif status in UNAVAILABLE:
            self.unavailable += 1
        elif status == FORBIDDEN:
            self.forbidden += 1
        else:
            self.clear += 1

    def add(self, other: Answers) -> None:
        """Count what came in another run."""
        self.clear += other.clear
        self.throttled += other.throttled
        self.unavailable += other.unavailable
        self.forbidden += other.forbidden


class Addresses:
    """The endpoints of a shard, found by the addresses that Nuclei names in its logs."""

    def __init__(self, endpoints: Sequence[str]) -> None:
        self.endpoints = endpoints
        self.own = [address(endpoint) for endpoint in endpoints]
        self._by_address: dict[str, int] = collections.defaultdict(int)
        self._by_host: dict[str, int] = collections.defaultdict(int)
        self._found: dict[str, int] = {}
        for index, name in enumerate(self.own):
            self._by_address[name] |= 1 << index
            self._by_host[host_of(name)] |= 1 << index

    def find(self, name: str) -> int:
        """A bit for each endpoint that an address belongs to.

        An address that is some endpoint's own belongs to no other; one that is nobody's, to all endpoints of its host.
        """
        known = self._found.get(name)
        if known is None:
            known = self._found[name] = self._by_address.get(name) or self._by_host.get(host_of(name), 0)
        return known

    def is_own(self, name: str) -> bool:
        """Whether an address, with its port, is what an endpoint names."""
        return name in self._by_address


class _Request(msgspec.Struct):
    template: str = ""
    type: str = ""
    input: str = ""
    address: str = ""
    error: str = ""
    kind: str = ""


_decode = wire.decoder(_Request).decode


class Evidence:
    """What Nuclei sent, and to whom."""

    def __init__(self, endpoints: Sequence[str]) -> None:
        self.addresses = Addresses(endpoints)
        self.contacts: dict[str, Contact] = {}
        """By address: ``host:port``, or the host alone for DNS questions about it."""
        self.sent: dict[str, int] = {}
        """By template (its path, or its id where Nuclei names that): a bit for each endpoint that it was sent to."""
        self.unanswered: dict[str, int] = {}
        """By template, as `sent`: endpoints where a request of it had no answer. A refused port is one, where it is not the
        endpoint's own."""
        self.questions: int = 0
        """A bit for each endpoint about whose name a DNS question was answered."""
        self.requests = 0
        self.shortages: collections.Counter[str] = collections.Counter()
        self.answers: dict[str, Answers] = {}
        """By endpoint: what it answered to our own checks (`runner.nuclei.judging.watch`)."""
        self.web: set[str] = set()
        """Addresses that have answered by HTTP."""
        self._names: dict[str, str] = {}

    def feed(self, line: bytes) -> None:
        """Take one line of the trace log."""
        try:
            request = _decode(line)
        except wire.UNREADABLE:
            return
        self.requests += 1
        name = self._name(request)
        mask = self.addresses.find(name)
        self.sent[request.template] = self.sent.get(request.template, 0) | mask
        if request.error != _NONE and not self._answered(request, name):
            self.unanswered[request.template] = self.unanswered.get(request.template, 0) | mask
        if request.type == "dns":
            if request.error == _NONE:
                self.questions |= mask
            return  # a resolver's answer says nothing about the endpoint
        contact = self.contacts.get(name)
        if contact is None:
            contact = self.contacts[name] = Contact()
        if request.error == _NONE or _is_answer(request.error):
            contact.answered += 1
            contact.since_answer = 0
            contact.answered_at = time.time()
            if request.type == "http":
                self.web.add(name)
        elif request.kind != _TEMPLATE_KIND:
            self._failed(contact, request)

    def _answered(self, request: _Request, name: str) -> bool:
        """Whether an error is an answer: it tells as surely as any other that a weakness is not there."""
        closed = not self.addresses.is_own(name) and any(word in request.error for word in _REFUSED)
        return closed or _is_answer(request.error)

    def _failed(self, contact: Contact, request: _Request) -> None:
        for shortage in SHORTAGES:
            if shortage in request.error:
                self.shortages[shortage] += 1
                return
        if request.type == "ssl" and _UNCLEAR_SSL in request.error:
            contact.unclear += 1
            return
        contact.failed += 1
        contact.since_answer += 1
        if _DENIED in request.error:
            contact.denied += 1
        elif any(word in request.error for word in _UNCERTIFIED):
            contact.uncertified += 1
        elif any(word in request.error for word in _REFUSED):
            contact.refused += 1

    def _name(self, request: _Request) -> str:
        """The address that a request went to.

        Of a tcp request that failed, `input` may be the endpoint's address although a template chose another port. `address` then
        is what was dialled.
        """
        name = self._input_name(request)
        if request.type == "tcp" and request.error != _NONE:
            dialled = address(request.address)
            return dialled if dialled != host_of(dialled) == host_of(name) else name
        return name

    def _input_name(self, request: _Request) -> str:
        text = request.input
        if (start := text.find("://")) >= 0:  # only scheme and authority: paths differ with every request
            ends = [end for end in (text.find(stop, start + 3) for stop in "/?#") if end >= 0]
            text = text[: min(ends)] if ends else text
        name = self._names.get(text)
        if name is None:
            name = self._names[text] = address(text or request.address.rstrip(":"))
        return name

    def add(self, later: Evidence) -> None:
        """Count what a later run of Nuclei has sent to the same endpoints."""
        for name, contact in later.contacts.items():
            self.contacts.setdefault(name, Contact()).add(contact)
        for template, mask in later.sent.items():
            self.sent[template] = self.sent.get(template, 0) | mask
        for template, mask in later.unanswered.items():
            self.unanswered[template] = self.unanswered.get(template, 0) | mask
        self.questions |= later.questions
        self.requests += later.requests
        self.shortages.update(later.shortages)
        for endpoint, given in later.answers.items():
            self.answers.setdefault(endpoint, Answers()).add(given)


def _is_answer(error: str) -> bool:
    """Whether only a peer who answered the request can cause a failure."""
    return any(word in error for word in _ANSWERED) and not any(word in error for word in _UNCERTIFIED)


def address(endpoint: str) -> str:
    """``host:port`` of an endpoint, as Nuclei names it in its logs; just the host where neither port nor scheme is known."""
    try:
        parts = urlsplit(endpoint if "://" in endpoint else f"//{_bracketed(endpoint)}")
        port = parts.port or _PORTS.get(parts.scheme)
        host = parts.hostname or endpoint
    except ValueError:
        return endpoint.lower()
    host = f"[{host}]" if ":" in host else host
    return f"{host}:{port}" if port else host


def host_of(name: str) -> str:
    """The host of an address."""
    host, _, port = name.rpartition(":")
    return host if host and port.isdigit() else name


def _bracketed(name: str) -> str:
    """``host:port`` as `address` spells it: Nuclei leaves the brackets of IPv6 addresses out now and then."""
    host, _, port = name.rpartition(":")
    return f"[{host}]:{port}" if ":" in host and not host.startswith("[") else name
