"""Writes a status by one merge patch, unless its object has changed since it was read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from kubernetes.aio.client import ApiException

from scanplan.api.v1alpha1.status import Status
from scanplan.kube.objects import Object, merge_patch

Get = Callable[[str, str], Awaitable[Object]]
Patch = Callable[[str, str, Object], Awaitable[Object]]


class Readable(Protocol):
    """An object as it was read."""

    @property
    def namespace(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def resource_version(self) -> str: ...

    @property
    def status(self) -> Status: ...


@dataclass(frozen=True, slots=True)
class Written:
    """The status was written; the object as it is now."""

    body: Object


@dataclass(frozen=True, slots=True)
class Changed:
    """The object has changed since it was read, so nothing was written; the object as it is now."""

    body: Object


@dataclass(frozen=True, slots=True)
class Gone:
    """There is no such object any more."""


async def write_status(known: Readable, status: Status, patch: Patch, get: Get) -> Written | Changed | Gone:
    """Patch what differs.

    Args:
        known: the object that was decided upon.
        patch: patches the status of an object by namespace and name.
        get: reads an object anew.

    Raises:
        the errors of `kube.failures.FAILURES` that say nothing of the object.
    """
    change = merge_patch(known.status.document(), status.document())
    content = {"metadata": {"resourceVersion": known.resource_version}, "status": change}
    try:
        return Written(await patch(known.namespace, known.name, content))
    except ApiException as error:
        if error.status == 404:
            return Gone()
        if error.status != 409:
            raise
    return Changed(await get(known.namespace, known.name))
