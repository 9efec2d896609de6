"""`spec.podTemplate`: what users may set on scan pods."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field
from pydantic.types import JsonValue

from scanplan.api.names import DNS_SUBDOMAIN
from scanplan.api.v1alpha1.model import Model, cel
from scanplan.api.v1alpha1.references import LocalObjectReference

Quantity = Annotated[int | str, Field(json_schema_extra={"maxLength": 32})]
"""A quantity such as 500m or 2Gi; checked when the Job is created."""


DEEPEST = 32
"""Levels of what a plan's author may write as Kubernetes has it. No field of a pod has half as many."""


def _shallow(value: Any) -> Any:
    level = [value]
    for _ in range(DEEPEST):
        level = [
            inner
            for each in level
            for inner in (each.values() if isinstance(each, dict) else each if isinstance(each, list) else ())
        ]
        if not level:
            return value
    raise ValueError(f"it has more than {DEEPEST} levels, and no field of a pod has")


class Resources(Model):
    """Requests and limits of the scanner container."""

    requests: Annotated[dict[str, Quantity], Field(max_length=16)] = {}
    limits: Annotated[dict[str, Quantity], Field(max_length=16)] = {}


class Toleration(Model):
    """As in a pod (https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/)."""

    key: Annotated[str | None, Field(max_length=316)] = None
    operator: Literal["Exists", "Equal", "Lt", "Gt"] | None = None
    value: Annotated[str | None, Field(max_length=63)] = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    toleration_seconds: Annotated[int | None, Field(ge=0, le=31_536_000)] = None


PRESERVE: dict[str, JsonValue] = {"x-kubernetes-preserve-unknown-fields": True}
RESERVED_KEYS = (
    r"^([a-z0-9.-]+[.])?(scanplan[.]dev|security[.](alpha|beta)[.]kubernetes[.]io)/"
    r"|^batch[.]kubernetes[.]io/|^app[.]kubernetes[.]io/(name|component|managed-by)$"
    r"|^kueue[.]x-k8s[.]io/(queue-name|priority-class)$|^(job-name|controller-uid)$"
)
"""The operator and the Job controller write these, and the last of the first line take restrictions off a pod."""


def reserved(what: str) -> dict[str, Any]:
    """Schema extra of a map of labels or annotations: some keys are not for users."""
    message = (
        f"{what} of scanplan.dev, batch.kubernetes.io and *.security.beta.kubernetes.io, and those that the operator writes, "
        "are reserved"
    )
    return {"x-kubernetes-validations": [cel(f"self.all(key, !key.matches('{RESERVED_KEYS}'))", message)]}


class PodTemplate(Model):
    """What users may set on scan pods. It is merged, and never replaces what keeps the pod restricted."""

    resources: Resources = Resources()
    node_selector: Annotated[dict[str, Annotated[str, Field(max_length=63)]], Field(max_length=32)] = {}
    tolerations: Annotated[
        list[Toleration], Field(max_length=32, description="Each must be on the operator's allow-list.")
    ] = []
    affinity: Annotated[
        dict[str, Any] | None,
        AfterValidator(_shallow),
        Field(
            json_schema_extra=PRESERVE,
            description="As in a pod, but never to pods of other namespaces. It is checked when the Job is created.",
        ),
    ] = None
    topology_spread_constraints: Annotated[
        list[Annotated[dict[str, Any], AfterValidator(_shallow), Field(json_schema_extra=PRESERVE)]],
        Field(max_length=8, description="As in a pod. They are checked when the Job is created."),
    ] = []
    priority_class_name: Annotated[
        str | None,
        Field(max_length=253, pattern=DNS_SUBDOMAIN, description="It must be on the operator's allow-list."),
    ] = None
    service_account_name: Annotated[
        str | None,
        Field(
            max_length=253,
            pattern=DNS_SUBDOMAIN,
            description="It must be on the operator's allow-list. Its token is never mounted.",
        ),
    ] = None
    image_pull_secrets: Annotated[list[LocalObjectReference], Field(max_length=8)] = []
    labels: Annotated[
        dict[str, Annotated[str, Field(max_length=63)]],
        Field(
            max_length=32,
            description="Their keys must be on the operator's allow-list.",
            json_schema_extra=reserved("labels"),
        ),
    ] = {}
    annotations: Annotated[
        dict[str, Annotated[str, Field(max_length=4096)]],
        Field(
            max_length=32,
            description="Their keys must be on the operator's allow-list.",
            json_schema_extra=reserved("annotations"),
        ),
    ] = {}
