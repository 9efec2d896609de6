"""Request headers from a mounted Secret: to Nuclei by file, and out of everything that is kept.

Each key of the Secret is a header. They reach Nuclei in a file of the workspace, never in argv or environment.
Scanned applications echo what they are sent, and Nuclei records requests, so every line that goes to the claim has the values
blotted out first: as they are, and as JSON writes them; of a value with several words (``Bearer …``) each long one, too.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec

from scanplan.api.errors import NucleiBinaryError
from scanplan.api.v1alpha1.conditions import Reason

BLOT = b"[redacted]"
MIN_SECRET_LENGTH = 6
"""Shorter words are no secrets, and blotting them out would garble findings."""
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_GO_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}
"""Go's JSON encoder writes these three as escapes (encoding/json, SetEscapeHTML)."""


class Headers(msgspec.Struct, frozen=True):
    """The headers of a scan."""

    lines: tuple[str, ...] = ()
    """``Name: value``, as Nuclei's -H takes them from a file."""
    pattern: re.Pattern[bytes] | None = None

    def redact(self, content: bytes) -> bytes:
        """`content` without the secret values."""
        return self.pattern.sub(BLOT, content) if self.pattern else content


def read(folder: str) -> Headers:
    """The headers in a mounted Secret; none where `folder` is empty.

    Raises:
        NucleiBinaryError: (InvalidOptions) a key is no header name, or a value has line breaks.
        OSError: the folder can't be read.
    """
    if not folder:
        return Headers()
    values: dict[str, str] = {}
    for file in sorted(Path(folder).iterdir()):
        if file.name.startswith(".."):
            continue  # the kubelet's own
        value = file.read_text(errors="surrogateescape").strip()
        if not _NAME.fullmatch(file.name) or any(ord(character) < 32 for character in value):
            raise NucleiBinaryError(
                Reason.INVALID_OPTIONS,
                f"{file.name!r} in the Secret of headersFrom is not a header: keys are header names, values one line of text.",
            )
        values[file.name] = value
    forms = {form for value in values.values() for word in _secrets(value) for form in _forms(word)}
    longest_first = sorted(forms, key=lambda form: (-len(form), form))
    pattern = re.compile(b"|".join(map(re.escape, longest_first))) if forms else None
    return Headers(tuple(f"{name}: {value}" for name, value in values.items()), pattern)


def _secrets(value: str) -> set[str]:
    return {word for word in (value, *value.split()) if len(word) >= MIN_SECRET_LENGTH}


def _forms(word: str) -> set[bytes]:
    escaped = json.dumps(word, ensure_ascii=False)[1:-1]
    by_go = "".join(_GO_ESCAPES.get(character, character) for character in escaped)
    ascii_only = json.dumps(word)[1:-1]
    return {form.encode(errors="surrogateescape") for form in (word, escaped, by_go, ascii_only)}
