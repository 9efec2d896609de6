"""The user and the groups that scan pods run as: ours, those of the platform, or those that the owner chose.

Some platforms give each namespace a range of users, and refuse pods that name another one: OpenShift does by its security context
constraints (https://docs.okd.io/latest/authentication/managing-security-context-constraints.html). There a pod must name none.
What keeps a pod restricted is not part of this: `scanplan.core.manifests.pod` sets it whatever is chosen here.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from scanplan.api.v1alpha1.model import Model

USER = 65532
"""User and group of our images."""
OPENSHIFT = "security.openshift.io"
"""The API group of OpenShift's security context constraints."""


class PodSecurityContext(Model):
    """The fields of a pod's securityContext that say who it runs as. What is left out is left to the platform."""

    model_config = ConfigDict(extra="forbid")

    run_as_user: int | None = Field(None, ge=1, le=2**31 - 1)
    """Never root: scan pods set runAsNonRoot."""
    run_as_group: int | None = Field(None, ge=0, le=2**31 - 1)
    fs_group: int | None = Field(None, ge=0, le=2**31 - 1)
    fs_group_change_policy: Literal["Always", "OnRootMismatch"] | None = None
    supplemental_groups: list[int] | None = None
    supplemental_groups_policy: Literal["Merge", "Strict"] | None = None
    se_linux_options: dict[Literal["user", "role", "type", "level"], str] | None = None

    def manifest(self) -> dict[str, Any]:
        """The fields as a pod has them."""
        fields: dict[str, Any] = self.model_dump(by_alias=True, exclude_none=True)
        return fields

    def of_reader(self) -> PodSecurityContext:
        """For a pod that only reads: it is in the group of the files, and changes the group of none."""
        groups = self.supplemental_groups or []
        if self.fs_group is not None and self.fs_group not in {self.run_as_group, *groups}:
            groups = [*groups, self.fs_group]
        changed = {"fs_group": None, "fs_group_change_policy": None, "supplemental_groups": groups or None}
        return self.model_copy(update=changed)


FIXED = PodSecurityContext(run_as_user=USER, run_as_group=USER, fs_group=USER, fs_group_change_policy="OnRootMismatch")
"""Ours: where nobody says otherwise, and the platform assigns none."""
OF_THE_PLATFORM = PodSecurityContext()


def chosen(configured: PodSecurityContext | None, assigns_users: bool) -> PodSecurityContext:
    """The owner's choice; without one, the platform's where it assigns users."""
    if configured is not None:
        return configured
    return OF_THE_PLATFORM if assigns_users else FIXED
