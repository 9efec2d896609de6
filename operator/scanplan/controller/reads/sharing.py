"""Who else may have a task: the question that the controller asks before it makes a Job."""

from __future__ import annotations

from typing import Protocol

from scanplan.core.observed.sharing import OtherCluster


class Sharing(Protocol):
    """Clusters that share tasks. Whatever goes wrong with it is no reason not to scan, so nothing is raised."""

    async def take(self, namespace: str, key: str, claim: str) -> OtherCluster | None:
        """Take a task for this cluster, in one atomic step.

        Args:
            namespace: of the plan; tasks are shared between namespaces of the same name.
            key: the whole task key.
            claim: name of the PersistentVolumeClaim that the artifacts will be on.

        Returns:
            Who has it already; None where it is ours now.
        """


class Alone:
    """This cluster shares with nobody."""

    async def take(self, namespace: str, key: str, claim: str) -> OtherCluster | None:  # noqa: ARG002 - none of it matters
        return None
