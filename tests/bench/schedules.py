"""A thousand schedules with the same minute, spread over three minutes: when their runs start, and what each of them costs.

kwok runs the pods, so each run is a whole life: the plan, its Job, the result, and what the schedule says of it. Times are by the
audit log. A run's start is due at its minute plus the schedule's own offset.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from scanplan.controller.cache.schedules import schedule_of
from scanplan.core.schedule.names import name_at
from tests.bench import kwok, log
from tests.bench.burst import is_completed
from tests.bench.figure import Figure, at_least, at_most, percentile
from tests.bench.stage import CONNECTIONS, NAMESPACE, Stage, control_plane, cpu_seconds, peak_mib
from tests.console import step
from tests.integration.apiserver import PLANS, Object
from tests.kubectl import eventually

SCHEDULES = f"/apis/scanplan.dev/v1alpha1/namespaces/{NAMESPACE}/scanschedules"
COUNT = 1_000
SPREAD_SECONDS = 180
"""Two cores carry some fifteen whole lives a second, of the control plane and kwok too: figures of starts need less than that."""
AHEAD = timedelta(seconds=45)
"""For creating the schedules, and for the operator's first look at each."""
POLL_SECONDS = 3.0
PATIENCE_SECONDS = 600
OF_A_PLAN = {"create jobs", "patch scanplans/status"}
"""Writes that a plan costs without a schedule too."""


def measure() -> list[Figure]:
    with control_plane() as stage:
        kwok.start(stage)
        minute = (datetime.now(UTC) + AHEAD).replace(second=0, microsecond=0) + timedelta(minutes=1)
        due = create(stage, minute)
        asked = len(list(log.writes(stage.audit_log, NAMESPACE)))
        before = cpu_seconds(stage.operator.pid)
        with step(f"{COUNT} runs of the same minute"):
            eventually(lambda: all_over(stage), within=PATIENCE_SECONDS, interval=POLL_SECONDS)
        cpu = cpu_seconds(stage.operator.pid) - before
        writes = [write for write in list(log.writes(stage.audit_log, NAMESPACE))[asked:] if write.by_operator]
        return figures(writes, due, cpu, peak_mib(stage.operator.pid))


def create(stage: Stage, minute: datetime) -> dict[str, float]:
    """Create the schedules, and wait until the operator has seen them; when the run of each is due, by its name."""
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        made = list(pool.map(lambda number: stage.api.create(SCHEDULES, manifest(number, minute)), range(COUNT)))
    eventually(lambda: all("nextScheduleTime" in each["status"] for each in stage.api.list(SCHEDULES)), within=120)
    assert datetime.now(UTC) < minute, "the schedules were made too late for their minute"
    known = map(schedule_of, made)
    return {name_at(each.name, minute): (minute + each.offset).timestamp() for each in known}


def manifest(number: int, minute: datetime) -> Object:
    return {
        "apiVersion": "scanplan.dev/v1alpha1",
        "kind": "ScanSchedule",
        "metadata": {"name": f"schedule-{number}"},
        "spec": {
            "schedule": f"{minute.minute} {minute.hour} * * *",
            "spreadSeconds": SPREAD_SECONDS,
            "template": {"spec": {"endpoints": ["https://app.example.com"], "templates": ["http/cves/"]}},
        },
    }


def all_over(stage: Stage) -> bool:
    """Whether each schedule has had its run, and says how it ended."""
    told = sum("lastRun" in each["status"] for each in stage.api.list(SCHEDULES))
    return told == COUNT and sum(map(is_completed, stage.api.list(PLANS.format(NAMESPACE)))) == COUNT


def figures(writes: Sequence[log.Answer], due: dict[str, float], cpu: float, peak: float) -> list[Figure]:
    runs = {write.name: write.at for write in writes if (write.verb, write.resource) == ("create", "scanplans")}
    late = [at - due[name] for name, at in runs.items()]
    busiest = max(Counter(int(at) for at in runs.values()).values())
    beyond = sum(f"{write.verb} {write.resource}" not in OF_A_PLAN for write in writes) - len(runs)
    return [
        Figure(f"schedules: runs of {COUNT:,} schedules", len(runs), "runs", at_least(COUNT)),
        Figure("schedules: starts in the busiest second", busiest, "1/s", at_most(3 * COUNT / SPREAD_SECONDS)),
        Figure("schedules: start after its time, p50", 1000 * percentile(late, 50), "ms"),
        Figure("schedules: start after its time, p99", 1000 * percentile(late, 99), "ms", at_most(2_000)),
        Figure("schedules: operator's CPU for a run", 1000 * cpu / COUNT, "ms", at_most(20)),
        Figure("schedules: most memory", peak, "MiB", at_most(110)),
        Figure("schedules: writes a run beyond its plan and its creation", beyond / COUNT, "requests", at_most(2)),
    ]
