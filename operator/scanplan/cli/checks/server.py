"""Checks of the API server: its version, and the definitions of our kinds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from scanplan.api import labels
from scanplan.cli import operator_settings
from scanplan.cli.checks.check import SETTINGS_UNREAD, Check, Verdict, tried
from scanplan.cli.output.failure import Forbidden
from scanplan.core.planning import server_version
from scanplan.kube import resources
from scanplan.kube.resources import DEFINITIONS

if TYPE_CHECKING:
    from scanplan.client.cluster.cluster import Cluster
    from scanplan.kube.objects import Object

API_SERVER, DEFINITION = "API server", "CRD"
SWITCHES = {
    labels.PLURAL: "",
    labels.SCHEDULE_PLURAL: "SCANPLAN_SCHEDULES",
    labels.EXCEPTION_PLURAL: "",
    labels.NOTIFIER_PLURAL: "SCANPLAN_NOTIFIERS",
}
"""The operator's setting that says whether it acts on a kind, and so needs its definition; empty: it always does."""


def api_server(cluster: Cluster) -> Check:
    """Whether the API server answers and is new enough, and which fields it lacks."""
    version = cluster.get("/version")
    numbers = server_version.parsed(version)
    seen = f"Kubernetes {version.get('gitVersion', '?')} at {cluster.address}"
    if numbers is None or numbers < server_version.OLDEST:
        oldest = server_version.spelled(server_version.OLDEST)
        return Check(
            API_SERVER, Verdict.FAILED, seen, f"Kubernetes {oldest} or newer: retries of single shards need it"
        )
    lacking = [f"{each.field} (from {server_version.spelled(each.since)})" for each in server_version.missing(numbers)]
    return Check(API_SERVER, Verdict.WELL, f"{seen}; without {', '.join(lacking)}" if lacking else seen)


def definitions(cluster: Cluster, environment: Mapping[str, str]) -> Iterator[Check]:
    """The CRDs of the kinds that the operator acts on. `environment` is its own; empty: it can't be read."""
    for plural, switch in SWITCHES.items():
        if not operator_settings.is_on(environment, switch):
            continue
        check = tried(DEFINITION, partial(_definition, cluster, plural))
        if switch and not environment and check.verdict is Verdict.FAILED:
            check = replace(check, verdict=Verdict.UNKNOWN, seen=f"{check.seen}; {SETTINGS_UNREAD}")
        yield check


def _definition(cluster: Cluster, plural: str) -> Check:
    """Whether a kind's CRD is installed, and has all fields that this version knows."""
    advice = f"scanplan crd {plural} | kubectl apply --server-side -f -"
    name = f"{plural}.{labels.GROUP}"
    try:
        found = cluster.find(cluster.path(DEFINITIONS, name, namespace=None))
    except Forbidden:
        served = cluster.find(resources.group(labels.API_VERSION))
        if served is None or plural not in [each["name"] for each in served["resources"]]:
            return Check(DEFINITION, Verdict.FAILED, f"{name} is not served", advice)
        return Check(DEFINITION, Verdict.WELL, f"{name} is served")
    if found is None:
        return Check(DEFINITION, Verdict.FAILED, f"{name} is not installed", advice)
    conditions = {each["type"]: each["status"] for each in (found.get("status") or {}).get("conditions") or ()}
    if conditions.get("Established") != "True":
        return Check(DEFINITION, Verdict.FAILED, f"{name} is not established", f"kubectl describe crd {name}")
    from scanplan.api.schema import crd  # noqa: PLC0415 - loads all models

    missing = _fields(crd.custom_resource_definition(crd.DEFINITIONS[plural])) - _fields(found)
    if missing:
        return Check(
            DEFINITION,
            Verdict.WARNING,
            f"{name} is older than this program: it lacks {', '.join(sorted(missing)[:5])}",
            advice,
        )
    return Check(DEFINITION, Verdict.WELL, name)


def _fields(definition: Object) -> set[str]:
    """Paths of all fields of the served version's schema."""
    found: set[str] = set()

    def walk(schema: Any, path: str) -> None:
        for name, below in (schema.get("properties") or {}).items():
            found.add(f"{path}.{name}".strip("."))
            walk(below, f"{path}.{name}")
        if isinstance(schema.get("items"), dict):
            walk(schema["items"], f"{path}[]")

    for version in definition["spec"]["versions"]:
        if version["name"] == labels.VERSION:
            walk(version["schema"]["openAPIV3Schema"], "")
    return found
