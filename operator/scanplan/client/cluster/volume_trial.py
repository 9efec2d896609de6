"""Tries a claim in a pod that runs as scan pods do, and that is there only for it."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import msgspec

from scanplan.api import environment, labels
from scanplan.api.v1alpha1.volume_trial import VolumeTrial
from scanplan.client.cluster.cluster import Cluster
from scanplan.client.cluster.failure import Failure, NotFound
from scanplan.client.cluster.reader import scan_settings_of
from scanplan.core.observed.pods import pod_view
from scanplan.core.status import failure
from scanplan.kube.objects import Object
from scanplan.kube.resources import PODS

MOUNT = "/claim"
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
    pod = manifest(cluster.namespace, claim, image, *_settings(cluster))
    made = cluster.call("POST", cluster.path(PODS, namespace=cluster.namespace), pod)
    path = cluster.path(PODS, made["metadata"]["name"], namespace=cluster.namespace)
    try:
        return _answer(cluster, path, claim, time.monotonic() + patience)
    finally:
        with contextlib.suppress(NotFound):
            cluster.call("DELETE", path)


def manifest(namespace: str, claim: str, image: str, user: dict[str, Any], owner: dict[str, Any]) -> Object:
    """The pod.

    Args:
        user: who it runs as, as fields of securityContext.
        owner: what the operator's owner sets for all pods.
    """
    claim_label = {labels.CLAIM: claim[:63].rstrip("-.")}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": "scanplan-doctor-",
            "namespace": namespace,
            "labels": {labels.NAME: labels.NAME_VALUE, labels.COMPONENT: "doctor", **claim_label},
        },
        "spec": {
            **owner,
            "nodeSelector": {**labels.LINUX, **(owner.get("nodeSelector") or {})},
            "restartPolicy": "Never",
            "activeDeadlineSeconds": int(PATIENCE_SECONDS) + 60,
            "terminationGracePeriodSeconds": 1,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": {**user, "runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [
                {
                    "name": labels.CONTAINER,
                    "image": image,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["python3", "-m", "scanplan.runner.artifacts.trial", MOUNT],
                    "env": [{"name": environment.TERMINATION_LOG, "value": LOG}],
                    "resources": {
                        "requests": {"cpu": "10m", "memory": "32Mi"},
                        "limits": {"cpu": "1", "memory": "128Mi"},
                    },
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                    "volumeMounts": [{"name": "claim", "mountPath": MOUNT}],
                }
            ],
            "volumes": [{"name": "claim", "persistentVolumeClaim": {"claimName": claim}}],
        },
    }


def _settings(cluster: Cluster) -> tuple[dict[str, Any], dict[str, Any]]:
    security, defaults = scan_settings_of(cluster)
    return security.manifest(), defaults.owner_fields() if defaults else {}


def _answer(cluster: Cluster, path: str, claim: str, end: float) -> VolumeTrial:
    while True:
        pod = cluster.get(path)
        view = pod_view(pod)
        if not view.alive:
            try:
                return msgspec.json.decode(view.message.encode(), type=VolumeTrial)
            except (msgspec.DecodeError, UnicodeEncodeError):
                why = view.message or view.reason or view.phase
                raise Failure(f"the pod that tries claim {claim} ended without an answer: {why[:300]}") from None
        if time.monotonic() > end:
            blocked = failure.blocked_by([view])
            why = blocked.message if blocked else "its pod doesn't start"
            raise Failure(f"claim {claim} can't be tried: {why}", f"kubectl describe pvc {claim}")
        time.sleep(_POLL_SECONDS)
