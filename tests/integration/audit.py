"""What the operator asked of the API server, by the server's own audit log."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

OPERATOR = "system:serviceaccount:scanplan-system:scanplan-operator"
POD = "authentication.kubernetes.io/pod-name"
"""What the API server knows of the holder of a token."""


class Request(NamedTuple):
    """One request: what an RBAC rule would have to name, and how it went."""

    verb: str
    group: str
    resource: str
    namespace: str
    name: str
    code: int
    uri: str
    pod: str
    """In which its token was mounted; empty: in none."""

    @property
    def is_write(self) -> bool:
        return self.verb not in {"get", "list", "watch"}

    @property
    def right(self) -> tuple[str, str, str]:
        """(group, resource, verb), as a role grants it."""
        return self.group, self.resource, self.verb


def requests(log: Path, namespace: str | None = None, user: str = OPERATOR, start: int = 0) -> Iterator[Request]:
    """The user's requests for resources, oldest first, in one namespace or all.

    Args:
        start: the size that the log had when nothing of interest had been asked yet.
    """
    for event in _events(log, namespace, user, start):
        if event["stage"] in {"ResponseComplete", "ResponseStarted"}:
            reference = event["objectRef"]
            yield Request(
                verb=event["verb"],
                group=reference.get("apiGroup", ""),
                resource="/".join(filter(None, (reference["resource"], reference.get("subresource")))),
                namespace=reference.get("namespace", ""),
                name=reference.get("name", ""),
                code=event.get("responseStatus", {}).get("code", 0),
                uri=event["requestURI"],
                pod=next(iter(event["user"].get("extra", {}).get(POD, [])), ""),
            )


def unanswered(log: Path, namespace: str, start: int = 0) -> set[str]:
    """The operator's writes that the server has received, and not logged as answered yet, by their audit IDs.

    The server logs an answer after it was sent: whoever has seen what a write did may look before that.
    """
    received: set[str] = set()
    others: set[str] = set()
    for event in _events(log, namespace, OPERATOR, start):
        (received if event["stage"] == "RequestReceived" else others).add(event["auditID"])
    return received - others


def _events(log: Path, namespace: str | None, user: str, start: int) -> Iterator[dict[str, Any]]:
    with log.open("rb") as lines:
        if start:  # which may be within a line
            lines.seek(start - 1)
            lines.readline()
        for line in lines:
            if user.encode() not in line or not line.endswith(b"\n"):
                continue
            event = json.loads(line)
            reference = event.get("objectRef")
            if event["user"]["username"] != user or not reference or "resource" not in reference:
                continue
            if namespace in {None, reference.get("namespace")}:
                yield event
