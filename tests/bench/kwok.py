"""Nodes and pods at scale: kwok says of pods what a node would, and runs nothing; scheduler and controllers are Kubernetes' own.

A pod that got its node runs at once, and its container ends after some milliseconds with exit code 0 and the report of a runner
that has scanned the only shard. See https://kwok.sigs.k8s.io/docs/user/stages-configuration/ for what a Stage is.
"""

from __future__ import annotations

import dataclasses
import json
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from scanplan.api import labels, layout
from scanplan.api.documents.report import ArtifactFile, MergedResult
from scanplan.api.documents.words import encode
from tests.bench.stage import CONNECTIONS, Stage
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
"""That a node takes at once: all pods of a ReadWriteOnce claim go to one node."""
PATIENT = "--node-monitor-grace-period=24h"
"""For the controllers, which take a node for dead when nothing renews its lease. Nodes have none here: a thousand of them would be
a hundred writes a second, and a kwok that is started again would wait for those of the one before."""
KEEPING = "--terminated-pod-gc-threshold=0"
"""For the controllers, which remove the oldest ended pods beyond 12,500. Where a report went so, a collector reads the claim; but
these pods have written nothing to a claim."""
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
SHARD = 987_654
"""In a report, where the shard's number goes."""
INDEX = "batch.kubernetes.io/job-completion-index"
"""A pod's label with the number of its shard."""


class Pace(NamedTuple):
    """Requests a second that each client of a component may send, and how many at once."""

    qps: int
    burst: int


class Paces(NamedTuple):
    """How fast the two components that bring a Job to its end may ask."""

    controllers: Pace
    scheduler: Pace


class Size(NamedTuple):
    """How large the cluster is, and the plans in it."""

    nodes: int = 1
    shards: int = 1
    """Of each plan."""


RAISED = Paces(Pace(500, 1000), Pace(500, 1000))
SHIPPED = Paces(Pace(20, 30), Pace(50, 100))
"""The components' own defaults."""


def start(
    stage: Stage, paces: Paces = RAISED, scan_seconds: float | None = SCAN_SECONDS, size: Size | None = None
) -> None:
    """Add the scheduler, kwok and its nodes to a control plane, once.

    Args:
        scan_seconds: how long pods run; None: until `play` says so.
        size: by default, one node and plans of one shard.
    """
    size = size or Size()
    stage.cluster.run(paced(components.controller_manager(), paces.controllers, PATIENT, KEEPING))
    stage.cluster.run(paced(components.scheduler(), paces.scheduler))
    play(stage, scan_seconds, size)
    names = [NODE, *(f"{NODE}-{number}" for number in range(1, size.nodes))]
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(lambda name: stage.api.create("/api/v1/nodes", node(name)), names))


def play(stage: Stage, scan_seconds: float | None, size: Size) -> None:
    """Start kwok with these stages, in place of the one that runs."""
    ends = [] if scan_seconds is None else [completing(scan_seconds, size.shards)]
    settings = [configuration(), well(), running(), *ends, deleting()]
    (stage.cluster.folder / "etc" / "kwok.yaml").write_text("\n---\n".join(map(json.dumps, settings)))
    stage.cluster.run(controller())


def paced(component: Component, pace: Pace, *more: str) -> Component:
    """A component with limits of its own, and more flags; of a flag that is there twice, the last one counts."""
    flags = (f"--kube-api-qps={pace.qps}", f"--kube-api-burst={pace.burst}", *more)
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
        "nodeLeaseDurationSeconds": 0,
        "nodePlayStageParallelism": 1,
        "podPlayStageParallelism": WORKERS,
        "podsOnNodeSyncParallelism": 1,
        "cidr": "10.0.0.0/8",
        "serverAddress": ADDRESS,
    }
    return {"apiVersion": "config.kwok.x-k8s.io/v1alpha1", "kind": "KwokConfiguration", "options": options}


def node(name: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}},
    }


def well() -> Object:
    """The node's status: room for all, and it is ready."""
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


def completing(scan_seconds: float, shards: int) -> Object:
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
      message: {report(shards)}
"""
    delay = {"durationMilliseconds": round(1000 * scan_seconds)}
    return stage_of("Pod", "complete", in_phase("Running"), {"statusTemplate": status}, delay=delay)


def report(shards: int) -> str:
    """What a runner that has found all shards complete says at its end, as a template; the operator takes no other folder than the
    task's. Every pod says it: several may find themselves last, and each merge has the same bytes.
    """
    result = MergedResult(
        path=FOLDER,
        complete=True,
        shards=shards,
        endpoints_scanned=shards,
        endpoints_unreachable=0,
        findings=reports.FINDINGS,
        files=(ArtifactFile(name=layout.FINDINGS, bytes=7, sha256="0" * 64),),
    )
    message = json.dumps(encode(reports.complete(SHARD, result)).decode())
    index = f'{{{{ index .metadata.labels "{INDEX}" }}}}'
    mounts = "{{ range (index .spec.containers 0).volumeMounts }}{{ if .subPath }}{{ .subPath }}{{ end }}{{ end }}"
    task = f'{{{{ trimPrefix "scan-" (index .metadata.labels "{labels.TASK}") }}}}'
    return message.replace(FOLDER, f"{mounts}/tasks/{task}").replace(str(SHARD), index)


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
