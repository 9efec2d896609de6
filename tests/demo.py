"""The demo: from nothing to a table of findings, with the commands that a user would type.

`python -m tests.demo up` gets a cluster, builds and loads the images, installs the operator, starts a deliberately
vulnerable web application, applies examples/scanplan.yaml, watches it to its end and prints what was found.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import rich.console

from scanplan.cli.output.tables import findings_table
from tests import cluster, deploy, images
from tests.console import console, step
from tests.kubectl import Kubectl, KubectlError, Manifest, eventually
from tests.suite import history
from tests.suite.__main__ import minutes

NAME = "demo"
NAMESPACE = "scanplan-demo"
PLAN = "first-scan"
EXAMPLE = "examples/scanplan.yaml"
SITES = ("shop", "wiki", "intranet")
"""The example's sites, all the same vulnerable application."""
TERMINAL = {"Completed", "Failed", "Cancelled"}

STEPS = {
    "images": ("3 min", "a Debian base and three images are made here, since none is pulled; kept for the next time"),
    "cluster": ("4 min", "Kubernetes is compiled from source where neither kind nor its programs are there; kept too"),
    "operator": ("15 s", "definitions, rights and the operator are applied, and its pod gets ready"),
    "application": ("15 s", "three vulnerable sites start, to have something to find"),
    "scan": ("15 s", "a pod scans them, and the findings are read from the claim"),
}
"""What the demo does, in its order: how long it takes from nothing on two idle cores, and why."""

WIDTH = 130

out = rich.console.Console(highlight=False, soft_wrap=True, record=True)


def up() -> int:
    """Run the demo; its exit code is 0 if the scan completed."""
    announce()
    with timed("images"), step("Building the images"):
        archives = images.build(["operator", "scanner", "webapp"])
    with timed("cluster"):
        running = cluster.up(NAME, reuse=True)
    with timed("operator"), step("Installing the operator"):
        kubectl = deploy.install(running, archives).in_namespace(NAMESPACE)
    with timed("application"), step("Starting a deliberately vulnerable web application"):
        kubectl.apply(*deploy.scan_namespace(NAMESPACE))
        kubectl.apply(
            *(part for site in SITES for part in deploy.vulnerable_app(site, NAMESPACE, archives["webapp"].reference))
        )
        for site in SITES:
            service = f"/api/v1/namespaces/{NAMESPACE}/services/{site}:8080/proxy/"
            eventually(functools.partial(answers, kubectl, service), within=120)
    kubectl("delete", "scanplan", PLAN, "--ignore-not-found")
    with timed("scan"):
        plan = scan(kubectl)
    if plan["status"]["phase"] != "Completed":
        out.print(kubectl("describe", "scanplan", PLAN))
        return 1
    findings = deploy.read_artifact(kubectl, archives["scanner"].reference, plan, "nuclei_output.ndjson")
    show([json.loads(line) for line in findings.splitlines()], plan)
    what_next()
    return 0


def announce() -> None:
    """What will be done, how long each step takes, and why."""
    last = history.read()
    out.print("From nothing to a table of findings:", markup=False)
    for name, (first, why) in STEPS.items():
        known = last.get(f"demo {name}")
        took = f"about {first} the first time" if known is None else f"{minutes(known)} last time"
        out.print(f"  {name:<12} {took:<27} {why}", markup=False)


@contextmanager
def timed(name: str) -> Iterator[None]:
    """Remember how long a step took, for the next announcement."""
    began = time.monotonic()
    yield
    history.write({f"demo {name}": time.monotonic() - began})


def answers(kubectl: Kubectl, path: str) -> bool:
    """Whether a path of the API server, here a Service behind it, can be had."""
    try:
        kubectl("get", "--raw", path)
    except KubectlError:
        return False
    return True


def scan(kubectl: Kubectl) -> Manifest:
    """Apply the example and show `kubectl get scanplans -w` until the plan has ended, or five minutes have passed."""
    with subprocess.Popen(
        kubectl.command("get", "scanplans", "-w", "--request-timeout=300s"), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        say(f"kubectl apply -f {EXAMPLE}")
        out.print(kubectl("apply", "-f", str(deploy.ROOT / EXAMPLE)).rstrip(), markup=False)
        say("kubectl get scanplans -w")
        for line in process.stdout:
            out.print(line.rstrip(), markup=False)
            columns = line.split()
            if len(columns) > 1 and columns[1] in TERMINAL:
                break
        process.terminate()
    plan: Manifest = kubectl.get("scanplan", PLAN)
    return plan


def show(findings: list[dict[str, Any]], plan: Manifest) -> None:
    """The findings as a table, most severe first."""
    out.print()
    out.print(findings_table(findings))
    artifacts = plan["status"]["artifacts"]
    out.print(f"from {artifacts['path']}/nuclei_output.ndjson on claim {artifacts['claimName']}", markup=False)


def what_next() -> None:
    """The commands to try now."""
    out.print("\nTry next:", style="bold")
    for line in (
        f"export KUBECONFIG=$(.venv/bin/python -m tests.cluster kubeconfig --name {NAME})",
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


def save(path: Path) -> None:
    """What the demo has printed as a picture, without the web fonts that rich's template would fetch."""
    picture = out.export_svg(title="make demo")
    path.write_text(re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.demo", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("action", choices=("up", "down"))
    parser.add_argument("--picture", type=Path, help="also save what is printed as an SVG file")
    arguments = parser.parse_args()
    if arguments.action == "down":
        return down()
    if arguments.picture:
        out.width = WIDTH
    try:
        code = up()
    except (cluster.ClusterError, images.ImageError, KubectlError) as error:
        console.print(f"✗ {error}", style="red", markup=False)
        return os.EX_SOFTWARE
    if arguments.picture:
        save(arguments.picture)
    return code


if __name__ == "__main__":
    sys.exit(main())
