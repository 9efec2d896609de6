"""Tries a claim in a pod that runs as scan pods do, and that is there only for it."""

from __future__ import annotations

import time

from scanplan.api import environment, wire
from scanplan.api.v1alpha1.volume_trial import VolumeTrial
from scanplan.client.cluster import pods
from scanplan.client.cluster.cluster import Cluster
from scanplan.client.cluster.failure import Failure
from scanplan.client.cluster.reader import settings_of, template_of
from scanplan.core.observed.pods import pod_view
from scanplan.core.status import failure
from scanplan.kube.resources import PODS

LOG = "/dev/termination-log"
PATIENCE_SECONDS = 120.0
"""Until the pod must have ended: nodes may have to attach the volume, or to pull the image."""
_POLL_SECONDS = 0.4


def tried(cluster: Cluster, claim: str, image: str, patience: float = PATIENCE_SECONDS) -> VolumeTrial:
    """Try a claim of the cluster's namespace.

    Args:
        image: the scanner's.
        patience: seconds until the pod must have ended.

    Raises:
        Failure: the pod doesn't start, or ends without an answer; with the reason.
    """
    security, defaults = settings_of(cluster)
    use = pods.Use(
        name="scanplan-doctor-",
        namespace=cluster.namespace,
        component="doctor",
        claim=claim,
        image=image,
        command=["python3", "-m", "scanplan.runner.artifacts.trial", pods.MOUNT],
        seconds=int(PATIENCE_SECONDS) + 60,
        read_only=False,
    )
    pod = pods.restricted(use, security, template_of({}, None, defaults))
    pod["spec"]["containers"][0]["env"] = [{"name": environment.TERMINATION_LOG, "value": LOG}]
    made = cluster.call("POST", cluster.path(PODS, namespace=cluster.namespace), pod)
    path = cluster.path(PODS, made["metadata"]["name"], namespace=cluster.namespace)
    try:
        return _answer(cluster, path, claim, time.monotonic() + patience)
    finally:
        pods.remove(cluster, path)


def _answer(cluster: Cluster, path: str, claim: str, end: float) -> VolumeTrial:
    while True:
        pod = cluster.get(path)
        view = pod_view(pod)
        if not view.alive:
            try:
                return wire.decode(view.message.encode(), VolumeTrial)
            except wire.UNREADABLE:
                why = view.message or view.reason or view.phase
                raise Failure(f"the pod that tries claim {claim} ended without an answer: {why[:300]}") from None
        if time.monotonic() > end:
            blocked = failure.blocked_by([view])
            why = blocked.message if blocked else "its pod doesn't start"
            raise Failure(f"claim {claim} can't be tried: {why}", f"kubectl describe pvc {claim}")
        time.sleep(_POLL_SECONDS)
