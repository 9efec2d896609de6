"""Writes a status by one merge patch, unless its object has changed since it was read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from kubernetes.aio.client import ApiException

from scanplan.api.v1alpha1.status import Status
from scanplan.kube.api import Api
from scanplan.kube.objects import Object, merge_patch
from scanplan.kube.resources import Resource


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


async def write_status(api: Api, kind: Resource, known: Readable, status: Status) -> Written | Changed | Gone:
    """Patch what differs.

    Args:
        known: the object of this kind that was decided upon.

    Raises:
        the errors of `kube.failures.FAILURES`, except HTTP 404 and 409 in the answer to the patch.
    """
    change = merge_patch(known.status.document(), status.document())
    content = {"metadata": {"resourceVersion": known.resource_version}, "status": change}
    try:
        return Written(await api.patch_status(kind, known.namespace, known.name, content))
    except ApiException as error:
        if error.status == 404:
            return Gone()
        if error.status != 409:
            raise
    return Changed(await api.get(kind, known.namespace, known.name))
