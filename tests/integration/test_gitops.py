"""Plans in Git: a tool that applies them again and again finds nothing to do, and its marks are no part of the scan."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.deploy import ROOT
from tests.integration.scene import Scene, scanplan
from tests.integration.test_discovery import grant, ingress
from tests.kubectl import Kubectl

pytestmark = pytest.mark.integration

EXAMPLES = sorted(path for path in (ROOT / "examples").glob("*.yaml") if "kind: ScanPlan" in path.read_text())
MANAGER = "--field-manager=argocd-controller"


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_a_sync_after_the_scan_has_nothing_to_change(scene: Scene, example: Path, administrator: Kubectl) -> None:
    """Lost otherwise: applications that are out of sync for ever, and syncs that scan again."""
    grant(administrator, scene.namespace, "ingresses")
    scene.kubectl.apply(ingress("web", "shop.example.com"))
    scene.kubectl("apply", "--server-side", MANAGER, "-f", str(example))
    (plan,) = (each for each in yaml.safe_load_all(example.read_text()) if each["kind"] == "ScanPlan")
    name = plan["metadata"]["name"]
    if "queueName" in plan["spec"]:
        scene.phase("Queued", name)  # there is no Kueue here that would admit it
    else:
        scene.complete(name)
    assert scene.kubectl("diff", "--server-side", MANAGER, "-f", str(example)) == ""
    before = scene.plan(name)["metadata"]
    scene.kubectl("apply", "--server-side", MANAGER, "-f", str(example))
    assert scene.plan(name)["metadata"] == before
    assert before["generation"] == 1
    writers = {entry["manager"] for entry in before["managedFields"] if entry.get("subresource") != "status"}
    assert writers == {"argocd-controller"}


def test_a_rerun_asked_for_in_the_cluster_is_no_drift(scene: Scene) -> None:
    """Lost otherwise: schedules beside GitOps, each of whose runs the next sync would undo."""
    plan = yaml.safe_dump(scanplan("plan"))
    scene.kubectl("apply", "--server-side", MANAGER, "-f", "-", stdin=plan)
    scene.complete()
    scene.edit(rerun="nightly-1")
    scene.complete()
    assert scene.kubectl("diff", "--server-side", MANAGER, "-f", "-", stdin=plan) == ""
    scene.kubectl("apply", "--server-side", MANAGER, "-f", "-", stdin=plan)
    assert scene.plan()["spec"]["rerun"] == "nightly-1"
    assert len(scene.jobs()) == 1


def test_the_marks_of_gitops_tools_are_no_part_of_the_scan(scene: Scene) -> None:
    """Lost otherwise: a scan that runs again because its plan has moved to another application."""
    scene.apply(runId="nightly")
    first = scene.complete()
    moved = scanplan("moved", runId="nightly")
    moved["metadata"] |= {
        "labels": {"app.kubernetes.io/instance": "plans", "kustomize.toolkit.fluxcd.io/name": "plans"},
        "annotations": {"argocd.argoproj.io/tracking-id": f"plans:scanplan.dev/ScanPlan:{scene.namespace}/moved"},
    }
    scene.kubectl.apply(moved)
    assert scene.phase("Completed", "moved")["taskId"] == first["taskId"]
    assert len(scene.jobs()) == 1
