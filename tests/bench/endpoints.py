"""The longest plan that there may be: 100,000 endpoints, from ConfigMaps, in one scan.

Another plan asks for one endpoint a second later, since an operator that is busy with the long one must not forget the others.
"""

from __future__ import annotations

import time

from scanplan.api.v1alpha1.scanplan import MAX_ENDPOINTS
from tests.bench import log
from tests.bench.figure import Figure, at_most
from tests.bench.stage import NAMESPACE, Stage, control_plane, peak_mib, resident_mib
from tests.console import step
from tests.integration.apiserver import PLANS
from tests.integration.scene import hosts, scanplan

PARTS = 4
"""ConfigMaps that the endpoints come from; one holds at most 1 MiB."""
LONG, SHORT = "long", "short"
LATER_SECONDS = 1.0
"""By then the operator has read the ConfigMaps, and is in the middle of their endpoints."""


def measure() -> list[Figure]:
    """A plan says that it runs when its Job, its document and its first pods are there."""
    with control_plane() as stage:
        plan = scanplan(LONG, endpoints=[], endpointsFrom=[source(stage, number) for number in range(PARTS)])
        with step(f"A plan of {MAX_ENDPOINTS:,} endpoints"):
            stage.api.create(PLANS.format(NAMESPACE), plan)
            time.sleep(LATER_SECONDS)
            stage.api.create(PLANS.format(NAMESPACE), scanplan(SHORT))
            for name in (LONG, SHORT):
                stage.scene.phase("Running", name)
        job = stage.scene.job_of(LONG)
        pid = stage.operator.pid
        return [
            Figure(
                f"endpoints: until it runs, {MAX_ENDPOINTS:,} endpoints", until_running(stage, LONG), "s", at_most(10)
            ),
            Figure("endpoints: until a plan of one runs, made a second later", until_running(stage, SHORT), "s"),
            Figure("endpoints: shards", job["spec"]["completions"], "shards"),
            Figure("endpoints: operator's memory, peak", peak_mib(pid), "MiB", at_most(160)),
            Figure("endpoints: operator's memory, afterwards", resident_mib(pid), "MiB", at_most(110)),
        ]


def source(stage: Stage, number: int) -> dict[str, dict[str, str]]:
    """Make a ConfigMap of endpoints, each on a host of its own; returns its entry in `endpointsFrom`."""
    name, key = f"endpoints-{number}", "endpoints.txt"
    lines = "\n".join(hosts(MAX_ENDPOINTS // PARTS, f"h{number}-"))
    stage.api.create(
        f"/api/v1/namespaces/{NAMESPACE}/configmaps",
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {key: lines}},
    )
    return {"configMapKeyRef": {"name": name, "key": key}}


def until_running(stage: Stage, name: str) -> float:
    """Seconds from the answer to a plan's creation to the answer to its first status."""
    writes = [write for write in log.writes(stage.audit_log, NAMESPACE) if write.name == name]
    created = next(write.at for write in writes if (write.verb, write.resource) == ("create", "scanplans"))
    return next(write.at for write in writes if write.resource == "scanplans/status") - created
