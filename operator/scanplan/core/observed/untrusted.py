"""Texts that anybody may have written: in labels, annotations, references and termination messages.

Each is bounded, and read without an error: nobody's text can make a view fail.
"""

from __future__ import annotations

MAX_TEXT = 1_024
"""Characters that are kept of a text in a label, an annotation or a reference; what we write ourselves is shorter."""
MAX_REPORT = 16_384
"""Characters of a termination message; the kubelet takes 4,096 bytes of each container."""
MAX_MESSAGE = 4_096
"""Characters that are kept of a message."""


def short(text: str | None) -> str | None:
    """A text that anybody may have written; None where it is longer than any of ours."""
    return text if text is not None and len(text) <= MAX_TEXT else None


def number(text: str | None) -> int | None:
    """A count in an annotation, which anybody may have written."""
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) < 10 else None
