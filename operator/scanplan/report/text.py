"""Removes dangerous characters from texts of scanned hosts.

A response can hold terminal escapes, right-to-left overrides, formulas or a `javascript:` address. They are removed only here. Each
format does its own escaping besides.
"""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit, urlunsplit

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_HIDDEN = re.compile(
    "[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\xad\\u0600-\\u0605\\u061c\\u06dd\\u070f\\u0890\\u0891\\u08e2\\u180e\\u200b-\\u200f"
    "\\u2028-\\u202e\\u2060-\\u206f\\ud800-\\uf8ff\\ufeff\\ufff9-\\ufffb\\U000110bd\\U000110cd\\U00013430-\\U0001345f"
    "\\U0001bca0-\\U0001bca3\\U0001d173-\\U0001d17a\\U000e0001-\\U000e007f\\U000f0000-\\U0010fffd]"
)
"""Unicode's controls, formats, surrogates and private characters, and separators of lines and paragraphs; not newline and tab."""
_URL_SAFE = "%/?:@!$&'()*+,;=-._~"
"""What may stand in a path, a query or a fragment (RFC 3986)."""
_BARE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
MAX_URL = 2_048


def line(value: object, limit: int = 1_000) -> str:
    """`value` as one line of at most `limit` characters. White space becomes one blank; invisible characters are replaced."""
    return _HIDDEN.sub(_REPLACEMENT, " ".join(cut(str(value), limit).split()))


def block(value: object, limit: int) -> str:
    """Like `line`, but line breaks and tabs stay."""
    return _HIDDEN.sub(_REPLACEMENT, cut(str(value), limit).replace("\r\n", "\n"))


def visible(text: str) -> str:
    """`text` with invisible characters replaced; line breaks and tabs stay."""
    return _HIDDEN.sub(_REPLACEMENT, text)


def cut(text: str, limit: int) -> str:
    """At most `limit` characters; an ellipsis ends a text that was cut off."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def web_address(text: str) -> str:
    """`text` as an http(s) address that may become a link, percent-encoded; empty where it is none, or hides something."""
    text = text.strip()
    try:
        parts = urlsplit(text)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and len(text) <= MAX_URL
        usable = usable and not _HIDDEN.search(text)
    except ValueError:
        return ""
    if not usable:
        return ""
    netloc = quote(parts.netloc, safe=f"{_URL_SAFE}[]")
    rest = (quote(_BARE_PERCENT.sub("%25", part), safe=_URL_SAFE) for part in parts[2:])
    return urlunsplit((parts.scheme, netloc, *rest))
