"""The demo: from nothing to a table of findings, with the commands that a user would type.

`python -m tests.demo up` gets a cluster, builds and loads the images, installs the operator, starts a deliberately
vulnerable web application, applies examples/scanplan.yaml, watches it to its end and prints what was found.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from typing import Any

import rich.console

from scanplan.cli.tables import findings_table
from tests import cluster, deploy, images
from tests.console import step
from tests.kubectl import Kubectl, KubectlError, Manifest, eventually

NAME = "demo"
NAMESPACE = "scanplan-demo"
PLAN = "first-scan"
EXAMPLE = "examples/scanplan.yaml"
TERMINAL = {"Completed", "Failed", "Cancelled"}

out = rich.console.Console(highlight=False, soft_wrap=True)


def up() -> int:
    """Run the demo; its exit code is 0 if the scan completed."""
    with step("Building the images (the first time takes minutes)"):
        archives = images.build(["operator", "scanner", "webapp"])
    running = cluster.up(NAME, reuse=True)
    with step("Installing the operator"):
        kubectl = deploy.install(running, archives).in_namespace(NAMESPACE)
    with step("Starting a deliberately vulnerable web application"):
        kubectl.apply(*deploy.scan_namespace(NAMESPACE))
        kubectl.apply(*deploy.vulnerable_app(NAMESPACE, archives["webapp"].reference))
        kubectl("wait", "--for=condition=Ready", "pod/vulnerable-app", "--timeout=120s")
        service = f"/api/v1/namespaces/{NAMESPACE}/services/vulnerable-app:8080/proxy/"
        eventually(lambda: answers(kubectl, service), within=60)
    say(f"kubectl apply -f {EXAMPLE}")
    kubectl("delete", "scanplan", PLAN, "--ignore-not-found")
    kubectl("apply", "-f", str(deploy.ROOT / EXAMPLE))
    plan = watch(kubectl)
    if plan["status"]["phase"] != "Completed":
        out.print(kubectl("describe", "scanplan", PLAN))
        return 1
    findings = deploy.read_artifact(kubectl, archives["scanner"].reference, plan, "nuclei_output.ndjson")
    show([json.loads(line) for line in findings.splitlines()], plan)
    what_next(kubectl)
    return 0


def answers(kubectl: Kubectl, path: str) -> bool:
    """Whether a path of the API server, here a Service behind it, can be had."""
    try:
        kubectl("get", "--raw", path)
    except KubectlError:
        return False
    return True


def watch(kubectl: Kubectl) -> Manifest:
    """Show `kubectl get scanplans -w` until the plan has ended, or five minutes have passed."""
    say("kubectl get scanplans -w")
    with subprocess.Popen(
        kubectl.command("get", "scanplans", "-w", "--request-timeout=300s"), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            out.print(line.rstrip(), markup=False)
            columns = line.split()
            if len(columns) > 1 and columns[1] in TERMINAL:
                break
        process.terminate()
    plan: Manifest = kubectl.get("scanplan", PLAN)
    return plan


def show(findings: list[dict[str, Any]], plan: Manifest) -> None:
    """The findings as a table, gravest first."""
    out.print()
    out.print(findings_table(findings))
    artifacts = plan["status"]["artifacts"]
    out.print(f"from {artifacts['path']}/nuclei_output.ndjson on claim {artifacts['claimName']}", markup=False)


def what_next(kubectl: Kubectl) -> None:
    """The commands to try now."""
    out.print("\nTry next:", style="bold")
    for line in (
        f"export KUBECONFIG={kubectl.kubeconfig}",
        f"kubectl -n {NAMESPACE} describe scanplan {PLAN}",
        f"kubectl -n {NAMESPACE} apply -f {EXAMPLE}                      # the same scan: nothing runs twice",
        f'kubectl -n {NAMESPACE} patch scanplan {PLAN} --type=merge -p \'{{"spec":{{"rerun":"again"}}}}\'',
        "kubectl explain scanplan.spec",
        "make demo-down                                                  # leaves nothing behind",
    ):
        out.print(f"  {line}", markup=False, soft_wrap=True)


def down() -> int:
    """Remove the demo's cluster and everything in it."""
    running = cluster.find(NAME)
    if running is None:
        out.print("there is no demo to remove")
        return 0
    running.down()
    return 0


def say(command: str) -> None:
    """A command as its user would type it."""
    out.print(f"\n$ {command}", style="bold", markup=False)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.demo", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("action", choices=("up", "down"))
    return up() if parser.parse_args().action == "up" else down()


if __name__ == "__main__":
    sys.exit(main())
