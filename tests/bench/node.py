"""A whole node with the operator in it, installed as users install it: for what real pods of the real images take."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests import deploy, images
from tests.bench import log
from tests.bench.stage import BARE, NAMESPACE
from tests.cluster import LocalCluster, local
from tests.e2e.stage import Images, Stage
from tests.kubectl import Kubectl

DELAY = "50ms"
"""Before each answer of the targets."""
SETTINGS = {"WORKER_CONCURRENCY": "1000"}


@dataclass(frozen=True)
class Node:
    """What is there while figures are taken."""

    cluster: LocalCluster
    stage: Stage
    """The namespace of the plans."""
    bare: Kubectl
    """In a namespace where anybody's pods may run, and no plan is."""

    def life(self, plan: str) -> float:
        """Seconds from the answer to a plan's creation to the answer to the last status that the operator has written."""
        return self._life(NAMESPACE, "scanplans", plan)

    def life_of_bare(self, job: str) -> float:
        """The same of a bare Job, whose status the Job controller writes."""
        return self._life(BARE, "jobs", job)

    def _life(self, namespace: str, resource: str, name: str) -> float:
        writes = [write for write in log.writes(self.cluster.audit_log, namespace) if write.name == name]
        created = min(write.at for write in writes if write.resource == resource)
        return max(write.at for write in writes if write.resource == f"{resource}/status") - created


@contextmanager
def node() -> Iterator[Node]:
    """Build the images, start a node, and install the operator, which may have up to 1,000 Jobs at once."""
    archives = images.build(["operator", "scanner", "webapp"])
    cluster = local.up(f"bench-{os.getpid()}", temporary=True)
    try:
        kubectl = deploy.install(cluster, archives, SETTINGS)
        references = Images(*(archives[name].reference for name in ("scanner", "webapp")))
        stage = Stage(kubectl.in_namespace(NAMESPACE), references, NAMESPACE)
        stage.set_up()
        kubectl("create", "namespace", BARE)
        yield Node(cluster, stage, kubectl.in_namespace(BARE))
    finally:
        cluster.down()
