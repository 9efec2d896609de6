"""The chart as a whole: its own suites, what well-known checkers say of it, and the files that are written from others."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart import documents, programs
from tests.chart.chart import CHART, NAMESPACE, ROOT, Values, environment, operator_container, render

ACCEPTED = {
    "pod-networkpolicy": "off by default, because its owner has to name the API server's addresses",
    "container-image-pull-policy": "images go by version or digest, so what a node has is what was meant",
    "container-security-context-user-group-id": "the image sets user and group 65532, and OpenShift one of its own",
    "container-resources": "a limit on CPU would only make the operator late; memory has one",
    "networkpolicy-targets-pod": "the operator makes the pods that it selects",
    "deployment-replicas": "one operator works at a time; the Service is for Prometheus, which misses a scrape",
    "container-ephemeral-storage-request-and-limit": "it writes nothing: the root is read-only, /tmp is bounded",
}
"""kube-score's findings that stay, by check, and why."""
PASSED = 10


@pytest.mark.parametrize("path", documents.DOCUMENTS, ids=lambda path: path.name)
def test_generated_files_are_current(path: Path) -> None:
    """`make chart` writes them."""
    assert path.read_text() == documents.DOCUMENTS[path]()


def test_helm_finds_nothing_wrong() -> None:
    programs.run("helm", "lint", "--strict", "--quiet", str(CHART))


def test_the_charts_own_suites_pass() -> None:
    programs.run("helm-unittest", "--strict", str(CHART))


def test_a_package_holds_what_an_installation_needs_and_no_more(tmp_path: Path) -> None:
    programs.run("helm", "package", str(CHART), "--destination", str(tmp_path))
    (package,) = tmp_path.glob("*.tgz")
    packaged = programs.run("helm", "show", "values", str(package))
    assert packaged.strip() == (CHART / "values.yaml").read_text().strip()
    assert set(render(chart=package)) == set(render())


def judgement(values: Values) -> Any:
    """What kube-score says of each object; it ends with an error where it has found something."""
    manifests = yaml.safe_dump_all(
        each for each in render(values).values() if each["kind"] != "CustomResourceDefinition"
    )
    command = [str(programs.path("kube-score")), "score", "--output-format=json", "-"]
    return json.loads(subprocess.run(command, input=manifests, stdout=subprocess.PIPE, text=True, check=False).stdout)


def test_a_well_known_checker_finds_nothing_that_is_not_explained() -> None:
    def apart(component: str) -> Values:
        selector = {"matchLabels": {"app.kubernetes.io/component": component}}
        return {"topologyKey": "kubernetes.io/hostname", "labelSelector": selector}

    hardened: Values = {
        "replicas": 2,
        "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [apart("operator")]}},
        "podDisruptionBudget": {"enabled": True},
        "scanNamespaces": ["scanplan-system"],
        "networkPolicy": {
            "enabled": True,
            "apiServer": ["10.96.0.1/32"],
            "api": [{"namespaceSelector": {}}],
            "redis": [{"ipBlock": {"cidr": "203.0.113.9/32"}}],
        },
        "api": {
            "enabled": True,
            "replicas": 2,
            "readerPods": True,
            "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [apart("api")]}},
        },
        "redis": {"existingSecret": {"name": "results"}, "sharedTasks": True},
        "retention": {"enabled": True, "maxAge": "30d"},
        "worker": {"enabled": True},
    }
    found: dict[str, list[Any]] = {}
    for values in ({}, hardened):
        for judged in judgement(values):
            for check in judged["checks"]:
                if not check["skipped"] and check["grade"] < PASSED:
                    found.setdefault(check["check"]["id"], []).append((judged["object_name"], check["comments"]))
    assert {check: said for check, said in found.items() if check not in ACCEPTED} == {}
    assert set(ACCEPTED) == set(found)


def test_artifact_hub_is_told_of_the_images_that_are_installed() -> None:
    """It scans those for what is known to be wrong with them."""
    objects = render({"worker": {"enabled": True}, "redis": {"url": "redis://redis.data:6379/0"}})
    (worker,) = objects[f"Deployment {NAMESPACE}/scanplan-operator-worker"]["spec"]["template"]["spec"]["containers"]
    annotations = yaml.safe_load((CHART / "Chart.yaml").read_text())["annotations"]
    told = {image["name"]: image["image"] for image in yaml.safe_load(annotations["artifacthub.io/images"])}
    assert told == {
        "operator": operator_container(objects)["image"],
        "scanner": environment(objects)["SCANPLAN_SCANNER_IMAGE"],
        "worker": worker["image"],
    }
    changes = yaml.safe_load(annotations["artifacthub.io/changes"])
    assert {change["kind"] for change in changes} <= {"added", "changed", "deprecated", "removed", "fixed", "security"}


def test_the_examples_on_artifact_hub_are_plans_that_a_cluster_accepts() -> None:
    import jsonschema

    annotations = yaml.safe_load((CHART / "Chart.yaml").read_text())["annotations"]
    definitions = [yaml.safe_load((ROOT / "crds" / kind).read_text()) for kind in documents.KINDS]
    schemas = {
        each["spec"]["names"]["kind"]: each["spec"]["versions"][0]["schema"]["openAPIV3Schema"] for each in definitions
    }
    for example in yaml.safe_load(annotations["artifacthub.io/crdsExamples"]):
        jsonschema.validate(example, schemas[example["kind"]])
    described = yaml.safe_load(annotations["artifacthub.io/crds"])
    assert [each["name"] for each in described] == [kind.removesuffix(".yaml") for kind in documents.KINDS]
