"""How an object that the API server returns becomes what the core reads; it may be older or newer than this version's rules."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any, TypedDict, TypeVar

from pydantic import BaseModel, ValidationError

from scanplan.api.times import required_time
from scanplan.api.v1alpha1.model import mistakes
from scanplan.api.v1alpha1.status import Status, UnreadableStatus

log = logging.getLogger("scanplan.cache")

SpecT = TypeVar("SpecT", bound=BaseModel)
StatusT = TypeVar("StatusT", bound=Status)


class Identity(TypedDict):
    """What every kind has of its metadata."""

    namespace: str
    name: str
    uid: str
    generation: int
    created: datetime
    resource_version: str
    deleting: bool


def identity_of(body: dict[str, Any]) -> Identity:
    """Which object it is, and which version of it."""
    metadata = body["metadata"]
    return Identity(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        generation=metadata["generation"],
        created=required_time(metadata["creationTimestamp"]),
        resource_version=metadata["resourceVersion"],
        deleting="deletionTimestamp" in metadata,
    )


def spec_of(model: type[SpecT], body: dict[str, Any], stand_in: SpecT) -> tuple[SpecT, str]:
    """The spec, and what is wrong with it: an object may be older than the rules of today's CRD.

    Args:
        stand_in: is returned where the object's own can't be read.
    """
    try:
        return model.model_validate(body.get("spec") or {}), ""
    except ValidationError as error:
        return stand_in, "; ".join(mistakes(error))


def status_of(model: type[StatusT], body: dict[str, Any]) -> tuple[StatusT, str]:
    """The status, and what is wrong with it: then the fields that can't be read are missing."""
    try:
        return model.of(body), ""
    except UnreadableStatus as error:
        return model.read(body), str(error)


def warn_of_unreadable(kind: str, namespace: str, name: str, unreadable: str) -> None:
    """Say that nothing is done about an object. To be called once for each version of it that has a status which can't be read."""
    log.warning(
        "%s %s/%s is left as it is: %s. Run the version of the operator that wrote it, or a newer one",
        kind,
        namespace,
        name,
        unreadable,
    )
