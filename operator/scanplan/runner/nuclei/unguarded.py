"""Templates of protocols that Nuclei can't keep from denied addresses.

`whois` asks servers by a client of its own, which follows redirects wherever they lead (as of 3.11.1). Templates that use such a
protocol are left out, unless the operator's owner has switched it on. Everything else dials through Nuclei's exclusion;
`dns` asks the pod's own name servers, whatever resolvers a template names.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from scanplan.api.errors import NucleiBinaryError
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.core.planning.protocols import UNGUARDED
from scanplan.runner.nuclei.templates import Selection

_SHOWN = 5
_WHY = "its protocol can't be kept from denied addresses"


def without(selection: Selection, allowed: Sequence[str]) -> tuple[Selection, str]:
    """The selection without templates of unguarded protocols.

    Args:
        allowed: unguarded protocols that the operator's owner has switched on.

    Returns:
        The selection, and a warning that names what was left out; empty: nothing was.

    Raises:
        NucleiBinaryError: (InvalidOptions) a plan names such a template by itself, or nothing else is left.
        OSError: a template can't be read.
    """
    patterns = [_pattern(protocol) for protocol in UNGUARDED if protocol not in allowed]
    found = [path for path in selection.files if _uses(path.read_bytes(), patterns)]
    if not found:
        return selection, ""
    named = [path for path in found if path in selection.named]
    names = ", ".join(path.name for path in (named or found)[:_SHOWN])
    why = (
        f"use a protocol that can't be kept from denied addresses ({', '.join(UNGUARDED)}): {names}. "
        "The operator's owner can allow it by SCANPLAN_UNGUARDED_PROTOCOLS"
    )
    if named or len(found) == len(selection.files):
        raise NucleiBinaryError(Reason.INVALID_OPTIONS, f"{len(named or found)} templates {why}.")
    left = msgspec.structs.replace(
        selection,
        templates=tuple(template for template in selection.templates if template.path not in set(found)),
        left_out=tuple((template, _WHY) for template in selection.templates if template.path in set(found)),
    )
    return left, f"{len(found)} templates were left out, since they {why}."


def _pattern(protocol: str) -> re.Pattern[bytes]:
    """The protocol as a key, in any notation of YAML or JSON; a text that looks like it counts too."""
    return re.compile(rf"(?<![\w-])[\"']?{protocol}[\"']?[ \t]*:|\?[ \t]+[\"']?{protocol}\b".encode())


def _uses(content: bytes, patterns: Sequence[re.Pattern[bytes]]) -> bool:
    return any(pattern.search(content) for pattern in patterns)
