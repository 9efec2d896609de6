"""Restricted pods that commands start beside scans, for as long as they need a claim."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scanplan.api import labels
from scanplan.api.v1alpha1.plan.pod_template import RESERVED_KEYS
from scanplan.client.cluster.cluster import Cluster
from scanplan.client.cluster.failure import Failure, NotFound
from scanplan.core.planning.pod_security import PodSecurityContext
from scanplan.kube.objects import Object

log = logging.getLogger("scanplan.reader")

MOUNT = "/claim"
"""Where the claim is mounted."""
_INHERITED = (
    "tolerations",
    "runtimeClassName",
    "dnsConfig",
    "imagePullSecrets",
    "priorityClassName",
    "serviceAccountName",
    "nodeSelector",
)
"""Fields of a podTemplate that these pods have too."""


@dataclass(frozen=True, kw_only=True)
class Use:
    """What a pod is for."""

    name: str
    """The begin of its name."""
    namespace: str
    component: str
    claim: str
    image: str
    command: list[str]
    seconds: int
    """Until the kubelet ends it, where nobody removes it."""
    read_only: bool


def restricted(use: Use, security: PodSecurityContext, template: Mapping[str, Any]) -> Object:
    """The pod, without token and privileges.

    Args:
        security: who it runs as.
        template: a podTemplate, of which it has what the cluster's nodes and policies ask for.
    """
    fields = {name: template[name] for name in _INHERITED if name in template}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": use.name,
            "namespace": use.namespace,
            "labels": {
                **_of_users(template.get("labels")),
                labels.NAME: labels.NAME_VALUE,
                labels.COMPONENT: use.component,
                **labels.of_claim(use.claim),
            },
            "annotations": _of_users(template.get("annotations")),
        },
        "spec": {
            **fields,
            "nodeSelector": {**labels.LINUX, **(fields.get("nodeSelector") or {})},
            "restartPolicy": "Never",
            "activeDeadlineSeconds": use.seconds,
            "terminationGracePeriodSeconds": 1,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": {
                **security.manifest(),
                "runAsNonRoot": True,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": labels.CONTAINER,
                    "image": use.image,
                    "imagePullPolicy": "IfNotPresent",
                    "command": use.command,
                    "resources": {
                        "requests": {"cpu": "10m", "memory": "32Mi"},
                        "limits": {"cpu": "1", "memory": "128Mi"},
                    },
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                    "volumeMounts": [
                        {"name": "claim", "mountPath": MOUNT, **({"readOnly": True} if use.read_only else {})}
                    ],
                }
            ],
            "volumes": [{"name": "claim", "persistentVolumeClaim": {"claimName": use.claim}}],
        },
    }


def _of_users(pairs: Mapping[str, str] | None) -> dict[str, str]:
    """Without those that the operator, the Job controller and Kueue tell scan pods by: this pod is none."""
    return {key: value for key, value in (pairs or {}).items() if not re.search(RESERVED_KEYS, key)}


def remove(cluster: Cluster, path: str) -> None:
    """What a pod was for is done, even where it can't be removed; then its deadline sees to it."""
    try:
        cluster.call("DELETE", path)
    except NotFound:
        return
    except Failure as error:
        log.warning("pod %s stays behind, and ends by itself: %s", path.rpartition("/")[2], error.message)
