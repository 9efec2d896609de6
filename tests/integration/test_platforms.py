"""The settings of docs/how-to/platforms.md, each applied: a plan's pods are admitted, and have what the page promises.

Kyverno's and Gatekeeper's baselines are stood for by ValidatingAdmissionPolicies of the API server with the same rules.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from scanplan.api import labels
from scanplan.api.v1alpha1.scan_defaults import PodDefaults
from scanplan.client.cluster import reader
from tests.chart import pages
from tests.e2e import admission
from tests.integration.scene import Scene
from tests.kubectl import Kubectl, KubectlError, eventually

pytestmark = pytest.mark.integration

PAGE = "docs/how-to/platforms.md"
SETTINGS = pages.settings(PAGE)
BASELINE = {
    "the label team is required": "'team' in object.metadata.labels",
    "limits of cpu and memory are required": "object.spec.containers.all(c, has(c.resources.limits) && "
    "['cpu', 'memory'].all(r, r in c.resources.limits))",
    "images come from one registry, by digest": "object.spec.containers.all(c, "
    "c.image.matches('^registry[.]example[.]com/.+@sha256:[0-9a-f]{64}$'))",
    "no privilege escalation": "object.spec.containers.all(c, c.?securityContext.allowPrivilegeEscalation.orValue(true) == false)",
    "no host namespaces": "![object.spec.?hostNetwork, object.spec.?hostPID, object.spec.?hostIPC].exists(h, h.orValue(false))",
    "no token": "object.spec.?automountServiceAccountToken.orValue(true) == false",
}


PROBE = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "probe"},
    "spec": {
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [
            {
                "name": "probe",
                "image": "probe",
                "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
            }
        ],
    },
}
"""A pod that the namespace admits, and the baseline does not."""


def refuse(scene: Scene, administrator: Kubectl) -> None:
    """Refuse pods that are outside of the baseline. The API server does so some time after it has taken the policies."""
    administrator.apply(*admission.refusing(f"{scene.namespace}-baseline", [scene.namespace], BASELINE))

    def refused() -> bool:
        try:
            scene.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(PROBE))
        except KubectlError as error:
            return "denied request" in str(error)
        return False

    eventually(refused)


@pytest.mark.parametrize(
    "setting",
    SETTINGS,
    ids=[f"{number}-{each.title.lower().replace(' ', '-')}" for number, each in enumerate(SETTINGS)],
)
def test_each_setting_of_the_page_reaches_the_pods(
    setting: pages.Setting, alone: Scene, administrator: Kubectl, start_operator: Callable[..., Any]
) -> None:
    """Lost otherwise: somebody's first hour, with a page that names a field that is refused."""
    if "Kyverno" in setting.title:
        refuse(alone, administrator)
    start_operator(**setting.settings())
    alone.apply(**setting.spec)
    (pod,) = alone.kubelet.pending(alone.started())
    spec, metadata = pod["spec"], pod["metadata"]
    wanted = pages.defaults_of(setting)
    for kind in ("labels", "annotations"):
        assert metadata[kind].items() >= wanted.get(kind, {}).items()
    assert spec["nodeSelector"] == {"kubernetes.io/os": "linux", **wanted.get("nodeSelector", {})}
    assert [each for each in wanted.get("tolerations", []) if each not in spec["tolerations"]] == []
    assert spec.get("imagePullSecrets", []) == wanted.get("imagePullSecrets", [])
    scanner = setting.values.get("scanner", {})
    if resources := scanner.get("resources"):
        assert spec["containers"][0]["resources"] == resources
    if (users := scanner.get("podSecurityContext")) is not None:
        given = {
            name: value
            for name, value in spec["securityContext"].items()
            if name in ("runAsUser", "runAsGroup", "fsGroup")
        }
        assert given == users
    assert spec["securityContext"]["runAsNonRoot"] is True


def test_exporters_and_readers_are_admitted_under_the_pages_baseline(
    alone: Scene, administrator: Kubectl, start_operator: Callable[..., Any]
) -> None:
    """Lost otherwise: results that nobody reads or gets, under a policy for which the page has the settings."""
    (setting,) = (each for each in SETTINGS if "Kyverno" in each.title)
    refuse(alone, administrator)
    start_operator(**{**setting.settings(), "SCANPLAN_EXPORT_HOSTS": "in.example.com"})
    alone.apply(**setting.spec, exports=[{"name": "hook", "http": {"url": "https://in.example.com/scans"}}])
    alone.complete()

    def exporter() -> str:
        jobs = [each["metadata"] for each in alone.jobs()]
        names = [each["name"] for each in jobs if each["labels"][labels.COMPONENT] == labels.COMPONENT_EXPORTER]
        return str(names[0]) if names else ""

    (pod,) = alone.kubelet.pending(alone.eventually(exporter))
    assert pod["metadata"]["labels"]["team"] == "security"
    assert pod["spec"]["containers"][0]["resources"]["limits"].keys() >= {"cpu", "memory"}
    image = pod["spec"]["containers"][0]["image"]
    defaults = PodDefaults.model_validate(pages.defaults_of(setting))
    read = reader.manifest(alone.plan(), "claim", image, defaults=defaults)
    alone.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(read))


def test_without_the_pages_settings_a_baseline_refuses_the_pods(
    alone: Scene, administrator: Kubectl, start_operator: Callable[..., Any]
) -> None:
    """Else the policies above would show nothing."""
    refuse(alone, administrator)
    start_operator()
    alone.apply()
    job = alone.started()
    events = alone.eventually(
        lambda: [
            each["message"]
            for each in alone.kubectl.get("events")["items"]
            if each["involvedObject"]["name"] == job and each["reason"] == "FailedCreate"
        ]
    )
    assert "the label team is required" in " ".join(events) or "denied request" in " ".join(events)


def started(scene: Scene, name: str) -> dict[str, Any]:
    """The Job of a plan, once there is one."""
    scene.started(name)
    return scene.job_of(name)


def test_the_owners_defaults_hold_for_all_plans(alone: Scene, start_operator: Callable[..., Any]) -> None:
    """Of docs/configuration.md: a plan's own value wins, and what is locked stays."""
    (setting,) = pages.settings("docs/configuration.md")[-1:]
    start_operator(**setting.settings())
    alone.apply("plain")
    alone.apply("own", scanner={"rateLimit": 50, "bulkSize": 3}, podTemplate={"imagePullSecrets": [{"name": "mine"}]})
    alone.apply("stubborn", scanner={"rateLimit": 99})
    template = started(alone, "plain")["spec"]["template"]["spec"]
    assert template["runtimeClassName"] == "gvisor"
    assert template["dnsConfig"] == {"options": [{"name": "ndots", "value": "1"}]}
    assert template["imagePullSecrets"] == [{"name": "mirror"}]
    assert any(
        volume.get("image", {}).get("reference", "").startswith("registry.example.com")
        for volume in template["volumes"]
    )
    assert started(alone, "own")["spec"]["template"]["spec"]["imagePullSecrets"] == [{"name": "mine"}]
    status = alone.phase("Failed", "stubborn", "InvalidSpec")
    assert any(
        "scanner.rateLimit is locked by the operator's owner" in each["message"] for each in status["conditions"]
    )
