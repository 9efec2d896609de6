"""Checks of what the user may do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from scanplan.api import labels
from scanplan.cli.checks.check import Check, Verdict, tried

if TYPE_CHECKING:
    from scanplan.client.cluster.cluster import Cluster

Right = tuple[str, str, str, str]
"""A verb, API group, resource and subresource."""

RIGHTS: tuple[tuple[str, tuple[Right, ...]], ...] = (
    (
        "watch plans",
        (
            ("get", labels.GROUP, "scanplans", ""),
            ("list", labels.GROUP, "scanplans", ""),
            ("watch", labels.GROUP, "scanplans", ""),
        ),
    ),
    (
        "submit, rerun and cancel plans",
        (("create", labels.GROUP, "scanplans", ""), ("patch", labels.GROUP, "scanplans", "")),
    ),
    ("see progress and logs", (("list", "", "pods", ""), ("get", "", "pods", "log"))),
    (
        "read results and artifacts",
        (
            ("create", "", "pods", ""),
            ("get", "", "pods", ""),
            ("delete", "", "pods", ""),
            ("get", "", "pods", "exec"),
            ("create", "", "pods", "exec"),
        ),
    ),
    ("explain plans", (("list", "batch", "jobs", ""), ("list", "", "events", ""), ("list", "", "resourcequotas", ""))),
)
"""Rights that belong together, by what they are for."""


def of_user(cluster: Cluster) -> Iterator[Check]:
    """What the user may do in the current namespace."""
    for what, rights in RIGHTS:
        yield tried(what, partial(_check, cluster, what, rights))


def _check(cluster: Cluster, what: str, rights: Sequence[Right]) -> Check:
    missing = [_spelled(right) for right in rights if not cluster.allowed(*right)]
    seen = f"you may not: {', '.join(missing)}" if missing else "you may"
    return Check(what, Verdict.WARNING if missing else Verdict.WELL, f"{seen} (namespace {cluster.namespace})")


def _spelled(right: Right) -> str:
    verb, _, resource, subresource = right
    return f"{verb} {resource}{'/' if subresource else ''}{subresource}"
