"""How soon a standby takes over: from the SIGKILL of the leader to the Job of a plan that is created right after it."""

from __future__ import annotations

import time

from scanplan.controller.engine.leadership import RETRY_SECONDS
from tests.bench import log
from tests.bench.figure import Figure, at_most, percentile
from tests.bench.stage import NAMESPACE, control_plane
from tests.console import step
from tests.integration.apiserver import PLANS
from tests.integration.operator_process import OperatorProcess
from tests.integration.scene import scanplan
from tests.kubectl import eventually

KILLS = 8
STANDING_BY = "standing by"


def measure() -> list[Figure]:
    """The slowest of several kills has the target. They come at different moments between two renewals of the lease."""
    with control_plane() as stage:
        leader, standby = stage.operator, stage.operator.twin()
        try:
            took = []
            with step("Leaders killed") as progress:
                for number in range(KILLS):
                    stand_by(standby)
                    time.sleep(RETRY_SECONDS * number / KILLS)
                    killed = time.time()
                    leader.kill()
                    name = f"plan-{number}"
                    stage.api.create(PLANS.format(NAMESPACE), scanplan(name, runId=name))
                    job = stage.scene.started(name)
                    writes = log.writes(stage.audit_log, NAMESPACE)
                    made = next(write.at for write in writes if (write.verb, write.name) == ("create", job))
                    took.append(made - killed)
                    leader, standby = standby, leader
                    progress.update(f"{number + 1}/{KILLS}")
        finally:
            for operator in (leader, standby):
                if operator.alive:
                    operator.kill()
        return [
            Figure(f"standby: slowest of {KILLS}", max(took), "s", at_most(10)),
            Figure("standby: p50", percentile(took, 50), "s"),
        ]


def stand_by(operator: OperatorProcess) -> None:
    """Start an operator, and wait until it has seen that another one leads."""
    before = operator.text().count(STANDING_BY) if operator.log.exists() else 0
    operator.start()
    eventually(lambda: operator.text().count(STANDING_BY) > before)
