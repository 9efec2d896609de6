"""Checks of images: whether pods can get theirs, and which nodes have the scanner's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from scanplan.api import labels
from scanplan.cli.checks.check import SETTINGS_UNREAD, Check, Verdict
from scanplan.cli.output.failure import Forbidden
from scanplan.core.status.failure import IMAGE_REASONS
from scanplan.kube.resources import NODES, PODS

if TYPE_CHECKING:
    from scanplan.client.cluster.cluster import Cluster
    from scanplan.kube.objects import Object

SCANNER_IMAGE = "scanner image"
PUSH = "`make push REGISTRY=…` and the values that it writes; for a private registry, imagePullSecrets"


def scanner(cluster: Cluster, environment: Mapping[str, str]) -> Check:
    """Whether pods get the scanner image, and how many nodes have it. `environment` is the operator's; empty: it can't be read."""
    image = environment.get("SCANPLAN_SCANNER_IMAGE", "")
    if not image:
        return Check(SCANNER_IMAGE, Verdict.UNKNOWN, SETTINGS_UNREAD)
    scans = {"labelSelector": labels.TASK}
    if missing := unpulled(cluster, cluster.namespace, scans):
        return Check(SCANNER_IMAGE, Verdict.FAILED, missing, PUSH)
    try:
        nodes = [image in on_node(node) for node in cluster.each(cluster.path(NODES, namespace=None))]
    except Forbidden:
        return Check(SCANNER_IMAGE, Verdict.UNKNOWN, f"{image}: nodes may not be looked at")
    if any(nodes):
        return Check(SCANNER_IMAGE, Verdict.WELL, f"{image}, on {sum(nodes)} of {len(nodes)} nodes")
    return Check(
        SCANNER_IMAGE,
        Verdict.WARNING,
        f"{image} is on no node yet",
        "the first scan pulls it; `scanplan explain` says if that fails",
    )


def unpulled(cluster: Cluster, namespace: str, selector: dict[str, str]) -> str:
    """Which image a pod can't get, in words; empty where none is missing, or where pods may not be listed."""
    try:
        pods = list(cluster.each(cluster.path(PODS, namespace=namespace), selector))
    except Forbidden:
        return ""
    for pod in pods:
        for container in pod.get("status", {}).get("containerStatuses", ()):
            waiting = container.get("state", {}).get("waiting", {})
            if waiting.get("reason") in IMAGE_REASONS:
                return f"image {container['image']} can't be pulled ({waiting['reason']}): {waiting.get('message', 'see the pod')}"
    return ""


def on_node(node: Object) -> set[str]:
    """The images on a node. The kubelet lists only the largest fifty."""
    # The API server answers null for the names of an image that has none.
    images = (node.get("status") or {}).get("images") or ()
    return {name for image in images for name in image.get("names") or ()}
