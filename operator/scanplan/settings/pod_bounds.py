"""The settings that bound what plans say about their pods: read by the operator and by the API, which both make pods."""

from __future__ import annotations

import dataclasses

from pydantic import Field

from scanplan.core.planning.pod_bounds import PodBounds
from scanplan.settings.fields import NameList, OptionalPodSecurityContext, OptionalScanDefaults, Tolerations
from scanplan.settings.loading import EnvironmentSettings


class PodSettings(EnvironmentSettings):
    """What all pods have that write to claims, or read them."""

    pod_security_context: OptionalPodSecurityContext = Field(
        None,
        alias="SCANPLAN_POD_SECURITY_CONTEXT",
        description='Users and groups of scan pods and reader pods, a JSON object such as `{"runAsUser": 1000}`; what it '
        "leaves out is left to the platform. Empty: 65532 and, on OpenShift, `{}`.",
    )

    scan_defaults: OptionalScanDefaults = Field(
        None,
        alias="SCANPLAN_SCAN_DEFAULTS",
        description="Values for all plans, a JSON object in the form of a plan's spec.",
    )


class PodBoundsSettings(PodSettings):
    """The bounds on what plans say about their pods."""

    allowed_service_accounts: NameList = Field(
        ("default",),
        alias="SCANPLAN_ALLOWED_SERVICE_ACCOUNTS",
        description="Service accounts that scan pods and reader pods may run as; shell patterns.",
    )
    allowed_priority_classes: NameList = Field(
        (),
        alias="SCANPLAN_ALLOWED_PRIORITY_CLASSES",
        description="PriorityClasses, and WorkloadPriorityClasses of Kueue, that plans may name; shell patterns.",
    )
    allowed_tolerations: Tolerations = Field(
        (),
        alias="SCANPLAN_ALLOWED_TOLERATIONS",
        description="Tolerations that plans may set; shell patterns for `key=value:effect`. `key:effect` covers all values, "
        "`*` all keys and all effects.",
    )
    allowed_pod_metadata: NameList = Field(
        (),
        alias="SCANPLAN_ALLOWED_POD_METADATA",
        description="Keys of labels and annotations that plans may set on scan pods; shell patterns.",
    )

    def bounds(self) -> PodBounds:
        """The bounds as the core sees them."""
        return PodBounds(**{field.name: getattr(self, field.name) for field in dataclasses.fields(PodBounds)})
