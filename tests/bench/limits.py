"""A burst of plans at an operator with the chart's default resource limits, in a real pod: all done, and never killed for memory.

The operator's container is real, and so are its limits. The scan pods are not: no scheduler runs, and a stand-in for the kubelet
says of them what a node would, since two cores can't run 500 scanners at once.
"""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor

from scanplan.api.exit_codes import ExitCode
from tests.bench.figure import Figure, at_least, at_most
from tests.bench.node import Node, node
from tests.bench.stage import CONNECTIONS, NAMESPACE, peak_mib
from tests.chart import chart
from tests.cluster.local.isolation import CGROUPS
from tests.console import step
from tests.deploy import SYSTEM_NAMESPACE
from tests.integration import reports
from tests.integration.apiserver import PLANS, PODS, ApiServer, Object
from tests.integration.kubelet import Kubelet, document_of
from tests.integration.scene import scanplan
from tests.kubectl import Kubectl

BURST = 500
PATIENCE_SECONDS = 300.0
"""How long the burst may take; what isn't done by then is counted as not done."""
OPERATOR = "scanplan-operator"


def measure() -> list[Figure]:
    with node() as on:
        system = on.stage.kubectl.in_namespace(SYSTEM_NAMESPACE)
        limit(system)
        on.cluster.kill("kube-scheduler")
        began = time.monotonic()
        done = burst(on)
        took = time.monotonic() - began
        wait_for_operator(system)  # one that has just been killed comes back
        (pod,) = system.get("pods", "-l", f"app.kubernetes.io/name={OPERATOR}")["items"]
        restarts = pod["status"]["containerStatuses"][0]["restartCount"]
        return [
            Figure(f"limits: plans done, of {BURST} at once", done, "plans", at_least(BURST)),
            Figure("limits: restarts of the operator", restarts, "", at_most(0)),
            Figure("limits: operator's memory, peak", peak_mib(process_of(pod)), "MiB"),
            Figure("limits: until all are done", took, "s"),
        ]


def limit(system: Kubectl) -> None:
    """Give the operator the resources of the chart's values.yaml, and wait until it is the only one."""
    container = {"name": "operator", "resources": chart.defaults()["resources"]}
    patch = {
        "spec": {
            "strategy": {"$retainKeys": ["type"], "type": "Recreate"},
            "template": {"spec": {"containers": [container]}},
        }
    }
    system("patch", "deployment", OPERATOR, "-p", json.dumps(patch))
    wait_for_operator(system)


def wait_for_operator(system: Kubectl) -> None:
    system("rollout", "status", f"deployment/{OPERATOR}", "--timeout=300s")


def burst(on: Node) -> int:
    """Create the plans, run their pods as they come, and return how many plans are Completed at the end."""
    api, path = ApiServer(on.cluster), PLANS.format(NAMESPACE)
    kubelet, done = Kubelet(api, NAMESPACE), 0
    plans = [scanplan(f"plan-{number}") for number in range(BURST)]
    end = time.monotonic() + PATIENCE_SECONDS
    with step(f"{BURST} plans at once") as progress, ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(lambda plan: api.create(path, plan), plans))
        while done < BURST and time.monotonic() < end:
            pending = api.list(PODS.format(NAMESPACE), fieldSelector="status.phase=Pending")
            list(pool.map(lambda pod: run(kubelet, pod), pending))
            done = sum(plan["status"].get("phase") == "Completed" for plan in api.list(path))
            progress.update(f"{done} Completed")
    return done


def run(kubelet: Kubelet, pod: Object) -> None:
    """A scan pod gets its node, finds nothing, and merges its only shard."""
    kubelet.run(pod)
    kubelet.end(pod, ExitCode.OK, reports.complete(0, reports.merged(document_of(pod))))


def process_of(pod: Object) -> int:
    """The operator's process, as this machine sees it: that of the pod's cgroups which has grown most."""
    groups = CGROUPS.glob(f"**/pod{pod['metadata']['uid']}/*/cgroup.procs")
    return max({int(pid) for group in groups for pid in group.read_text().split()}, key=peak_mib)
