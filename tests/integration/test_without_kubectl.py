"""What tests do at the API server without kubectl. Lost otherwise: minutes of each run, where kubectl does it unseen."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

import pytest

from tests.cluster import LocalCluster
from tests.fixtures.control_plane import kubeconfig_of
from tests.integration.scene import scanplan
from tests.kubectl import Kubectl, KubectlError

pytestmark = pytest.mark.integration

LABELS = {"of": "without-kubectl"}
OBJECTS: list[dict[str, Any]] = [
    {"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b"}},
    {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "spec": {"podSelector": {}}},
    {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "rules": []},
    scanplan("without-kubectl"),
]


@pytest.fixture
def without_kubectl(administrator: Kubectl, monkeypatch: pytest.MonkeyPatch) -> Kubectl:
    def fail(_: Kubectl, *arguments: str, **__: Any) -> NoReturn:
        raise KubectlError(" ".join(arguments))

    monkeypatch.setattr(Kubectl, "__call__", fail)
    return administrator.in_namespace("default")


@pytest.mark.parametrize("manifest", OBJECTS, ids=lambda each: each["kind"])
def test_objects_of_each_group_need_no_kubectl(without_kubectl: Kubectl, manifest: dict[str, Any]) -> None:
    kind, name = manifest["kind"], "without-kubectl"
    assert without_kubectl.find(kind, name) is None
    without_kubectl.apply(manifest | {"metadata": {"name": name, "labels": LABELS}})
    assert without_kubectl.get(kind, name)["kind"] == kind
    (listed,) = without_kubectl.get(kind, "-l", "of=without-kubectl")["items"]
    assert (listed["apiVersion"], listed["kind"]) == (manifest["apiVersion"], kind)
    for _ in range(2):
        without_kubectl.delete(kind, name)
    assert without_kubectl.find(kind, name) is None


def test_rights_and_tokens_need_no_kubectl(without_kubectl: Kubectl, tmp_path: Path, cluster: LocalCluster) -> None:
    without_kubectl.account("looker")
    without_kubectl.allow("looker", "looks", "get,list", "scanplans.scanplan.dev/artifacts", "secrets", names=["mine"])
    rules = without_kubectl.get("role", "looks")["rules"]
    assert [(each["apiGroups"], each["resources"], each["verbs"], each["resourceNames"]) for each in rules] == [
        (["scanplan.dev"], ["scanplans/artifacts"], ["get", "list"], ["mine"]),
        ([""], ["secrets"], ["get", "list"], ["mine"]),
    ]
    (subject,) = without_kubectl.get("rolebinding", "looks")["subjects"]
    assert (subject["namespace"], subject["name"]) == ("default", "looker")
    looker = Kubectl(kubeconfig_of(cluster, without_kubectl, tmp_path / "kubeconfig", "default", "looker"))
    assert looker.find("secret", "mine") is None
    with pytest.raises(KubectlError, match="secret other"):
        looker.find("secret", "other")
    for kind, name in (("rolebinding", "looks"), ("role", "looks"), ("serviceaccount", "looker")):
        without_kubectl.delete(kind, name)


def test_what_is_missing_or_unknown_is_told_in_kubectls_words(administrator: Kubectl) -> None:
    with pytest.raises(KubectlError, match=r'roles\.rbac\.authorization\.k8s\.io "nobody" not found'):
        administrator.in_namespace("default").get("role", "nobody")
    with pytest.raises(KubectlError, match="the server doesn't have a resource type"):
        administrator.find("unknowns", "x")
