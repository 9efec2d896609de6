"""What the models of all kinds are made of: the base class, the effect of a field, and rules in CEL."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel
from pydantic.types import JsonValue
from pydantic_core import ErrorDetails

from scanplan.api import nearest

_QUOTED = re.compile(r"'([^']*)'")


class Effect(StrEnum):
    """What changing a spec field does to a plan that has already started."""

    KEY = "key"
    """Another scan: a new task key, a new Job."""
    RUNNING = "running"
    """Acts on the running Job at once."""
    NEXT = "next"
    """Acts on the next run (condition `AppliesNextRun`); most of a Job is immutable."""


class Model(BaseModel):
    """Base of the resource's models: camelCase on the wire, immutable in memory."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore")


def mistakes(error: ValidationError) -> list[str]:
    """Each wrong field of a spec, what is wrong with it, and which of its values may be meant."""
    return [
        f"spec.{'.'.join(map(str, each['loc']))}: {each['msg']}{meant(each)}"
        for each in error.errors(include_url=False)
    ]


def meant(mistake: ErrorDetails) -> str:
    """Words that follow the message of a mistake: which of the values that it may have is near; empty: none."""
    if mistake["type"] not in {"enum", "literal_error"} or not isinstance(mistake["input"], str):
        return ""
    return nearest.suggestion(mistake["input"], _QUOTED.findall(mistake["ctx"]["expected"]))


def effect(value: Effect, **schema: JsonValue) -> dict[str, Any]:
    """Extra JSON schema of a field: its effect (left out of the CRD) and Kubernetes' `x-…` keywords."""
    return {"effect": value.value, **schema}


def cel(rule: str, message: str) -> dict[str, JsonValue]:
    """A CEL rule (https://kubernetes.io/docs/reference/using-api/cel/) with a message that says what to do."""
    return {"rule": rule, "message": message}


def one_of(*names: str) -> dict[str, Any]:
    """Schema extra: exactly one of these fields is set."""
    count = " + ".join(f"(has(self.{name}) ? 1 : 0)" for name in names)
    return {"x-kubernetes-validations": [cel(f"{count} == 1", f"set exactly one of {' and '.join(names)}")]}
