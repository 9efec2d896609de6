"""The chart as its users see it: values in, objects out, by the same Helm that they have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from tests.chart import programs
from tests.kubectl import Manifest

ROOT = Path(__file__).parent.parent.parent
CHART = ROOT / "charts" / "scanplan-operator"
RELEASE = "scanplan"
NAMESPACE = "scanplan-system"

Values = dict[str, Any]
Objects = dict[str, Manifest]
"""By kind, namespace and name: `Deployment scanplan-system/scanplan-operator`, `ClusterRole scanplan-operator`."""


def defaults() -> Values:
    """What values.yaml says."""
    values: Values = yaml.safe_load((CHART / "values.yaml").read_text())
    return values


def render(
    values: Values | None = None, chart: Path = CHART, release: str = RELEASE, namespace: str = NAMESPACE
) -> Objects:
    """What an installation would create.

    Raises:
        ProgramError: the values are not allowed; the message says which and why.
    """
    text = programs.run(
        "helm",
        "template",
        release,
        str(chart),
        "--namespace",
        namespace,
        "--values",
        "-",
        text=json.dumps(values or {}),
    )
    return {key(manifest): manifest for manifest in yaml.load_all(text, Loader=yaml.CSafeLoader) if manifest}


def key(manifest: Manifest) -> str:
    metadata = manifest["metadata"]
    place = f"{metadata['namespace']}/" if "namespace" in metadata else ""
    return f"{manifest['kind']} {place}{metadata['name']}"


def operator_container(objects: Objects) -> Manifest:
    """The container of the operator's Deployment."""
    container: Manifest = objects[f"Deployment {NAMESPACE}/scanplan-operator"]["spec"]["template"]["spec"][
        "containers"
    ][0]
    return container


def environment(objects: Objects) -> dict[str, str]:
    """The operator's environment variables, but for those whose values come from elsewhere."""
    return {each["name"]: each["value"] for each in operator_container(objects)["env"] if "value" in each}
