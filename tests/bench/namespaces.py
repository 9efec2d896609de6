"""A hundred thousand settled plans in a thousand namespaces: how soon an operator serves there, and what it holds and writes.

One plan lives for real. All others are clones of it, written into etcd while no operator runs (see `etcd`). One more plan waits
without a status when the operator starts: it serves when that plan has its Job. See `settled` for the same with fewer plans.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor

from urllib3.exceptions import HTTPError

from tests.bench import settled
from tests.bench.etcd import BATCH, Etcd
from tests.bench.figure import Figure, at_most
from tests.bench.stage import CONNECTIONS, NAMESPACE, Stage, control_plane, cpu_seconds, peak_mib, resident_mib
from tests.console import step
from tests.deploy import ROOT
from tests.integration.apiserver import PLANS, Refused
from tests.integration.operator_process import OperatorProcess
from tests.integration.scene import scanplan
from tests.kubectl import eventually

SETTLED = int(os.environ.get("SETTLED_PLANS", "100000"))
NAMESPACES = 1_000
SIDE = "side"
"""Label of a namespace: which of two operators works on it, 0 or 1."""
DAYS = 30
"""Over which the plans have ended. What ended lately takes more memory, since notifiers may tell of it."""
SECONDS_AT_REST = 120
PATIENCE_SECONDS = 1_800
"""For the end of a start; it only ends a hopeless one."""


def measure() -> list[Figure]:
    with control_plane(SCANPLAN_NAMESPACES="") as stage:
        populate(stage)
        began, before = time.monotonic(), len(settled.writes(stage))
        seconds, cpu = serve(stage, stage.operator, "waiting")
        eventually(lambda: settled.is_quiet(stage.operator), within=PATIENCE_SECONDS)
        quiet, all_cpu = time.monotonic() - began, cpu_seconds(stage.operator.pid)
        memory, peak = resident_mib(stage.operator.pid), peak_mib(stage.operator.pid)
        with step(f"At rest for {SECONDS_AT_REST} s"):
            time.sleep(SECONDS_AT_REST)
        others = [name for name in settled.writes(stage)[before:] if name != "waiting" and not name.startswith("scan-")]
        of = f"{SETTLED:,} plans in {NAMESPACES:,} namespaces"
        return [
            Figure(f"namespaces: until serving, {of}", seconds, "s", at_most(60)),
            Figure(f"namespaces: CPU until serving, {of}", cpu, "s"),
            Figure(f"namespaces: until at rest, {of}", quiet, "s"),
            Figure(f"namespaces: CPU until at rest, {of}", all_cpu, "s"),
            Figure(f"namespaces: memory, {of}", memory, "MiB", at_most(350)),
            Figure(f"namespaces: peak memory, {of}", peak, "MiB"),
            Figure(f"namespaces: writes in {SECONDS_AT_REST} s, {of}", len(others), "requests", at_most(0)),
            *half(stage, seconds, cpu, memory),
        ]


def half(stage: Stage, seconds: float, cpu: float, memory: float) -> list[Figure]:
    """An operator that shares the namespaces with another one, against the one that had them all."""
    stage.operator.stop()
    stage.scene.kubectl("apply", "--server-side", "-f", str(ROOT / "examples/install/namespace-selector.yaml"))
    twin = stage.operator.twin(SCANPLAN_NAMESPACE_SELECTOR=f"{SIDE}=0")
    try:
        own_seconds, own_cpu = serve(stage, twin, "half")
        eventually(lambda: settled.is_quiet(twin), within=PATIENCE_SECONDS)
        return [
            Figure(
                "namespaces: half of them by a selector, until serving", own_seconds / seconds, "of all", at_most(0.5)
            ),
            Figure("namespaces: half of them by a selector, CPU until serving", own_cpu / cpu, "of all"),
            Figure(
                "namespaces: half of them by a selector, memory",
                resident_mib(twin.pid) / memory,
                "of all",
                at_most(0.5),
            ),
        ]
    finally:
        twin.kill()


def populate(stage: Stage) -> None:
    """Make the namespaces and their plans; no operator runs then."""
    settled.original(stage)
    names = [f"tenant-{number}" for number in range(NAMESPACES)]
    etcd = Etcd(stage)
    original = etcd.plan(NAMESPACE, "original")
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        with step(f"Making {NAMESPACES:,} namespaces"):
            list(pool.map(lambda number: make_namespace(stage, names[number], number % 2), range(NAMESPACES)))
            stage.api.patch(f"/api/v1/namespaces/{NAMESPACE}", {"metadata": {"labels": {SIDE: "0"}}})
        stage.cluster.kill("kube-apiserver")  # its cache would lag behind, and keep each write for whoever watches
        clones = [(names[number % NAMESPACES], f"{settled.RUN}-{number}") for number in range(SETTLED)]
        batches = [clones[start : start + BATCH] for start in range(0, SETTLED, BATCH)]
        with step(f"Seeding {SETTLED:,} settled plans") as progress:
            ages = (number % DAYS for number in range(len(batches)))
            for done, _ in enumerate(pool.map(lambda batch, age: etcd.clone(original, batch, age), batches, ages), 1):
                progress.update(f"{done * BATCH:,}")
    stage.cluster.restart("kube-apiserver")
    with step("Waiting for the API server's cache"):
        eventually(lambda: is_cached(stage), within=PATIENCE_SECONDS, interval=2.0)


def is_cached(stage: Stage) -> bool:
    """Whether the API server's cache has all plans. Before, lists come from etcd, which counts what is left for each page."""
    try:
        stage.api.list(
            "/apis/scanplan.dev/v1alpha1/scanplans", resourceVersion="0", fieldSelector="metadata.name=nobody"
        )
    except (Refused, HTTPError):
        return False
    return True


def make_namespace(stage: Stage, name: str, side: int) -> None:
    stage.api.create("/api/v1/namespaces", {"metadata": {"name": name, "labels": {SIDE: str(side)}}})


def serve(stage: Stage, operator: OperatorProcess, plan: str) -> tuple[float, float]:
    """Start an operator where a plan waits for it.

    Returns:
        The seconds until the plan had its Job, and the operator's CPU seconds until then.
    """
    stage.api.create(PLANS.format(NAMESPACE), scanplan(plan, runId=plan))
    began = time.monotonic()
    operator.start(fresh=True)
    eventually(lambda: stage.scene.plan(plan).get("status", {}).get("jobRef"), within=PATIENCE_SECONDS)
    return time.monotonic() - began, cpu_seconds(operator.pid)
