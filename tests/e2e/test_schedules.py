"""A schedule of every minute on a real node: each minute a scan, and what the cluster exposes meanwhile is scanned next."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from scanplan.core.schedule.names import time_of
from tests.e2e.stage import EXPOSED, EXPOSURES, Stage
from tests.integration.test_discovery import grant, ingress
from tests.kubectl import Kubectl, eventually

pytestmark = pytest.mark.e2e

KEPT = 3
EXAMPLE: dict[str, Any] = yaml.safe_load((Path(__file__).parents[2] / "examples/scanschedule.yaml").read_text())
"""The example, but each minute, and for what Ingresses name."""
EXAMPLE["spec"] |= {"schedule": "* * * * *", "successfulRunsHistoryLimit": KEPT}
EXAMPLE["spec"]["template"]["spec"] = {"endpointsFrom": [{"ingresses": {}}], "templates": [EXPOSURES]}
NAME: str = EXAMPLE["metadata"]["name"]
MINUTES = 400.0
"""Seconds until the run of the next minute has ended, on a busy machine."""


def get(stage: Stage) -> dict[str, Any]:
    found: dict[str, Any] = stage.kubectl.get("scanschedule", NAME)
    return found


def last_run(stage: Stage, after: str = "") -> dict[str, Any]:
    """The last run that has ended, once it is a later one than `after`; names of runs are in the order of their times."""

    def look() -> dict[str, Any] | None:
        found: dict[str, Any] | None = get(stage)["status"].get("lastRun")
        return found if found and found["name"] > after else None

    found = eventually(look, within=MINUTES, interval=1.0)
    assert found
    return found


def expose(stage: Stage, host: str) -> None:
    """An Ingress for a host that leads to the application."""
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": host},
        "spec": {"selector": {"app.kubernetes.io/name": "app"}, "ports": [{"port": 80, "targetPort": 8080}]},
    }
    stage.kubectl.apply(service, ingress(host, f"{host}.{stage.namespace}"))


def history(stage: Stage) -> list[dict[str, Any]]:
    """What `scanplan schedule history` tells."""
    command = [sys.executable, "-m", "scanplan", "schedule", "history", NAME, "-n", stage.namespace, "-o", "json"]
    environment = {"KUBECONFIG": str(stage.kubectl.kubeconfig), "PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    found: list[dict[str, Any]] = json.loads(done.stdout)["items"]
    return found


def columns(stage: Stage) -> dict[str, str]:
    """The row that `kubectl get` shows, by its heads. One value has blanks: the timetable."""
    heads, row = stage.kubectl("get", "scanschedule", NAME).splitlines()
    schedule = EXAMPLE["spec"]["schedule"]
    assert schedule in row
    return dict(zip(heads.split(), row.replace(schedule, "-").split(), strict=True))


@pytest.mark.parametrize(
    "minutes", [3, pytest.param(10, marks=[pytest.mark.ecosystem, pytest.mark.timeout(1_500)])], ids=str
)
def test_a_run_each_minute_scans_what_the_cluster_exposes_by_then(
    minutes: int, stage: Stage, installed: Kubectl
) -> None:
    """Lost otherwise: the service that was put online yesterday, and that nobody has written into a plan."""
    grant(installed, stage.namespace, "ingresses")
    stage.gate("mended")
    stage.open("mended")
    expose(stage, "shop")
    stage.kubectl.apply(EXAMPLE)
    begun = datetime.fromisoformat(get(stage)["metadata"]["creationTimestamp"])
    ran: list[dict[str, Any]] = []
    steps = {minutes // 3: lambda: expose(stage, "wiki"), 2 * minutes // 3: lambda: stage.reroute("shop", "mended")}
    while len(ran) < minutes or (steps_seen(ran) < len(steps) and len(ran) < minutes + 3):
        ran.append(last_run(stage, after=ran[-1]["name"] if ran else ""))
        if step := steps.get(len(ran)):
            step()
    status = get(stage)["status"]
    shown = columns(stage)
    stage.kubectl("patch", "scanschedule", NAME, "--type=merge", "-p", '{"spec":{"suspend":true}}')

    assert {run["phase"] for run in ran} == {"Completed"}
    found = [run["findings"] for run in ran]
    assert [count for count, _ in itertools.groupby(found)] == [len(EXPOSED), 2 * len(EXPOSED), len(EXPOSED)], ran
    assert [run["new"] for run in ran[1:] if run["new"]] == [len(EXPOSED)], ran
    assert [run["resolved"] for run in ran if run["resolved"]] == [len(EXPOSED)], ran

    # Each minute has its run, or was skipped since a run took longer on a busy machine; and nothing else was started.
    names = {run["name"] for run in ran} | set(status["active"]) | {status["lastRun"]["name"]}
    decided = datetime.fromisoformat(status["nextScheduleTime"]) - begun.replace(second=0) - timedelta(minutes=1)
    assert len(names) + status["skipped"] == decided // timedelta(minutes=1)
    assert all(time_of(NAME, name) for name in names)
    assert status["missed"] == 0

    stage.until(lambda: get(stage)["status"]["activeCount"] == 0)
    stage.until(lambda: len(history(stage)) == min(len(ran), KEPT))
    by_name = {run["name"]: run for run in ran}
    for plan in history(stage):
        if run := by_name.get(plan["metadata"]["name"]):
            counts = plan["status"]["findings"]
            assert (counts["total"], counts["new"], counts["resolved"]) == (
                run["findings"],
                run["new"],
                run["resolved"],
            )
    last = by_name.get(status["lastRun"]["name"], status["lastRun"])
    assert (shown["FINDINGS"], shown["NEW"], shown["RESOLVED"]) == tuple(
        str(last[name]) for name in ("findings", "new", "resolved")
    )


def steps_seen(ran: list[dict[str, Any]]) -> int:
    """How many changes of the cluster the runs have met."""
    found = [run["findings"] for run in ran]
    return sum(before != after for before, after in itertools.pairwise(found))
