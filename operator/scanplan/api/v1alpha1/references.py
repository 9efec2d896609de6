"""Names of other objects in a spec."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from scanplan.api.names import DATA_KEY, DNS_SUBDOMAIN
from scanplan.api.v1alpha1.model import Model

ObjectName = Annotated[str, Field(min_length=1, max_length=253, pattern=DNS_SUBDOMAIN)]
"""The name of an object: it becomes part of a request's path, so nothing else may pass."""


class LocalObjectReference(Model):
    """The name of an object in the plan's namespace."""

    name: ObjectName


class KeyReference(Model):
    """One key of a ConfigMap or Secret in the plan's namespace."""

    name: ObjectName
    key: Annotated[str, Field(min_length=1, max_length=253, pattern=DATA_KEY)]
