"""A schedule of every minute on a real node: each minute a scan, and what the cluster exposes meanwhile is scanned next."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest

from scanplan.core.schedule.schedule import time_of
from tests.e2e.stage import EXPOSED, EXPOSURES, Stage
from tests.integration.test_discovery import grant, ingress
from tests.kubectl import Kubectl, eventually

pytestmark = pytest.mark.e2e

NAME = "minutely"
KEPT = 3
MINUTES = 180.0
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


@pytest.mark.parametrize(
    "minutes", [2, pytest.param(10, marks=[pytest.mark.ecosystem, pytest.mark.timeout(1_200)])], ids=str
)
def test_a_run_each_minute_scans_what_the_cluster_exposes_by_then(
    minutes: int, stage: Stage, installed: Kubectl
) -> None:
    """Lost otherwise: the service that was put online yesterday, and that nobody has written into a plan."""
    grant(installed, stage.namespace, "ingresses")
    expose(stage, "shop")
    spec = {
        "schedule": "* * * * *",
        "successfulRunsHistoryLimit": KEPT,
        "template": {"spec": {"endpointsFrom": [{"ingresses": {}}], "templates": [EXPOSURES]}},
    }
    schedule = {"apiVersion": "scanplan.dev/v1alpha1", "kind": "ScanSchedule", "metadata": {"name": NAME}, "spec": spec}
    stage.kubectl.apply(schedule)
    try:
        ran = [last_run(stage)]
        while len(ran) < minutes or (ran[-1]["findings"] == len(EXPOSED) and len(ran) < minutes + 2):
            if len(ran) == minutes // 2:
                expose(stage, "wiki")
            ran.append(last_run(stage, after=ran[-1]["name"]))
    finally:
        stage.kubectl("patch", "scanschedule", NAME, "--type=merge", "-p", '{"spec":{"suspend":true}}')
    found = [run["findings"] for run in ran]
    assert (found[0], found[-1], sorted(found)) == (len(EXPOSED), 2 * len(EXPOSED), found)
    assert {run["phase"] for run in ran} == {"Completed"}
    status = stage.until(lambda: (now := get(stage)["status"])["activeCount"] == 0 and now)
    first, last = (time_of(NAME, run["name"]) for run in (ran[0], ran[-1]))
    assert first
    assert last
    # On a busy machine a run may take longer than a minute; then the next time is skipped, and said.
    assert len(ran) + status["skipped"] >= (last - first) // timedelta(minutes=1) + 1
    assert status["missed"] == 0
    assert min(len(ran), KEPT) <= len(history(stage)) <= KEPT
