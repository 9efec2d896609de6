"""An operator that starts where thousands of plans have settled: how soon it serves, what it holds, and that it writes nothing.

One plan lives for real; all others are clones of it with the status that the operator wrote, made while no operator runs. One
more plan waits without a status when the operator starts: it serves when that plan has its Job. The targets of serving and of
writes at rest are about 10,000 plans and ten minutes: see `scale`.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from tests.bench.figure import Figure, at_most
from tests.bench.stage import CONNECTIONS, NAMESPACE, Stage, control_plane, cpu_seconds, resident_mib
from tests.console import step
from tests.integration import audit
from tests.integration.apiserver import PLANS, Object
from tests.integration.operator_process import OperatorProcess
from tests.integration.scene import scanplan
from tests.kubectl import eventually

SETTLED = 2_000
SECONDS_AT_REST = 60
QUIET_SECONDS = 5.0
QUIET_CPU_SECONDS = 0.5
"""An operator that uses less in `QUIET_SECONDS` is done with its start."""
PATIENCE_SECONDS = 240
"""For the end of a start; it only ends a hopeless one."""
RUN = "settled"
"""The clones' run: with the same key fields, the pinned inputs of the status hold for all of them."""


def measure() -> list[Figure]:
    with control_plane() as stage:
        seed(stage, original(stage), range(SETTLED))
        seconds, others = serve(stage, "waiting")
        before = len(writes(stage))
        with step(f"At rest for {SECONDS_AT_REST} s"):
            time.sleep(SECONDS_AT_REST)
        at_rest = len(writes(stage)) - before
        of = f"{SETTLED:,} settled plans"
        return [
            Figure(f"restart: until serving, {of}", seconds, "s"),
            Figure(f"restart: memory, {of}", resident_mib(stage.operator.pid), "MiB", at_most(110)),
            Figure(f"restart: writes in {SECONDS_AT_REST} s, {of}", others + at_rest, "requests"),
        ]


def original(stage: Stage) -> Object:
    """The status of a plan that has lived its life; then the operator is stopped, as a Deployment does it: its lease is free."""
    stage.api.create(PLANS.format(NAMESPACE), scanplan("original", runId=RUN))
    status = stage.scene.complete("original")
    stage.operator.stop()
    return status


def seed(stage: Stage, status: Object, numbers: range) -> None:
    """Make the clones, a plan and its status each, over a few connections at once."""
    path = PLANS.format(NAMESPACE)

    def clone(number: int) -> None:
        name = f"{RUN}-{number}"
        stage.api.create(path, scanplan(name, runId=RUN))
        stage.api.patch(f"{path}/{name}/status", {"status": status})

    with step(f"Seeding {len(numbers):,} settled plans") as progress, ThreadPoolExecutor(CONNECTIONS) as pool:
        for done, _ in enumerate(pool.map(clone, numbers), 1):
            progress.update(f"{done:,}")


def serve(stage: Stage, name: str) -> tuple[float, int]:
    """Start the operator where a plan waits for it, let that plan complete, and leave the operator at rest.

    Returns:
        The seconds until the plan had its Job, and how often the operator has written to anything else.
    """
    stage.api.create(PLANS.format(NAMESPACE), scanplan(name, runId=name))
    already, began = len(writes(stage)), time.monotonic()
    stage.operator.start()
    own = {name, stage.scene.started(name)}
    seconds = time.monotonic() - began
    stage.scene.complete(name)
    eventually(lambda: is_quiet(stage.operator), within=PATIENCE_SECONDS)
    return seconds, sum(written not in own for written in writes(stage)[already:])


def is_quiet(operator: OperatorProcess) -> bool:
    """Look for a while whether the operator does anything: it serves long before it has looked at all that there is."""
    before = cpu_seconds(operator.pid)
    time.sleep(QUIET_SECONDS)
    return cpu_seconds(operator.pid) - before < QUIET_CPU_SECONDS


def writes(stage: Stage) -> list[str]:
    """The names of the objects that the operator has written anywhere, oldest first; the lease aside."""
    requests = audit.requests(stage.audit_log)
    return [request.name for request in requests if request.is_write and request.resource != "leases"]
