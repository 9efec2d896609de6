"""States that take their time: what keeps a scan from its start, and its deadline.

The operator looks at pods that don't get ready after half a minute. So all these plans are applied together, with the first test of
all (see conftest), and the others look much later at what has become of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import LocalCluster
from tests.fixtures.control_plane import make_namespace
from tests.integration import reports
from tests.integration.apiserver import ApiServer, Object
from tests.integration.kubelet import index_of
from tests.integration.operator_process import OperatorProcess
from tests.integration.scene import Scene, condition
from tests.integration.test_life_cycle import collect
from tests.kubectl import Kubectl

pytestmark = pytest.mark.integration

Scenes = dict[str, Scene]
LIMITS: dict[str, dict[str, Any]] = {"deadline": {"timeoutSeconds": 10, "deadlineSeconds": 10}}
EARLY: dict[str, Object] = {}
"""Statuses of plans before what kept them was lifted."""


@pytest.fixture(scope="session")
def scenes(
    cluster: LocalCluster,
    api: ApiServer,
    administrator: Kubectl,
    identity: Path,
    statuses: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Scenes]:
    """A namespace for each wait, since quotas hold for whole namespaces."""
    assert statuses.exists()
    made = {}
    for name in ("image", "node", "configuration", "job-quota", "pod-quota", "deadline"):
        make_namespace(api, f"waiting-{name}")
        made[name] = Scene(api, administrator, f"waiting-{name}", cluster.audit_log)
    quota(made["job-quota"], "count/jobs.batch")
    quota(made["pod-quota"], "pods")
    log = tmp_path_factory.mktemp("waiting") / "operator.log"
    operator = OperatorProcess(identity, [scene.namespace for scene in made.values()], log).start()
    for name, scene in made.items():
        scene.apply(**LIMITS.get(name, {}))
    for name in ("image", "node", "configuration"):
        made[name].phase("Running")
    (pod,) = made["image"].kubelet.pending(made["image"].plan()["status"]["taskId"])
    made["image"].kubelet.wait_for_reason(pod, "ImagePullBackOff", "no such tag")
    (pod,) = made["node"].kubelet.pending(made["node"].plan()["status"]["taskId"])
    made["node"].kubelet.unschedulable(pod, "0/3 nodes are available: 3 Insufficient memory.")
    (pod,) = made["configuration"].kubelet.pending(made["configuration"].plan()["status"]["taskId"])
    made["configuration"].kubelet.wait_for_reason(pod, "CreateContainerConfigError", 'secret "x" not found')
    made["deadline"].run()
    for name, reason in (("job-quota", "QuotaExceeded"), ("pod-quota", "Pending")):
        EARLY[name] = made[name].phase("Pending", reason=reason)
        lift(made[name])
    yield made
    alive = operator.alive
    operator.kill()
    print(operator.text())
    assert alive


def quota(scene: Scene, resource: str) -> None:
    """A quota of none, in force."""
    path = f"/api/v1/namespaces/{scene.namespace}/resourcequotas"
    scene.api.create(path, {"metadata": {"name": "none"}, "spec": {"hard": {resource: "0"}}})
    scene.eventually(lambda: (scene.api.get(f"{path}/none") or {}).get("status", {}).get("hard"))


def lift(scene: Scene) -> None:
    scene.api.delete(f"/api/v1/namespaces/{scene.namespace}/resourcequotas/none")


def test_a_deadline_ends_the_scan_and_keeps_what_was_found(scenes: Scenes) -> None:
    """Lost otherwise: an end, or the findings until then, or the word that there is more to find."""
    scene = scenes["deadline"]
    task = scene.plan()["status"]["taskId"]
    scene.kubelet.stop_deleted(task, lambda pod: reports.partial(index_of(pod)))
    collect(scene, task, complete=False)
    status = scene.phase("Failed", reason="DeadlineExceeded")
    assert "raise deadlineSeconds" in status["error"]["message"]
    assert status["findings"]["total"] == reports.FINDINGS.total
    assert status["artifacts"]["complete"] is False


def test_a_refused_job_says_so_and_is_tried_again(scenes: Scenes) -> None:
    """Lost otherwise: plans that hang for ever after a busy afternoon, or fail for it."""
    scene = scenes["job-quota"]
    status = EARLY["job-quota"]
    assert "exceeded quota" in condition(status, "Ready")["message"]
    assert condition(status, "Reconciling")["status"] == "True"
    scene.complete()


def test_a_job_without_pods_is_pending_until_it_gets_them(scenes: Scenes) -> None:
    """Lost otherwise: a plan that claims to run where nothing does."""
    scene = scenes["pod-quota"]
    assert "no pod yet" in condition(EARLY["pod-quota"], "Ready")["message"]
    scene.complete()


@pytest.mark.parametrize(
    ("name", "reason", "message"),
    [
        ("image", "ImagePullFailed", "no such tag"),
        ("node", "Unschedulable", "3 Insufficient memory"),
        ("configuration", "PodFailed", 'secret "x" not found'),
    ],
)
def test_what_keeps_a_pod_from_starting_is_on_the_plan(scenes: Scenes, name: str, reason: str, message: str) -> None:
    """Lost otherwise: an hour of looking for the pod, its events, and the admin who can read them."""
    scene = scenes[name]
    status = scene.phase("Pending", reason=reason)
    assert message in condition(status, "Ready")["message"]
    (pod,) = scene.kubelet.pending(status["taskId"])
    scene.kubelet.run(pod)
    status = scene.phase("Running")
    assert "error" not in status
