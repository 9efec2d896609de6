"""Which resources of a namespace are used up, for commands that say why scans wait."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scanplan.core.planning.quantities import quantity

if TYPE_CHECKING:
    from scanplan.kube.objects import Object


def used_up(quota: Object) -> list[tuple[str, str, str]]:
    """(resource, used, hard) of each resource of a ResourceQuota that is used up."""
    status = quota.get("status", {})
    used = status.get("used", {})
    return [
        (resource, str(used.get(resource, "0")), str(hard))
        for resource, hard in status.get("hard", {}).items()
        if quantity(str(used.get(resource, "0"))) >= quantity(str(hard))
    ]
