"""Which request headers can be sent whole, decided the same way by the operator and in the scan pod.

Nuclei reads headers from a file of lines, and loses silently what a line can't hold. What it could not send as it is
written is refused here, since a scan without its authentication looks like a scan that found nothing. No message quotes a value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from scanplan.api.errors import InvalidPlan
from scanplan.api.v1alpha1.conditions import Reason

MAX_HEADERS = 32
_VARIABLE_OR_COMMENT = re.compile(r"#|(?:\{|%7b){2}", re.IGNORECASE)
"""What Nuclei's header file would take for a comment or a variable (goflags' StripComments, `{{…}}`)."""
MAX_VALUE_BYTES = 16_384
"""Servers take 8 to 16 KiB of headers; Nuclei drops a file's lines from 64 KiB on (bufio.MaxScanTokenSize)."""
_NAME = re.compile(r"[A-Za-z0-9!$%&'*+.^_`|~-]{1,256}")
"""A token (RFC 9110, 5.6.2), without ``#``, which begins a comment for Nuclei."""
_FRAMING = frozenset({"content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer"})
"""They belong to one message on one connection (RFC 9110, 7.6.1; RFC 9112, 6); the HTTP client writes them."""


def parse(files: Mapping[str, bytes]) -> dict[str, str]:
    """Headers of a Secret, where each key is a name; blanks around a value mean nothing (RFC 9110, 5.5) and are gone.

    Bytes that are no UTF-8 become surrogate escapes.

    Raises:
        InvalidPlan: one that can't be sent as it is written; the message names it, and not its value.
    """
    values = {name: content.decode(errors="surrogateescape").strip(" \t\r\n") for name, content in files.items()}
    check(values)
    return values


def check(values: Mapping[str, str]) -> None:
    """Raise InvalidPlan for the first header that can't be sent as it is written."""
    if len(values) > MAX_HEADERS:
        raise InvalidPlan(Reason.INVALID_SPEC, f"there are {len(values)} request headers; {MAX_HEADERS} are the most")
    seen: dict[str, str] = {}
    for name, value in values.items():
        problem = _problem(name, value)
        if not problem and (other := seen.setdefault(name.lower(), name)) != name:
            problem = f"is the same header as {other!r}: keep one of them"
        if problem:
            raise InvalidPlan(Reason.INVALID_SPEC, f"request header {name!r} {problem}")


def by_line(value: str) -> bool:
    """Whether a line of Nuclei's header file can hold the value; else it takes the secrets file, which is JSON."""
    return not _VARIABLE_OR_COMMENT.search(value)


def check_together(public: Mapping[str, str], secret: Mapping[str, str]) -> None:
    """Raise InvalidPlan for the first of all headers of a plan that can't be sent as it is written."""
    check(public)
    check(secret)
    if doubles := {name.lower() for name in public} & {name.lower() for name in secret}:
        raise InvalidPlan(
            Reason.INVALID_SPEC,
            f"request header {min(doubles)!r} is in headers and in the Secret of headersFrom: keep one",
        )


def _problem(name: str, value: str) -> str:
    if not _NAME.fullmatch(name):
        return "has no name that HTTP allows: use letters, digits and dashes"
    if name.lower() in _FRAMING:
        return "is written by the HTTP client itself: leave it out"
    if not value:
        return "is empty: give it a value, or leave it out"
    if any(ord(character) < 32 or ord(character) == 127 for character in value):
        return "has a line break or another control character in its value: a value is one line of text"
    if len(value.encode(errors="surrogateescape")) > MAX_VALUE_BYTES:
        return f"has a value of more than {MAX_VALUE_BYTES:,} bytes, which servers don't take"
    if not by_line(value) and any("\udc80" <= character <= "\udcff" for character in value):
        return "has '#' or '{{' in a value that is not UTF-8, which Nuclei can't be given"
    return ""
