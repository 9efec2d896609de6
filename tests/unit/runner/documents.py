"""Documents that the runner's tests are about."""

from __future__ import annotations

from typing import Any

import msgspec

from scanplan.api.documents.task import TaskDocument
from scanplan.api.documents.words import PlanReference

DOCUMENT = TaskDocument(
    key="scan:acme:nightly:0a:0b:0c",
    project_id="acme",
    run_id="nightly",
    plan=PlanReference(namespace="default", name="nightly"),
    endpoints=("http://a.example", "http://b.example"),
    templates=("http/",),
)


def document(**changes: Any) -> TaskDocument:
    """The usual document, changed."""
    return msgspec.structs.replace(DOCUMENT, **changes)


def finding(template: Any = "t", at: Any = "http://a.example/x", severity: Any = "high", **more: Any) -> bytes:
    """A finding's line, without its newline, as Nuclei writes it."""
    event = {
        "template-id": template,
        "info": {"name": template, "author": ["x"], "severity": severity},
        "type": "http",
        "host": "a.example",
        "matched-at": at,
        "timestamp": "2026-11-24T06:37:43.002893715Z",
        "matcher-status": True,
    }
    return msgspec.json.encode(event | more)
