"""Protocols of templates that the scanner can't keep from denied addresses."""

from __future__ import annotations

UNGUARDED = ("whois",)
"""Those whose client dials by itself: off, unless the operator's owner switches them on."""
