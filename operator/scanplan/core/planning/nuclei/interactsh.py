"""The out-of-band server of a scan (https://github.com/projectdiscovery/interactsh).

It learns the names and addresses of targets that templates have reached through their holes. So the owner says which servers there
are, and plans have none unless they name one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from scanplan.api.errors import InvalidPlan
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.core.planning.targets import endpoints
from scanplan.core.planning.targets.guard import Guard

TOKEN = "token"  # noqa: S105 - a key of a Secret
_TOKEN = re.compile(r"[\x21-\x7e]{1,1024}")


def place(server: str) -> str:
    """Where it listens, as an endpoint in canonical form. Raises InvalidEndpoint."""
    url = server if "://" in server else f"https://{server}"
    return endpoints.canonical(url, f"scanner.interactsh.server {server}")


def check(server: str, guard: Guard, *, allowed: bool) -> None:
    """Refuse a server that the owner doesn't allow.

    Args:
        allowed: whether it is on the owner's list.

    Raises:
        InvalidPlan: it is not. InvalidEndpoint: it can't be read. TargetDenied: it is at a denied address.
    """
    if not allowed:
        raise InvalidPlan(
            Reason.INVALID_SPEC,
            f"scanner.interactsh.server {server!r} is not on the operator's allow-list (SCANPLAN_ALLOWED_INTERACTSH_SERVERS)",
        )
    guard.check((place(server),), lambda _: f"scanner.interactsh.server {server}")


def token(files: Mapping[str, bytes]) -> str:
    """The token of a Secret; a line break at its end is not a part of it. Raises InvalidPlan, which quotes nothing."""
    found = files.get(TOKEN, b"").decode(errors="replace").rstrip("\r\n")
    if not _TOKEN.fullmatch(found):
        raise InvalidPlan(
            Reason.INVALID_SPEC,
            f"the Secret of interactsh.tokenFrom has no key {TOKEN!r} with one word of printable characters",
        )
    return found
