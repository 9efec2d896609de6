"""The objects of Argo CD and Flux in examples/gitops: paths that there are, and fields that their own CRDs have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.ecosystem import programs
from tests.kubectl import Kubectl

ROOT = Path(__file__).parents[2]
EXAMPLES = [
    ROOT / "examples/gitops" / name for name in ("argocd/applications.yaml", "flux/operator.yaml", "flux/plans.yaml")
]
OBJECTS: list[dict[str, Any]] = [each for path in EXAMPLES for each in yaml.safe_load_all(path.read_text())]
DEFINITIONS = {
    "github.com/argoproj/argo-cd/v3@v3.5.7": "manifests/crds/application-crd.yaml",
    "github.com/fluxcd/helm-controller@v1.4.0": "config/crd/bases/helm.toolkit.fluxcd.io_helmreleases.yaml",
    "github.com/fluxcd/kustomize-controller@v1.7.3": "config/crd/bases/kustomize.toolkit.fluxcd.io_kustomizations.yaml",
    "github.com/fluxcd/source-controller@v1.7.3": "config/crd/bases/source.toolkit.fluxcd.io_gitrepositories.yaml",
}
"""CRDs as their modules have them."""


def test_charts_are_where_they_say_and_have_the_values() -> None:
    sources = [each["spec"]["source"] for each in OBJECTS if each["kind"] == "Application"]
    releases = [each["spec"] for each in OBJECTS if each["kind"] == "HelmRelease"]
    charts = [(each["path"], each["helm"]["valuesObject"]) for each in sources if "helm" in each]
    charts += [(each["chart"]["spec"]["chart"], each["values"]) for each in releases]
    assert len(charts) == 2
    for path, values in charts:
        known = yaml.safe_load((ROOT / path / "values.yaml").read_text())
        assert values["image"].keys() <= known["image"].keys()
        assert values["scanner"]["image"].keys() <= known["scanner"]["image"].keys()


def test_sources_exist() -> None:
    repositories = {each["metadata"]["name"] for each in OBJECTS if each["kind"] == "GitRepository"}
    named = {each["spec"]["sourceRef"]["name"] for each in OBJECTS if each["kind"] == "Kustomization"}
    named |= {each["spec"]["chart"]["spec"]["sourceRef"]["name"] for each in OBJECTS if each["kind"] == "HelmRelease"}
    assert named == repositories


@pytest.mark.ecosystem
def test_their_definitions_accept_them(administrator: Kubectl) -> None:
    for module, definition in DEFINITIONS.items():
        path = programs.sources(module) / definition
        administrator("apply", "--server-side", "-f", str(path))
        administrator.wait_until_served(yaml.safe_load(path.read_text())["metadata"]["name"])
    for namespace in {each["metadata"]["namespace"] for each in OBJECTS}:
        administrator("create", "namespace", namespace)
    for example in EXAMPLES:
        administrator("apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", str(example))
