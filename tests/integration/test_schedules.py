"""ScanSchedules on a real API server: runs by the minute, through crashes, suspension, edits and deletions."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest

from tests.fixtures.operators import StartOperator
from tests.integration.scene import Scene, condition
from tests.integration.test_life_cycle import collect
from tests.kubectl import KubectlError, Manifest, eventually

SCHEDULES = "/apis/scanplan.dev/v1alpha1/namespaces/{}/scanschedules"
TEMPLATE = {"spec": {"endpoints": ["https://app.example.com"], "templates": ["http/cves/"]}}
MINUTES = 400.0
"""For what needs the next minute, or the one after, on a busy machine."""


def manifest(name: str = "minutely", **spec: Any) -> Manifest:
    return {
        "apiVersion": "scanplan.dev/v1alpha1",
        "kind": "ScanSchedule",
        "metadata": {"name": name},
        "spec": {"schedule": "* * * * *", "template": TEMPLATE, **spec},
    }


def get(scene: Scene, name: str = "minutely") -> dict[str, Any]:
    found = scene.api.get(f"{SCHEDULES.format(scene.namespace)}/{name}")
    assert found
    return found


def edit(scene: Scene, name: str = "minutely", **spec: Any) -> None:
    scene.api.patch(f"{SCHEDULES.format(scene.namespace)}/{name}", {"spec": spec})


def runs(scene: Scene) -> list[dict[str, Any]]:
    return scene.kubectl.get("scanplans", "-l", "scanplan.dev/schedule")["items"]  # type: ignore[no-any-return]


def observed(scene: Scene, name: str = "minutely") -> dict[str, Any]:
    """Wait until the operator has seen the schedule as it is; returns its status."""

    def seen() -> bool:
        found = get(scene, name)
        return bool(found["status"]["observedGeneration"] == found["metadata"]["generation"])

    scene.eventually(seen)
    status: dict[str, Any] = get(scene, name)["status"]
    return status


def test_a_run_a_minute_each_with_its_scan(scene: Scene) -> None:
    """From the schedule to findings: a plan, its Job, the result on the schedule's status, and nothing twice."""
    scene.kubectl.apply(manifest())
    assert observed(scene)["nextScheduleTime"]
    eventually(lambda: runs(scene), within=MINUTES)
    (run,) = runs(scene)
    name = run["metadata"]["name"]
    assert re.fullmatch(r"minutely-\d{12}", name)
    assert (run["spec"]["runId"], run["spec"]["rerun"]) == ("minutely", name[-12:])
    (owner,) = run["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["controller"], owner["uid"]) == ("ScanSchedule", True, get(scene)["metadata"]["uid"])
    scene.eventually(lambda: name in get(scene)["status"].get("active", ()))
    edit(scene, suspend=True)
    scene.complete(name)
    scene.eventually(lambda: get(scene)["status"].get("lastRun", {}).get("name") == name)
    status = get(scene)["status"]
    assert (status["lastRun"]["phase"], status["activeCount"]) == ("Completed", 0)
    assert status["lastSuccessfulTime"]
    assert "nextScheduleTime" not in status


def test_what_the_definition_refuses(alone: Scene) -> None:
    """Each would make runs that cannot be named, or that all have the same key."""
    for wrong in (
        manifest("x" * 51),
        manifest(template={"spec": {**TEMPLATE["spec"], "rerun": "1"}}),
        manifest(template={"spec": {"templates": ["http/"]}}),
        manifest(timeZone="../etc/passwd"),
        manifest(concurrencyPolicy="Sometimes"),
        manifest(template={**TEMPLATE, "metadata": {"labels": {"scanplan.dev/schedule": "other"}}}),
    ):
        with pytest.raises(KubectlError):
            alone.kubectl.apply(wrong)
    alone.kubectl.apply(manifest("x" * 50))


def test_what_cannot_be_read_is_stalled(scene: Scene) -> None:
    for number, wrong in enumerate(
        ({"schedule": "0 0 0 2 * *"}, {"schedule": "0 0 L * *"}, {"timeZone": "Europe/Atlantis"})
    ):
        scene.kubectl.apply(manifest(f"wrong-{number}", **wrong))
        stalled = condition(observed(scene, f"wrong-{number}"), "Stalled")
        assert (stalled["status"], stalled["reason"]) == ("True", "InvalidSchedule")
        assert scene.kubectl("get", "scanschedule", f"wrong-{number}").split()[-1] == "InvalidSchedule"


def test_a_trigger_runs_once_and_deleting_the_schedule_deletes_its_run(scene: Scene) -> None:
    scene.kubectl.apply(manifest(schedule="0 2 1 1 *"))
    observed(scene)
    edit(scene, trigger="now")
    eventually(lambda: len(runs(scene)) == 1)
    scene.eventually(lambda: get(scene)["status"].get("lastTrigger") == "now")
    (run,) = runs(scene)
    scene.kubectl.delete("scanplan", run["metadata"]["name"])
    edit(scene, spreadSeconds=5)
    observed(scene)
    assert runs(scene) == []
    edit(scene, trigger="again")
    eventually(lambda: len(runs(scene)) == 1)
    scene.kubectl.delete("scanschedule", "minutely")
    eventually(lambda: runs(scene) == [])


def test_replace_cancels_and_forbid_waits(scene: Scene) -> None:
    scene.kubectl.apply(manifest(schedule="0 2 1 1 *", concurrencyPolicy="Forbid"))
    observed(scene)
    edit(scene, trigger="one")
    eventually(lambda: len(runs(scene)) == 1)
    edit(scene, trigger="two")
    scene.eventually(lambda: "has ended" in condition(observed(scene), "Ready")["message"])
    assert len(runs(scene)) == 1
    (first,) = runs(scene)
    job = scene.started(first["metadata"]["name"])
    edit(scene, concurrencyPolicy="Replace")
    eventually(lambda: sum(run["spec"].get("cancel", False) for run in runs(scene)) == 1)
    assert len(runs(scene)) == 1
    collect(scene, job, complete=False)
    eventually(lambda: len(runs(scene)) == 2)
    kept = scene.phase("Cancelled", first["metadata"]["name"])
    assert kept["artifacts"]["complete"] is False


def test_the_name_of_a_run_that_somebody_else_has_is_left_alone(scene: Scene) -> None:
    scene.kubectl.apply(manifest(schedule="0 2 1 1 *"))
    observed(scene)
    from scanplan.core.schedule.names import name_of_trigger

    name = name_of_trigger("minutely", "now")
    scene.apply(name, suspend=True)
    edit(scene, trigger="now")
    scene.eventually(lambda: any(each["type"] == "Stalled" for each in get(scene)["status"]["conditions"]))
    assert condition(get(scene)["status"], "Stalled")["reason"] == "NameConflict"
    assert "ownerReferences" not in scene.plan(name)["metadata"]


def test_two_operators_that_die_at_every_write_make_each_run_once(alone: Scene, start_operator: StartOperator) -> None:
    """Nothing starts twice and nothing is passed over: each minute has one run, or is counted."""
    alone.kubectl.apply(manifest(concurrencyPolicy="Allow"))
    first, second = start_operator(), start_operator()
    until = time.monotonic() + 150
    made: set[str] = set()
    known = 0
    while time.monotonic() < until:
        writes = len(alone.writes())
        if writes > known:
            known = writes
            first.kill()
            first.start()
            first, second = second, first
        made |= {run["metadata"]["uid"] + "/" + run["metadata"]["name"] for run in runs(alone)}
        time.sleep(0.2)
    edit(alone, suspend=True)
    status = observed(alone)
    names = [
        each.split("/")[1] for each in made | {f"{r['metadata']['uid']}/{r['metadata']['name']}" for r in runs(alone)}
    ]
    assert len(names) == len(set(names))
    begin = get(alone)["metadata"]["creationTimestamp"]
    assert len(names) + status["missed"] >= 2, (begin, json.dumps(status))


def test_applying_again_changes_nothing(scene: Scene) -> None:
    """GitOps: what the operator writes is no drift, and the schedule's tracking labels are not copied to its runs."""
    wanted = manifest(schedule="0 2 1 1 *")
    wanted["metadata"]["labels"] = {"app.kubernetes.io/instance": "argo"}
    scene.kubectl.apply(wanted)
    observed(scene)
    edit(scene, trigger="now")
    eventually(lambda: len(runs(scene)) == 1)
    (run,) = runs(scene)
    assert "app.kubernetes.io/instance" not in run["metadata"]["labels"]
    before = get(scene)["metadata"]["generation"]
    scene.kubectl.apply(wanted)
    assert get(scene)["metadata"]["generation"] == before


def test_a_new_default_image_starts_one_run_after_the_operators_update(
    alone: Scene, start_operator: StartOperator
) -> None:
    """Lost otherwise: checks that are new in the templates, until the timetable comes round; or one run for each restart."""
    first = start_operator(SCANPLAN_SCANNER_IMAGE="registry.example/scanner@sha256:" + "1" * 64)
    alone.kubectl.apply(manifest(schedule="0 2 1 1 *", rescanOn=["TemplatesChanged"]))
    before = observed(alone)["templatesDigest"]
    assert runs(alone) == []
    first.stop()
    for _ in range(2):  # the second start is one of the same version
        updated = start_operator(SCANPLAN_SCANNER_IMAGE="registry.example/scanner@sha256:" + "2" * 64)
        eventually(lambda: len(runs(alone)) == 1)
        alone.eventually(lambda: get(alone)["status"]["templatesDigest"] != before)
        updated.stop()
    (run,) = runs(alone)
    status = get(alone)["status"]
    assert status["lastStart"] == {
        "name": run["metadata"]["name"],
        "reason": "TemplatesChanged",
        "time": run["metadata"]["creationTimestamp"],
    }
    assert alone.kubectl("get", "scanschedules", "-o", "wide").split().count("TemplatesChanged") == 1
    events = alone.kubectl.get("events.events.k8s.io")["items"]
    (event,) = [each for each in events if each["reason"] == "TemplatesChanged"]
    assert run["metadata"]["name"] in event["note"]


def test_templates_that_are_bumped_in_git_start_a_run(scene: Scene) -> None:
    """As Renovate does it: another digest in the schedule's file."""
    image = {"reference": f"registry.example/templates@sha256:{'1' * 64}"}
    template = {"spec": {**TEMPLATE["spec"], "templatesFrom": [{"image": image}]}}
    wanted = manifest(schedule="0 2 1 1 *", rescanOn=["TemplatesChanged"], template=template)
    scene.kubectl.apply(wanted)
    observed(scene)
    assert runs(scene) == []
    image["reference"] = f"registry.example/templates@sha256:{'2' * 64}"
    scene.kubectl.apply(wanted)
    eventually(lambda: len(runs(scene)) == 1)
    scene.eventually(lambda: get(scene)["status"].get("lastStart", {}).get("reason") == "TemplatesChanged")
    generation = get(scene)["metadata"]["generation"]
    scene.kubectl.apply(wanted)
    assert get(scene)["metadata"]["generation"] == generation, "the operator has written into the spec"
