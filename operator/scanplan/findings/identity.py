"""Which records are the same finding, for the whole of its life.

Two scans report the same weakness with other words: another session in the address, another object's number, a newer version in
an extracted result. The identity leaves all of this out. It is made of template, matcher, host, port and path; the parts of the
path that change by themselves are a star. So it is coarser than the fingerprint, which tells apart two records of one scan
(`scanplan.findings.fingerprint`).
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import re
from typing import Any, NamedTuple
from urllib.parse import unquote

import msgspec

from scanplan.api import wire
from scanplan.api.wire import UNREADABLE
from scanplan.findings import aliases

LENGTH = 32
"""Characters of an identity: half of a SHA-256 in hex."""
_MOST_CHARACTERS = 2_048
"""Most characters of an address that count; the rest is ignored."""
PORTS = {"http": "80", "https": "443", "ws": "80", "wss": "443"}
"""Ports of an address without one, by scheme."""
_STAR = "*"

_ADDRESS = re.compile(
    r"(?:(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://)?(?:[^/?#@\s]*@)?"
    r"(?P<host>\[[^\]/]*\]|[^/?#:]*)(?::(?P<port>\d{1,5})(?=[/?#]|$))?(?P<path>[^?#]*)(?:\?(?P<query>[^#]*))?",
    re.DOTALL,
)
_VOLATILE = re.compile(
    r"eyJ[\w-]+\.[\w-]+\.[\w-]*"  # a JSON web token
    r"|(?<![0-9A-Za-z])[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}(?![0-9A-Za-z])"  # a UUID
    r"|(?<![\w-])(?=[\w-]*\d)(?=[\w-]*[a-z])(?=[\w-]*[A-Z])[\w-]{24,}={0,2}"  # base64
    r"|(?<![0-9A-Za-z])(?:"
    r"(?=[A-Fa-f]*\d)(?=\d*[A-Fa-f])[0-9A-Fa-f]{7,}"  # a hash, or a part of one
    r"|[0-9A-Fa-f]{16,}"
    r"|(?=[A-Za-z]*\d)[0-9A-Za-z]{20,}"  # a random text, such as Nuclei's own
    r"|(?=[0-9A-Za-z]*\d)(?=[0-9A-Za-z]*[a-z])(?=[0-9A-Za-z]*[A-Z])[0-9A-Za-z]{14,}"
    r"|\d{4}[-_.]\d{2}[-_.]\d{2}"  # a date
    r"|\d{4,}"
    r")(?![0-9A-Za-z])"
    r"|\d{6,}"
)
_NUMBER = re.compile(r"[+-]?\d+(?=$|\.[A-Za-z]\w{0,9}$)")
"""A whole segment that is a number, maybe with a file's extension."""
_PATH_PARAMETER = re.compile(r";[^/;=]+=[^/;]*")
"""Such as ``;jsessionid=…``."""
_DROPPED = re.compile(
    r"_|(?:\w*sess(?:ion)?[-_]?id\w*|\w*session|sid|cfid|cftoken|aspsessionid\w*|osid|zenid)"
    r"|(?:cache[-_]?bust(?:er|ing)?|no[-_]?cache|cachekiller|rnd|rand|random|nonce|ts|timestamp|_t|_ts|_dc)"
    r"|(?:_?_?csrf\w*|_?xsrf\w*|authenticity_token|__\w*(?:viewstate|requestverificationtoken|eventvalidation)\w*)"
    r"|(?:utm_\w+|gclid|fbclid|msclkid)",
    re.IGNORECASE,
)
"""Names of parameters for sessions and against caches. They are left out, since not each request has them."""
_BLANKED = frozenset({"t", "r", "v", "cb", "cache", "ver", "version", "build", "hash", "token", "time", "date"})
"""Parameters whose values change by themselves, but which may be what a template tests: their names count."""


class Subject(NamedTuple):
    """What a finding is about; equal for all records of one finding."""

    template: str
    """The id that stands for the template under all of its names."""
    matcher: str
    host: str
    """Lower case, without brackets."""
    port: str
    """Decimal; empty where the protocol has none."""
    path: str
    """Path and query, with a star for what changes by itself."""

    @property
    def identity(self) -> str:
        """`LENGTH` characters of hex."""
        return hashlib.sha256("\0".join(self).encode(errors="surrogatepass")).hexdigest()[:LENGTH]


class Information(msgspec.Struct):
    """The members of a record's ``info`` that count here; of any type."""

    name: Any = None
    severity: Any = None
    metadata: Any = None


class Event(msgspec.Struct, rename="kebab"):
    """The members of a finding's record that say what it is about; of any type, since the record comes from outside."""

    template_id: Any = None
    info: Information | str | int | float | bool | list[Any] | None = None
    type: Any = None
    matcher_name: Any = None
    extractor_name: Any = None
    host: Any = None
    port: Any = None
    url: Any = None
    matched_at: Any = None
    extracted_results: Any = None
    meta: Any = None
    matcher_status: Any = True

    @property
    def matcher(self) -> str:
        """Which matcher or extractor of the template it was."""
        return text(self.matcher_name) or text(self.extractor_name)

    @property
    def where(self) -> str:
        """The URL, host:port or host where it was found."""
        return text(self.matched_at) or text(self.url) or text(self.host)

    @property
    def subject(self) -> Subject:
        """What the finding is about."""
        metadata = self.info.metadata if isinstance(self.info, Information) else None
        host, stated, path = address(self.where)
        return Subject(
            aliases.canonical(text(self.template_id), metadata.get("aliases") if isinstance(metadata, dict) else None),
            self.matcher,
            host,
            "" if self.type == "dns" else stated or text(self.port),
            path,
        )


read = wire.decoder(Event).decode
"""Reads a record; raises one of `scanplan.api.wire.UNREADABLE`."""


def identity(record: bytes) -> str:
    """The identity of a finding's record: a line as Nuclei writes it, with or without newline.

    Never fails: a line that is no JSON object is identified by all its bytes.
    """
    try:
        return read(record).subject.identity
    except UNREADABLE:
        return hashlib.sha256(record.rstrip(b"\n")).hexdigest()[:LENGTH]


class Address(NamedTuple):
    """The parts of an address that identify a place; see `Subject`."""

    host: str
    port: str
    """Empty where the address names none, and its scheme has none."""
    path: str


def address(written: str) -> Address:
    """The parts of a URL, ``host:port`` or host. Any other text is split by the same rules."""
    return _address(written[:_MOST_CHARACTERS])


@functools.lru_cache(4_096)
def _address(written: str) -> Address:
    match = _ADDRESS.match(written)
    if match is None:
        return Address(written, "", "")
    scheme, host, port, path, query = match.groups()
    host = host.strip("[]").rstrip(".").lower()
    if not host.isascii():
        with contextlib.suppress(UnicodeError):
            host = host.encode("idna").decode()
    return Address(host, port or PORTS.get((scheme or "").lower(), ""), _stable(path, query))


@functools.lru_cache(8_192)
def _stable(path: str, query: str | None) -> str:
    """Path and query without what changes by itself."""
    segments = [_segment(part) for part in _PATH_PARAMETER.sub("", unquote(path)).split("/") if part]
    kept = "/".join(["", *segments])
    parameters = sorted(filter(None, map(_parameter, query.split("&")))) if query else ()
    return f"{kept}?{'&'.join(parameters)}" if parameters else kept


def _segment(part: str) -> str:
    return _VOLATILE.sub(_STAR, _NUMBER.sub(_STAR, part, count=1) if _NUMBER.match(part) else part)


def _parameter(part: str) -> str:
    """A parameter, with a star for a value that changes by itself; empty for a parameter that is left out."""
    name, equals, value = part.partition("=")
    name = unquote(name.replace("+", " "))
    if not name or _DROPPED.fullmatch(name):
        return ""
    if name.lower() in _BLANKED:
        return f"{name}={_STAR}"
    return f"{name}{equals}{_segment(unquote(value.replace('+', ' ')))}"


def text(value: object) -> str:
    """A member of any type as text."""
    return value if isinstance(value, str) else "" if value is None else str(value)
