"""What the statuses of all kinds have in common: conditions, and how they are read and written."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError

from scanplan.api.v1alpha1.model import Model


class Condition(Model):
    """A condition, with the fields of metav1.Condition."""

    type: Annotated[str, Field(max_length=316)]
    status: Literal["True", "False", "Unknown"]
    reason: Annotated[str, Field(min_length=1, max_length=1024)]
    message: Annotated[str, Field(max_length=32_768)]
    last_transition_time: Annotated[str, Field(json_schema_extra={"format": "date-time"})]
    observed_generation: int | None = None


class UnreadableStatus(ValueError):
    """A newer version of the operator wrote this status, or somebody else did."""

    def __init__(self, message: str, fields: Collection[str]) -> None:
        """`fields`: names of those fields of the status that can't be read."""
        super().__init__(message)
        self.fields = fields


class Status(Model):
    """The status of an object. `of` reads it from the object as the API server returns it; `document` is its form on the wire."""

    observed_generation: int | None = None
    conditions: Annotated[
        tuple[Condition, ...],
        Field(json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}),
    ] = ()

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Self:
        """The status of an object as the API server returns it; an empty one where there is none.

        Raises:
            UnreadableStatus: a field has a type or value that this version does not know.
        """
        try:
            return cls.model_validate(body.get("status") or {})
        except ValidationError as error:
            fields = sorted({".".join(map(str, each["loc"])) for each in error.errors()})
            message = f"status.{', status.'.join(fields)}: not known to this version"
            raise UnreadableStatus(message, {field.partition(".")[0] for field in fields}) from None

    @classmethod
    def read(cls, body: Mapping[str, Any]) -> Self:
        """As `of`, but without the fields that can't be read; for readers that don't write it."""
        try:
            return cls.of(body)
        except UnreadableStatus as error:
            status = body["status"]
            known = set(status) - set(error.fields) if isinstance(status, Mapping) else ()
            return cls.model_validate({name: status[name] for name in known})

    def document(self) -> dict[str, Any]:
        """The status on the wire: camelCase names, without the fields that are not set."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    def condition(self, kind: str) -> Condition | None:
        """The condition of this type; None where there is none."""
        return next((each for each in self.conditions if each.type == kind), None)
