"""Endpoints that objects of the cluster name: rights, labels, what is left out, and when they are read."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster import LocalCluster
from tests.deploy import OPERATOR_ACCOUNT
from tests.fixtures.operators import StartOperator
from tests.integration import reports
from tests.integration.scene import Scene, condition
from tests.integration.test_life_cycle import collect, stopped
from tests.integration.test_windows import closed
from tests.kubectl import Kubectl, KubectlError, Manifest

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs/how-to/discovery.md"
RULES: dict[str, Any] = yaml.safe_load((ROOT / "charts/scanplan-operator/files/discovery-rules.yaml").read_text())
YES = {"scanplan.dev/scan": "true"}
SETTINGS = {"SCANPLAN_DENIED_TARGETS": "denied.example"}

pytestmark = pytest.mark.integration


def ingress(name: str, *hosts: str | None, labels: dict[str, str] = YES) -> Manifest:
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    http = {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}
    rules = [{"http": http, **({"host": host} if host else {})} for host in hosts]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": name, "labels": dict(labels)},
        "spec": {"rules": rules},
    }


def grant(administrator: Kubectl, namespace: str, *values: str) -> None:
    """Let the operator discover in a namespace, as the chart's values do."""
    rules = [rule for value in values for rule in RULES[value]]
    administrator.in_namespace(namespace).grant(OPERATOR_ACCOUNT, "discovery", rules)


def discovering(**source: Any) -> dict[str, Any]:
    return {"endpoints": [], "endpointsFrom": [source]}


def endpoints(scene: Scene, name: str = "plan") -> list[str]:
    task = yaml.safe_load(scene.job_of(name)["spec"]["template"]["metadata"]["annotations"]["scanplan.dev/task"])
    found: list[str] = task["endpoints"]
    return found


def test_labelled_ingresses_are_scanned_and_the_rest_is_told(scene: Scene, administrator: Kubectl) -> None:
    grant(administrator, scene.namespace, "ingresses")
    scene.kubectl.apply(
        ingress("a", "shop.example.com", "wiki.example.com"),
        ingress("b", "*.example.com", None, "169.254.169.254.example.com"),
        ingress("c", "secret.example.com", labels={}),
    )
    scene.apply(**discovering(ingresses={}))
    status = scene.phase("Running")
    assert endpoints(scene) == [
        "http://169.254.169.254.example.com", "http://shop.example.com", "http://wiki.example.com",
    ]  # fmt: skip
    assert status["discovery"]["found"] == 3
    assert status["discovery"]["leftOut"] == 2
    assert "wildcard" in status["discovery"]["examples"][0]
    scene.kubectl.apply(ingress("d", "later.example.com"))
    status = scene.complete()
    assert status["endpointCount"] == 3, "the list is that of the start"
    scene.edit(rerun="again")
    scene.eventually(lambda: scene.plan()["status"].get("endpointCount") == 4)


class TestChangedSince:
    """The objects change while a scan runs: it goes on, and whatever ends it, what it found is kept."""

    @pytest.fixture
    def begun(self, scene: Scene, administrator: Kubectl) -> Scene:
        """A plan that scans one Ingress, and a second one that came later."""
        grant(administrator, scene.namespace, "ingresses")
        scene.kubectl.apply(ingress("a", "shop.example.com"))
        scene.apply(**discovering(ingresses={}))
        scene.run()
        scene.phase("Running")
        scene.kubectl.apply(ingress("b", "wiki.example.com"))
        return scene

    @pytest.mark.parametrize("gone", [False, True], ids=["another Ingress", "no Ingress"])
    def test_a_cancelled_scan_is_collected(self, begun: Scene, gone: bool) -> None:
        if gone:
            begun.kubectl("delete", "ingress", "a", "b")
        job = begun.job_of()["metadata"]["name"]
        begun.edit(cancel=True)
        begun.kubelet.stop_deleted(job, stopped)
        collect(begun, job, complete=False)
        status = begun.phase("Cancelled")
        assert status["findings"]["total"] == reports.FINDINGS.total
        assert (status["endpointCount"], status["discovery"]["found"]) == (1, 1)

    def test_a_failed_scan_is_collected(self, begun: Scene) -> None:
        job = begun.job_of()["metadata"]["name"]
        begun.edit(deadlineSeconds=10, timeoutSeconds=10)
        begun.kubelet.stop_deleted(job, stopped)
        collect(begun, job, complete=False)
        status = begun.phase("Failed", reason="DeadlineExceeded")
        assert status["findings"]["total"] == reports.FINDINGS.total

    def test_a_scan_whose_job_is_lost_is_collected(self, begun: Scene) -> None:
        job = begun.job_of()["metadata"]["name"]
        begun.kubectl.delete("job", job)
        begun.kubelet.stop_deleted(job, stopped)
        collect(begun, job, complete=False)
        status = begun.phase("Failed", reason="InputsChanged")
        assert status["findings"]["total"] == reports.FINDINGS.total
        assert "give spec.rerun a new value" in condition(status, "Ready")["message"]
        begun.edit(rerun="again")
        assert begun.complete()["endpointCount"] == 2

    def test_a_paused_scan_goes_on_with_its_list(self, begun: Scene) -> None:
        job = begun.job_of()["metadata"]
        begun.edit(suspend=True)
        begun.kubelet.stop_deleted(job["name"], stopped)
        begun.phase("Suspended")
        begun.edit(suspend=False)
        status = begun.complete()
        assert (status["jobRef"]["uid"], status["endpointCount"]) == (job["uid"], 1)

    def test_a_scan_outside_of_its_window_goes_on_with_its_list(
        self, alone: Scene, administrator: Kubectl, start_operator: StartOperator
    ) -> None:
        """Through a restart of the operator, too."""
        operator = start_operator()
        grant(administrator, alone.namespace, "ingresses")
        alone.kubectl.apply(ingress("a", "shop.example.com"))
        alone.apply(**discovering(ingresses={}))
        alone.run()
        alone.phase("Running")
        job = alone.job_of()["metadata"]
        alone.kubectl.apply(ingress("b", "wiki.example.com"))
        alone.edit(windows=closed())
        alone.kubelet.stop_deleted(job["name"], stopped)
        alone.phase("Suspended", reason="OutsideWindow")
        operator.kill()
        operator.start()
        alone.edit(windows=None)
        status = alone.complete()
        assert (status["jobRef"]["uid"], status["endpointCount"]) == (job["uid"], 1)


def test_a_missing_right_is_named_with_what_gives_it(scene: Scene, administrator: Kubectl) -> None:
    scene.kubectl.apply(ingress("a", "shop.example.com"))
    scene.apply(**discovering(ingresses={}))
    status = scene.phase("Failed", reason="InputUnavailable")
    assert "discovery.ingresses" in condition(status, "Stalled")["message"]
    grant(administrator, scene.namespace, "ingresses")
    scene.edit(priority=9)  # an edit looks at once
    scene.complete()


def test_a_kind_that_the_cluster_lacks_is_named(scene: Scene, administrator: Kubectl) -> None:
    grant(administrator, scene.namespace, "routes")
    scene.apply(**discovering(routes={}))
    message = condition(scene.phase("Failed", reason="InputUnavailable"), "Stalled")["message"]
    assert "this cluster doesn't have this kind of object" in message


def test_other_namespaces_are_the_owners_to_allow(scene: Scene) -> None:
    scene.apply(**discovering(ingresses={"namespaces": ["kube-system"]}))
    message = condition(scene.phase("Failed", reason="InvalidSpec"), "Stalled")["message"]
    assert "'kube-system'" in message
    assert "SCANPLAN_DISCOVERY_NAMESPACES" in message


def test_nothing_found_is_looked_for_again(scene: Scene, administrator: Kubectl) -> None:
    """Lost otherwise, in GitOps: a plan that was applied before its Ingresses."""
    grant(administrator, scene.namespace, "services")
    scene.apply(**discovering(services={}))
    message = condition(scene.phase("Failed", reason="InputUnavailable"), "Stalled")["message"]
    assert "scanplan.dev/scan=true" in message
    ports = [{"port": 443, "name": "https"}, {"port": 53, "protocol": "UDP", "name": "dns"}]
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "labels": YES},
        "spec": {"ports": ports},
    }
    scene.kubectl.apply(service)
    scene.edit(priority=9)
    scene.phase("Running")
    assert endpoints(scene) == [f"https://web.{scene.namespace}.svc"]


@pytest.mark.parametrize(
    "source",
    [
        {},
        {"ingresses": {}, "services": {}},
        {"ingresses": {"namespaces": ["../x"]}},
        {"ingresses": {"selector": {"matchLabels": {"a,b": "c"}}}},
        {"ingresses": {"selector": {"matchLabels": {"a": "b c"}}}},
        {"ingresses": {"selector": {"matchExpressions": [{"key": "a", "operator": "In"}]}}},
        {"ingresses": {"selector": {"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["b"]}]}}},
        {"ingresses": {"selector": {"matchExpressions": [{"key": "a", "operator": "Near", "values": ["b"]}]}}},
    ],
)
def test_what_is_written_wrong_is_refused_at_once(source: dict[str, Any], scene: Scene) -> None:
    with pytest.raises(KubectlError):
        scene.apply(**discovering(**source))


def test_the_commands_of_the_page(
    cluster: LocalCluster, administrator: Kubectl, namespace: str, tmp_path: Path
) -> None:
    kubectl = administrator.in_namespace(namespace)
    kubectl.apply(ingress("web", "shop.example.com", "*.example.com", labels={}))
    (tmp_path / "plan.yaml").write_text((ROOT / "examples/discover-ingresses.yaml").read_text())
    configuration = yaml.safe_load(cluster.kubeconfig.read_text())
    for context in configuration["contexts"]:
        context["context"]["namespace"] = namespace
    path = tmp_path / "kubeconfig"
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(configuration))
    programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    commands = re.findall(r"^\$ ((?:kubectl|scanplan) .*)$", PAGE.read_text(), re.MULTILINE)
    assert len(commands) == 3
    said = ""
    for command in commands:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command], text=True, capture_output=True,
            cwd=tmp_path, env={**os.environ, "KUBECONFIG": str(path), "PATH": programs, "COLUMNS": "120"}, check=True,
        )  # fmt: skip
        said += done.stdout + done.stderr
    assert "http://shop.example.com" in said
    assert re.search(rf"Ingress {namespace}/web: host '\*\.example\.com' is a\s+wildcard", said)
    assert kubectl.get("scanplan", "exposed")["spec"]["endpointsFrom"] == [{"ingresses": {"paths": False}}]
