"""Nodes and pods at scale: kwok says of pods what a node would, and runs nothing; scheduler and controllers are Kubernetes' own.

A pod that got its node runs at once, and its container ends after some milliseconds with exit code 0 and the report of a runner
that has scanned the only shard. See https://kwok.sigs.k8s.io/docs/user/stages-configuration/ for what a Stage is.
"""

from __future__ import annotations

import dataclasses
import json
from typing import NamedTuple

from scanplan.api import labels, layout
from scanplan.api.documents.report import ArtifactFile, MergedResult
from scanplan.api.documents.words import encode
from tests.bench.stage import Stage
from tests.cluster.local import binaries, components
from tests.cluster.local.components import Component
from tests.ecosystem import programs
from tests.integration import reports
from tests.integration.apiserver import Object

NODE = "kwok"
ADDRESS = "127.0.0.1:10247"
SCAN_SECONDS = 0.1
"""From a pod's start to its end, so that whoever watches it has seen it run."""
PODS = 100_000
"""That the node takes at once: all pods of a ReadWriteOnce claim go to one node."""
WORKERS = 16
"""Pods that kwok attends to at the same time; with its default of 4 it would be what the figures measure."""
NOW = "{{ Now | Quote }}"
"""The present time, in a template."""
CONTAINER = """\
name: {{ (index .spec.containers 0).name | Quote }}
  image: {{ (index .spec.containers 0).image | Quote }}
  imageID: ""
  restartCount: 0"""
"""What all states of a pod's one container have, in a template of its list."""
FOLDER = "FOLDER"
"""In a report, where the name of the result's folder goes."""


class Pace(NamedTuple):
    """Requests a second that each client of a component may send, and how many at once."""

    qps: int
    burst: int


class Paces(NamedTuple):
    """How fast the two components that bring a Job to its end may ask."""

    controllers: Pace
    scheduler: Pace


RAISED = Paces(Pace(500, 1000), Pace(500, 1000))
SHIPPED = Paces(Pace(20, 30), Pace(50, 100))
"""The components' own defaults."""


def start(stage: Stage, paces: Paces = RAISED, scan_seconds: float = SCAN_SECONDS) -> None:
    """Add the scheduler, kwok and its node to a control plane, once.

    Args:
        scan_seconds: how long pods run.
    """
    cluster = stage.cluster
    cluster.run(paced(components.controller_manager(), paces.controllers))
    cluster.run(paced(components.scheduler(), paces.scheduler))
    settings = [configuration(), well(), running(), completing(scan_seconds), deleting()]
    (cluster.folder / "etc" / "kwok.yaml").write_text("\n---\n".join(map(json.dumps, settings)))
    cluster.run(controller())
    stage.api.create("/api/v1/nodes", node())


def paced(component: Component, pace: Pace) -> Component:
    """A component with limits of its own; of a flag that is there twice, the last one counts."""
    flags = (f"--kube-api-qps={pace.qps}", f"--kube-api-burst={pace.burst}")
    return dataclasses.replace(component, argv=(*component.argv, *flags))


def controller() -> Component:
    """kwok itself, built from source by the first who asks."""
    return Component(
        name="kwok",
        argv=(
            str(programs.path(binaries.TOOLS / "kwok", "kwok")),
            f"--kubeconfig={components.ETC}/admin.kubeconfig",
            f"--config={components.ETC}/kwok.yaml",
        ),
        ready=f"http://{ADDRESS}/healthz",
    )


def configuration() -> Object:
    """kwok's own settings, all that it needs: where there is a file, its defaults don't hold."""
    options = {
        "manageAllNodes": True,
        "nodeLeaseDurationSeconds": 40,
        "nodeLeaseParallelism": 1,
        "nodePlayStageParallelism": 1,
        "podPlayStageParallelism": WORKERS,
        "podsOnNodeSyncParallelism": 1,
        "cidr": "10.0.0.0/8",
        "serverAddress": ADDRESS,
    }
    return {"apiVersion": "config.kwok.x-k8s.io/v1alpha1", "kind": "KwokConfiguration", "options": options}


def node() -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": NODE, "labels": {"kubernetes.io/hostname": NODE, "kubernetes.io/os": "linux"}},
    }


def well() -> Object:
    """The node's status: room for all, and it is ready. Its lease is kwok's own concern."""
    room = f'{{cpu: 100k, memory: 100Ti, pods: "{PODS}"}}'
    status = f"""\
capacity: {room}
allocatable: {room}
conditions:
- {{type: Ready, status: "True", reason: KubeletReady, lastHeartbeatTime: {NOW}, lastTransitionTime: {NOW}}}
"""
    unready = {
        "key": '.status.conditions.[] | select( .type == "Ready" ) | .status',
        "operator": "NotIn",
        "values": ["True"],
    }
    return stage_of("Node", "well", [unready], {"statusTemplate": status})


def running() -> Object:
    status = f"""\
phase: Running
startTime: {NOW}
conditions:
- {{type: Ready, status: "True", lastTransitionTime: {NOW}}}
containerStatuses:
- {CONTAINER}
  ready: true
  state:
    running:
      startedAt: {NOW}
"""
    return stage_of("Pod", "run", in_phase("Pending"), {"statusTemplate": status})


def completing(scan_seconds: float) -> Object:
    status = f"""\
phase: Succeeded
conditions:
- {{type: Ready, status: "False", lastTransitionTime: {NOW}}}
containerStatuses:
- {CONTAINER}
  ready: false
  state:
    terminated:
      exitCode: 0
      reason: Completed
      startedAt: {{{{ .status.startTime | Quote }}}}
      finishedAt: {NOW}
      message: {report()}
"""
    delay = {"durationMilliseconds": round(1000 * scan_seconds)}
    return stage_of("Pod", "complete", in_phase("Running"), {"statusTemplate": status}, delay=delay)


def report() -> str:
    """What a runner of a plan with one shard says at its end, as a template; the operator takes no other folder than the task's."""
    result = MergedResult(
        path=FOLDER,
        complete=True,
        shards=1,
        endpoints_scanned=1,
        endpoints_unreachable=0,
        findings=reports.FINDINGS,
        files=(ArtifactFile(name=layout.FINDINGS, bytes=7, sha256="0" * 64),),
    )
    message = encode(reports.complete(0, result)).decode()
    mounts = "{{ range (index .spec.containers 0).volumeMounts }}{{ if .subPath }}{{ .subPath }}{{ end }}{{ end }}"
    task = f'{{{{ trimPrefix "scan-" (index .metadata.labels "{labels.TASK}") }}}}'
    return json.dumps(message).replace(FOLDER, f"{mounts}/tasks/{task}")


def deleting() -> Object:
    """What a kubelet does with a deleted pod in the end; the Job controller's finalizer stays its own."""
    deleted = {"key": ".metadata.deletionTimestamp", "operator": "Exists"}
    return stage_of("Pod", "delete", [deleted], {"delete": True})


def in_phase(phase: str) -> list[Object]:
    return [
        {"key": ".metadata.deletionTimestamp", "operator": "DoesNotExist"},
        {"key": ".status.phase", "operator": "In", "values": [phase]},
    ]


def stage_of(kind: str, name: str, selected: list[Object], then: Object, **more: Object) -> Object:
    """A Stage: what becomes of the objects of a kind that all expressions select."""
    return {
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "Stage",
        "metadata": {"name": name},
        "spec": {
            "resourceRef": {"apiGroup": "v1", "kind": kind},
            "selector": {"matchExpressions": selected},
            "next": then,
            **more,
        },
    }
