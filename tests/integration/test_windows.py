"""Scan windows on a real API server: a scan stops when its window closes, and goes on in the next one."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from scanplan.api.exit_codes import ExitCode
from tests.fixtures.operators import StartOperator
from tests.integration import reports, test_schedules
from tests.integration.kubelet import document_of
from tests.integration.scene import Scene, condition, scanplan
from tests.integration.test_schedules import get, manifest, observed, runs
from tests.kubectl import KubectlError, eventually

pytestmark = pytest.mark.integration

MINUTES = 400.0
"""For what needs one of the next edges, on a busy machine."""
STATUS = "patch scanplans/status"


def clock(moment: datetime) -> str:
    return f"{moment:%H:%M}"


def window(begin: datetime, to: datetime) -> dict[str, Any]:
    return {"from": clock(begin), "to": clock(to)}


def closed() -> list[dict[str, Any]]:
    """A window that opens in hours."""
    now = datetime.now(UTC)
    return [window(now + timedelta(hours=4), now + timedelta(hours=5))]


def soon() -> datetime:
    """A full minute, 45 to 60 seconds from now: a test has begun by then."""
    while datetime.now(UTC).second > 15:
        time.sleep(0.2)
    return datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)


def test_a_scan_stops_at_the_end_of_its_window_and_goes_on_in_the_next(
    alone: Scene, start_operator: StartOperator
) -> None:
    """Lost otherwise: the working day of whoever is scanned; or the scan. Each edge is one write of the Job and one of the
    status, and an operator that was killed knows of the next edge."""
    operator = start_operator()
    closes = soon()
    alone.apply(windows=[window(closes - timedelta(minutes=5), closes)])
    (pod,) = alone.run()
    alone.phase("Running")
    operator.kill()
    operator.start()
    job = alone.job_of()["metadata"]["name"]
    eventually(lambda: alone.job_of()["spec"]["suspend"], within=MINUTES)
    assert datetime.now(UTC) >= closes
    alone.kubelet.stop_deleted(job)
    ready = condition(alone.phase("Suspended"), "Ready")
    opens = closes + timedelta(days=1, minutes=-5)
    assert (ready["status"], ready["reason"]) == ("False", "OutsideWindow")
    assert f"it will go on at {opens:%Y-%m-%dT%H:%M:%SZ} ({opens:%a %H:%M} in Etc/UTC)" in ready["message"]
    assert alone.writes() == ["create jobs", STATUS, "patch jobs", STATUS]
    opens = soon()
    alone.edit(windows=[window(opens, opens + timedelta(hours=1))])
    alone.phase("Suspended", reason="OutsideWindow")
    operator.kill()
    operator.start()
    known = len(alone.writes())
    eventually(lambda: not alone.job_of()["spec"]["suspend"], within=MINUTES)
    assert datetime.now(UTC) >= opens
    (again,) = alone.run()
    assert again["metadata"]["uid"] != pod["metadata"]["uid"]
    alone.phase("Running")
    alone.kubelet.end(again, ExitCode.OK, reports.complete(0, reports.merged(document_of(again))))
    alone.phase("Completed")
    assert alone.writes()[known:] == ["patch jobs", STATUS, STATUS]


def test_a_plan_that_was_created_outside_starts_when_its_window_opens(
    alone: Scene, start_operator: StartOperator
) -> None:
    """Lost otherwise: the scan of the night, by one who has to be awake."""
    start_operator()
    opens = soon()
    alone.apply(windows=[window(opens, opens + timedelta(hours=1))])
    ready = condition(alone.phase("Suspended", reason="OutsideWindow"), "Ready")
    assert f"it will start at {opens:%Y-%m-%dT%H:%M:%SZ}" in ready["message"]
    eventually(alone.jobs, within=MINUTES)
    assert datetime.now(UTC) >= opens
    alone.complete()
    assert alone.writes() == [STATUS, "create jobs", STATUS, STATUS]


def test_an_edit_of_the_windows_acts_at_once(scene: Scene) -> None:
    """Lost otherwise: the scan that has to stop now; or the one that somebody waits for."""
    scene.apply(windows=closed())
    status = scene.phase("Suspended", reason="OutsideWindow")
    assert condition(status, "Reconciling")["status"] == "True"
    assert scene.jobs() == []
    scene.edit(windows=None)
    scene.run()
    scene.phase("Running")
    key = scene.plan()["status"]["taskKey"]
    scene.edit(windows=closed())
    scene.kubelet.stop_deleted(scene.job_of()["metadata"]["name"])
    scene.phase("Suspended", reason="OutsideWindow")
    scene.edit(suspend=True)
    scene.phase("Suspended", reason="Suspended")
    scene.edit(windows=None)
    scene.phase("Suspended", reason="Suspended")
    scene.edit(suspend=False)
    assert scene.complete()["taskKey"] == key


def test_a_plan_outside_of_its_windows_can_be_cancelled(scene: Scene) -> None:
    """Lost otherwise: an end, before the night comes."""
    scene.apply(windows=closed())
    scene.phase("Suspended", reason="OutsideWindow")
    scene.edit(cancel=True)
    scene.phase("Cancelled")
    assert scene.jobs() == []


def test_a_window_in_no_zone_is_stalled(scene: Scene) -> None:
    """Lost otherwise: a plan that waits for ever, and says nothing."""
    scene.apply(windows=[{"from": "22:00", "to": "06:00", "timeZone": "Europe/Atlantis"}])
    status = scene.phase("Failed", reason="InvalidSpec")
    assert "Europe/Atlantis" in condition(status, "Stalled")["message"]
    scene.kubectl.apply(manifest("wrong", windows=[{"from": "22:00", "to": "06:00", "timeZone": "Europe/Atlantis"}]))
    assert condition(observed(scene, "wrong"), "Stalled")["reason"] == "InvalidSpec"


@pytest.mark.parametrize(
    "wrong",
    [
        {"from": "22:00", "to": "22:00"},
        {"from": "00:00", "to": "00:00"},
        {"from": "24:00", "to": "06:00"},
        {"from": "22:00"},
        {"from": "22:00", "to": "06:00", "days": []},
        {"from": "22:00", "to": "06:00", "days": ["Monday"]},
        {"from": "22:00", "to": "06:00", "days": ["Mon", "Mon"]},
        {"from": "22:00", "to": "06:00", "timeZone": "../UTC"},
    ],
    ids=str,
)
def test_a_window_that_never_opens_or_cannot_be_read_is_refused(alone: Scene, wrong: dict[str, Any]) -> None:
    """Lost otherwise: a plan that never scans; or scans when nobody meant it to."""
    with pytest.raises(KubectlError):
        alone.kubectl.apply(scanplan("plan", windows=[wrong]))


def test_so_many_windows_are_refused(alone: Scene) -> None:
    with pytest.raises(KubectlError):
        alone.kubectl.apply(scanplan("plan", windows=[{"from": "22:00", "to": "06:00"}] * 17))
    days = ["Mon-Tue", "Wed", "Thu", "Fri", "Sat", "Sun-Mon", "Tue"]
    alone.kubectl.apply(scanplan("plan", windows=[{"from": "22:00", "to": "24:00", "days": days}] * 16))


def test_each_run_of_a_schedule_has_its_windows(scene: Scene) -> None:
    """Lost otherwise: the night, where the plan's own windows are forgotten in a schedule."""
    scene.kubectl.apply(manifest(schedule="0 2 1 1 *", windows=closed()))
    observed(scene)
    test_schedules.edit(scene, trigger="now")
    eventually(lambda: len(runs(scene)) == 1)
    (run,) = runs(scene)
    assert run["spec"]["windows"] == get(scene)["spec"]["windows"]
    scene.phase("Suspended", run["metadata"]["name"], reason="OutsideWindow")
    time.sleep(1)
    version = scene.plan(run["metadata"]["name"])["metadata"]["resourceVersion"]
    time.sleep(5)
    assert scene.plan(run["metadata"]["name"])["metadata"]["resourceVersion"] == version
