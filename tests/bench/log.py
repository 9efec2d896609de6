"""When the API server answered whom: the audit log's own times, which no client's delay is part of."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from tests.integration.audit import OPERATOR


class Answer(NamedTuple):
    """A request to write."""

    user: str
    verb: str
    resource: str
    name: str
    at: float
    """When it was answered, in seconds since the epoch."""
    code: int
    """The HTTP status."""

    @property
    def by_operator(self) -> bool:
        return self.user == OPERATOR


def writes(log: Path, namespace: str) -> Iterator[Answer]:
    """The successful writes to objects of a namespace, by everyone, oldest first."""
    return (answer for answer in tried(log, namespace) if answer.code < 300)


def tried(log: Path, namespace: str) -> Iterator[Answer]:
    """All requests to write to objects of a namespace, refused ones too, by everyone, oldest first."""
    with log.open("rb") as lines:
        for line in lines:
            if namespace.encode() not in line or not line.endswith(b"\n"):
                continue
            event = json.loads(line)
            reference = event.get("objectRef", {})
            if reference.get("namespace") != namespace or event["verb"] in {"get", "list", "watch"}:
                continue
            if event["stage"] != "ResponseComplete":
                continue
            yield Answer(
                user=event["user"]["username"],
                verb=event["verb"],
                resource="/".join(filter(None, (reference["resource"], reference.get("subresource")))),
                name=reference.get("name", ""),
                at=datetime.fromisoformat(event["stageTimestamp"]).timestamp(),
                code=event["responseStatus"]["code"],
            )
