"""Endpoints that objects of the cluster name: which of them a plan takes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from scanplan.api.names import DNS_LABEL, LABEL_KEY, LABEL_VALUE, MAX_LABEL_KEY
from scanplan.api.v1alpha1.model import Model, cel

LabelKey = Annotated[str, Field(min_length=1, max_length=MAX_LABEL_KEY, pattern=LABEL_KEY)]
LabelValue = Annotated[str, Field(max_length=63, pattern=LABEL_VALUE)]


class LabelSelectorRequirement(Model):
    """A condition on one label."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                cel(
                    "(self.operator in ['In', 'NotIn']) == (has(self.values) && size(self.values) > 0)",
                    "values go with In and NotIn, and with them alone",
                )
            ]
        }
    )

    key: LabelKey
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    values: Annotated[list[LabelValue], Field(max_length=32)] = []


class LabelSelector(Model):
    """As metav1.LabelSelector."""

    match_labels: Annotated[
        dict[str, LabelValue],
        Field(
            max_length=16,
            json_schema_extra={
                "x-kubernetes-validations": [
                    cel(
                        f"self.all(key, size(key) <= {MAX_LABEL_KEY} && key.matches('{LABEL_KEY}'))",
                        "a label's key is a name, or a DNS subdomain, a slash and a name",
                    )
                ]
            },
        ),
    ] = {}
    match_expressions: Annotated[list[LabelSelectorRequirement], Field(max_length=16)] = []


class DiscoverySource(Model):
    """Objects of one kind. Each needs the label scanplan.dev/scan: "true", unless the operator's owner lets selectors choose."""

    selector: Annotated[LabelSelector, Field(description="Labels that the objects must have besides.")] = (
        LabelSelector()
    )
    namespaces: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=63, pattern=DNS_LABEL)]],
        Field(
            max_length=16,
            description="Where they are; empty: the plan's namespace. The operator's owner lists which others plans may name.",
        ),
    ] = []
    paths: Annotated[
        bool,
        Field(description="Take the paths that the objects name, one endpoint each. Regular expressions are left out."),
    ] = False
