"""Removes secrets from everything that is kept or quoted.

Scanned hosts echo what they are sent, and Nuclei records requests. So the values of secret headers are blotted out of each
finding before it is written. They are looked for in its decoded texts, in every usual encoding of a value. What identifies the
finding is never changed. What is no finding (a log line, a message) is redacted as one text.

A value is looked for whole, and by the parts that are secrets by themselves. These are what follows an authentication scheme,
the pair and the key of `name:key`, also in base64, and each value of a cookie, of parameters, and of JSON in them. From twelve
letters and digits on, capitals and separators are no matter. Values under six characters are blotted out only beside their
header's name: anywhere else they would garble what was found. In the recorded request and its curl command, a secret header is
blotted out by its name. Nuclei 3.11 has masked some values already, and leaves the ends of others.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from scanplan.api import wire
from scanplan.runner.artifacts import encodings

BLOT = "[redacted]"
MIN_LENGTH = 6
"""Characters of a value that is looked for anywhere."""
KEPT = frozenset(
    {
        "template", "template-id", "template-path", "template-url", "template-encoded", "info", "type", "host", "port",
        "scheme", "ip", "timestamp", "matcher-name", "matcher-status", "extractor-name",
    }
)  # fmt: skip
"""Members of a finding that are never changed: they come from templates and targets, and identify it."""
_PLACES = frozenset({"url", "matched-at"})
"""Members that identify a finding, and may hold an echoed secret: redacted but for the finding's own host."""
_AUTHORITY = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*://)?(?:[^/?#@]*@(?P<at>))?(?P<host>\[[^\]/?#]*\]|[^/?#:]*)[^/?#]*")
_DESCRIPTIVE = re.compile(
    r"user-agent|accept.*|content-type|referer|origin|cache-control|pragma|host|from|via", re.IGNORECASE
)
"""Headers whose words are no secrets by themselves."""
_AUTHENTICATING = re.compile(r"auth|token|key|secret|pass|cookie|session|credential|signature", re.IGNORECASE)
_PARAMETER = re.compile(r"[^\s;,&=]+=(\"[^\"]*\"|[^\s;,&]*)")
_WORD = re.compile(r"[^\s;,]+")
_PLAIN_WORD = re.compile(r"[A-Za-z][a-z]*")
_MOST_CHARACTERS = 40
"""An encoded character takes no more."""
_DIGIT = re.compile(r"[0-9]")
_MIN_LOOSE = 12
"""Letters and digits of a value that is looked for without regard to what separates them. Shorter ones would garble."""
_NAME_SEPARATOR = "[-_]"
_BESIDE = r"(?:</?\w{1,10}>|[^\w]){1,16}"
"""What may stand between a header's name and its value: punctuation and tags."""
_JSON_TEXT = re.compile(r":\s*\"([^\"]+)\"")
_EXCHANGED = frozenset({"request", "response", "curl-command", "extracted-results", "meta"})
"""Members with what was sent, and what came."""
_TEXTS = (b'"', b"[", b"{")
_decode_members = wire.decoder(dict[str, msgspec.Raw]).decode
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.encode


class Redactor:
    """Blots the secret values of some headers out of texts; linear in the text."""

    def __init__(
        self,
        headers: Mapping[str, str],
        credentials: Iterable[tuple[str, str]] = (),
        logins: Container[str] = frozenset(),
    ) -> None:
        """
        Args:
            headers: name and value of each secret header.
            credentials: more of them, where a name may have several values; an empty value: known by its name alone.
            logins: ids of templates that log in. Their findings are written without what was sent and what came.
        """
        pairs = [*headers.items(), *credentials]
        secrets = {secret for name, value in pairs for secret in secrets_of(name, value)}
        forms = secrets | {encodings.plain(secret) for secret in secrets}
        dense = set[str]().union(*map(encodings.dense, forms))
        self.idle = not pairs
        """Whether there is nothing to blot out."""
        self._values = sorted(secrets)
        self._forms = sorted({plain for form in forms | dense if len(plain := encodings.plain(form)) >= MIN_LENGTH})
        loose = map(encodings.squeezed, dense.union(form for form in forms if _DIGIT.search(form)))
        self._loose = sorted({form for form in loose if len(form) >= _MIN_LOOSE})
        self._beside = [
            re.compile(
                rf"{_NAME_SEPARATOR.join(map(re.escape, name.split('-')))}{_BESIDE}({re.escape(value)})(?!\w)",
                re.IGNORECASE,
            )
            for name, value in pairs
            if 0 < len(value) < MIN_LENGTH
        ]
        names = "|".join(map(re.escape, dict.fromkeys(name for name, _ in pairs)))
        self._logins = logins
        self._by_name = {
            "request": re.compile(rf"^((?:{names})[ \t]*:[ \t]*)[^\r\n]*", re.IGNORECASE | re.MULTILINE),
            "curl-command": re.compile(rf"(-H '(?:{names}): ?)(?:[^']|'\\'')*", re.IGNORECASE),
        }
        self.longest = max(map(len, secrets), default=0) * _MOST_CHARACTERS

    def text(self, text: str) -> str:
        """`text` without the secrets."""
        decoded = encodings.Decoded(text)
        clean = _blotted(text, self._spans(text, decoded))
        return _blotted(clean, self._loose_spans(decoded if clean == text else encodings.Decoded(clean)))

    def _spans(self, text: str, decoded: encodings.Decoded) -> Iterator[tuple[int, int]]:
        """Where secrets are; they may overlap."""
        for value in self._values:  # as it is: what stands beside it may look like a part of an encoding
            yield from _occurrences(value, text)
        for form in self._forms:
            for start, end in _occurrences(form, decoded.text):
                yield decoded.origin(start, end)
        for pattern in self._beside:
            for match in pattern.finditer(decoded.text):
                yield decoded.origin(*match.span(1))

    def _loose_spans(self, decoded: encodings.Decoded) -> Iterator[tuple[int, int]]:
        """Where secrets are wrapped, separated or capitalized otherwise: by their letters and digits."""
        squeezed = encodings.Squeezed(decoded.text)
        for form in self._loose:
            for start, end in _occurrences(form, squeezed.text):
                yield decoded.origin(*squeezed.origin(start, end))

    def raw(self, content: bytes) -> bytes:
        """`content`, which is no finding, without the secrets."""
        if self.idle:
            return content
        return self.text(content.decode(errors="surrogateescape")).encode(errors="surrogateescape")

    def finding(self, line: bytes) -> bytes:
        """The line of a finding, without newline: as it was, byte for byte, where it holds no secret."""
        if self.idle:
            return line
        try:
            members = _decode_members(line)
            host = str(_decode(members.get("host", msgspec.Raw(b'""'))))
            if self._logins and _decode(members["template-id"]) in self._logins:
                members = _without_exchange(members)
                line = _encode(members)
            changed = {
                name: msgspec.Raw(_encode(clean))
                for name, content in members.items()
                if name not in KEPT
                and memoryview(content)[:1].tobytes() in _TEXTS
                and (clean := self._member(name, value := _decode(content), host)) != value
            }
            return _encode({**members, **changed}) if changed else line
        except wire.UNREADABLE:
            return self._unusual(line)

    def _unusual(self, line: bytes) -> bytes:
        """A line with half a surrogate pair, or no UTF-8, which the standard library takes; else as one text."""
        try:
            members = json.loads(line.decode(errors="surrogateescape"))
            if self._logins and members["template-id"] in self._logins:
                members = _without_exchange(members)
                line = json.dumps(members, separators=(",", ":")).encode()
            clean = {name: self._member(name, value, str(members.get("host", ""))) for name, value in members.items()}
        except (AttributeError, LookupError, ValueError, RecursionError):
            return self.raw(line)
        return line if clean == members else json.dumps(clean, separators=(",", ":")).encode()

    def _member(self, name: str, value: Any, host: str) -> Any:
        """A member's value without the secrets."""
        if name in KEPT:
            return value
        redacted = self._place(value, host) if name in _PLACES else self._value(value)
        if name in self._by_name and isinstance(redacted, str):
            redacted = self._by_name[name].sub(rf"\g<1>{BLOT}", redacted)
        return redacted

    def _value(self, value: Any) -> Any:
        """A JSON value, with the keys of its objects."""
        match value:
            case str():
                return self.text(value)
            case list():
                return [self._value(item) for item in value]
            case dict():
                return {self.text(key): self._value(item) for key, item in value.items()}
            case _:
                return value

    def _place(self, value: Any, host: str) -> Any:
        """A URL or address: the finding's own host stays, with scheme and port, since it identifies the finding."""
        if not isinstance(value, str):
            return self._value(value)
        match = _AUTHORITY.match(value)
        if match is None or not match["host"] or match["host"].lower() not in host.lower():
            return self.text(value)
        start, end = max(match.start("at"), 0), match.end()
        return self.text(value[:start]) + value[start:end] + self.text(value[end:])


def _without_exchange(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if name not in _EXCHANGED}


class Pieces:
    """Redacts one long text that comes in pieces, where a secret may lie across two of them."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._rest = b""

    def feed(self, piece: bytes) -> bytes:
        """The next piece; what might be the begin of a secret is held back until the next one, or the end."""
        clean = self._redactor.raw(self._rest + piece)
        if piece.endswith(b"\n") or self._redactor.idle:
            self._rest = b""
            return clean
        cut = max(len(clean) - self._redactor.longest, 0)
        self._rest = clean[cut:]
        return clean[:cut]

    def rest(self) -> bytes:
        """What was held back."""
        rest, self._rest = self._rest, b""
        return rest


def secrets_of(name: str, value: str) -> set[str]:
    """The parts of a header that are secrets by themselves, the whole value among them."""
    found = {value}
    credentials = value.partition(" ")[2]
    if credentials and not _DESCRIPTIVE.fullmatch(name):
        found.add(credentials.strip())
    for parameter in _PARAMETER.finditer(value):
        found.add(parameter[1].strip('"'))
        found.update(_JSON_TEXT.findall(encodings.plain(parameter[1])))
    if not _DESCRIPTIVE.fullmatch(name):
        found.update(_pair(credentials.strip() or value))
        words = [word for word in _WORD.findall(credentials or value) if "=" not in word.rstrip("=")]
        found.update(word for word in words if _AUTHENTICATING.search(name) or not _PLAIN_WORD.fullmatch(word))
    return {secret for secret in found if len(secret) >= MIN_LENGTH}


def _blotted(text: str, spans: Iterable[tuple[int, int]]) -> str:
    parts: list[str] = []
    last = 0
    for start, end in sorted(spans):
        if start >= last:
            parts += (text[last:start], BLOT)
        last = max(last, end)
    return "".join((*parts, text[last:]))


def _occurrences(wanted: str, text: str) -> Iterator[tuple[int, int]]:
    at = text.find(wanted)
    while at >= 0:
        yield at, at + len(wanted)
        at = text.find(wanted, at + len(wanted))


def _pair(credentials: str) -> Iterator[str]:
    """What follows the name in `name:key`, and the same in base64, where the pair is a secret too."""
    yield credentials.partition(":")[2]
    padded = credentials.rstrip("=") + "=" * (-len(credentials.rstrip("=")) % 4)
    try:
        pair = base64.b64decode(padded, altchars=b"-_" if set(padded) & set("-_") else None, validate=True)
    except (binascii.Error, ValueError):
        return
    text = pair.decode(errors="surrogateescape")
    if ":" in text:
        yield from (text, text.partition(":")[2])
