"""The chart on a real cluster: Helm as a user runs it, and what is seen of the release then."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.chart import programs
from tests.chart.chart import CHART, NAMESPACE, RELEASE, ROOT, Values
from tests.kubectl import Kubectl, Manifest, eventually

NAMESPACES = (NAMESPACE, "red", "blue")
TARGETS = "targets"
TARGET = f"http://vulnerable-app.{TARGETS}:8080"
CRD = "scanplans.scanplan.dev"
CLAIM: Values = {"artifacts": {"create": True, "size": "100Mi"}}
PATIENCE = 240.0
"""Seconds that anything may take on a busy machine. Nothing is measured with it."""
OWN = f"app.kubernetes.io/instance={RELEASE}"
"""Selects what the release has created."""


@dataclass(frozen=True)
class Installer:
    """Helm on one cluster, with the images that were built for it."""

    kubectl: Kubectl
    images: Values

    def __call__(self, verb: str, *arguments: str, values: Values | None = None, chart: Path = CHART) -> None:
        """`helm install` or `helm upgrade` to the end."""
        command = [verb, RELEASE, str(chart), "--namespace", NAMESPACE, "--values=-"]
        self.helm(*command, *arguments, text=json.dumps(merged(self.images, values or {})))
        kubectl = self.kubectl.in_namespace(NAMESPACE)
        for deployment in ("scanplan-operator", "scanplan-operator-api"):
            if kubectl.find("deployment", deployment):
                kubectl("rollout", "status", f"deployment/{deployment}", "--timeout=180s")

    def uninstall(self) -> None:
        if RELEASE in self.helm("list", "--all", "--short", "--namespace", NAMESPACE).split():
            self.helm("uninstall", RELEASE, "--namespace", NAMESPACE, "--wait", "--timeout=3m")

    def helm(self, *arguments: str, text: str | None = None) -> str:
        return programs.run("helm", "--kubeconfig", str(self.kubectl.kubeconfig), *arguments, text=text)

    def of_these_images(self, command: str) -> str:
        """A command of a page with the images that were built for the tests, instead of its reader's."""
        for part, values in self.images.items():
            own = part == "image"
            name, at, built = ("operator", part, values) if own else (part, f"{part}.image", values["image"])
            # As a string: a tag may be of digits alone.
            command = command.replace(f"REGISTRY/{name}", f"{built['repository']} --set-string {at}.tag={built['tag']}")
        return command

    def script(self, namespace: str) -> str:
        """The notes of the release, for the target of the tests."""
        notes = self.helm("get", "notes", RELEASE, "--namespace", namespace)
        example = "TARGET=https://app.example.com\n"
        assert example in notes
        return notes.removeprefix("NOTES:\n").replace(example, f"TARGET={TARGET}\n")


def merged(base: Values, over: Values) -> Values:
    """Values laid over values, as Helm does it."""
    both = {name: merged(base[name], over[name]) for name in base.keys() & over.keys() if isinstance(base[name], dict)}
    return {**base, **over, **both}


def sweep(kubectl: Kubectl) -> None:
    """Remove what an uninstallation leaves: schedules, which make plans; plans, and with them their Jobs, before the definitions;
    claims when no pod has them.

    The lease last, which an operator may still have as it ends.
    """
    definitions = [f"{plural}.scanplan.dev" for plural in ("scanschedules", "scanplans")]
    for definition in definitions:
        if kubectl.find("crd", definition):
            for namespace in NAMESPACES:
                kubectl.in_namespace(namespace)("delete", definition, "--all", "--timeout=180s")
    eventually(lambda: not kubectl.get("jobs,pods", "-A", "-l", "scanplan.dev/task")["items"], within=PATIENCE)
    kubectl("delete", "crd", *definitions, "--ignore-not-found", "--timeout=180s")
    for namespace in NAMESPACES:
        kubectl.in_namespace(namespace)("delete", "pvc", "--all", "--timeout=180s")
    eventually(lambda: not kubectl.get("pods", "-A", "-l", OWN)["items"], within=PATIENCE)
    kubectl.in_namespace(NAMESPACE)("delete", "lease/scanplan-operator", "--ignore-not-found")


def image(reference: str) -> Values:
    repository, _, tag = reference.rpartition(":")
    return {"repository": repository, "tag": tag}


def plan(name: str, **spec: Any) -> Manifest:
    return {
        "apiVersion": "scanplan.dev/v1alpha1",
        "kind": "ScanPlan",
        "metadata": {"name": name},
        "spec": {"endpoints": [TARGET], "templates": ["http/exposures/"], **spec},
    }


def completed(kubectl: Kubectl, name: str) -> Manifest:
    """The plan, once it has completed."""
    kubectl("wait", f"scanplan/{name}", "--for=condition=Succeeded", "--timeout=180s")
    found: Manifest = kubectl.get("scanplan", name)
    return found


def remains(kubectl: Kubectl) -> str:
    """What is left of the release, but for the definition and the claims, which are to stay."""
    kinds = "deploy,rs,pod,svc,job,cronjob,sa,cm,pdb,netpol,role,rolebinding,clusterrole,clusterrolebinding"
    return kubectl("get", kinds, "-A", "-l", OWN, "-o", "name")


def jobs(kubectl: Kubectl) -> set[str]:
    """UIDs of the namespace's Jobs."""
    return {job["metadata"]["uid"] for job in kubectl.get("jobs")["items"]}


def shell(script: str, kubectl: Kubectl) -> str:
    """Run what a user would paste into a shell, at the top of the repository."""
    environment = {
        **os.environ,
        "KUBECONFIG": str(kubectl.kubeconfig),
        "PATH": f"{Path(sys.prefix) / 'bin'}:{programs.path('helm').parent}:{os.environ['PATH']}",
    }
    done = subprocess.run(
        ["bash", "-eu", "-c", script],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def allowed(kubectl: Kubectl, who: str, verb: str, what: str, *more: str) -> bool:
    command = kubectl.command("auth", "can-i", verb, what, who, *more)
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() == "yes"
