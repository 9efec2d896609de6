"""Protocols of templates that the scanner can't keep from denied addresses."""

from __future__ import annotations

UNGUARDED = ("whois",)
"""Those whose client dials by itself: off, unless the operator's owner switches them on."""
HEADLESS = "headless"
"""A browser asks denied addresses too, which Nuclei 3.11.1 refuses only afterwards. It also takes a plan's own word."""
BY_LEAVE = (*UNGUARDED, HEADLESS)
"""What the owner may switch on."""
