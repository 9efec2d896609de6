"""Decodes objects from the API server's answers. Of managed fields, which are most of their bytes, only the managers are kept."""

from __future__ import annotations

from typing import Any, TypedDict, cast

import msgspec

from scanplan.api import wire

Object = dict[str, Any]


class _Manager(TypedDict, total=False):
    manager: str
    subresource: str


class _Metadata(TypedDict, total=False):
    name: str
    namespace: str
    uid: str
    generation: int
    resourceVersion: str
    creationTimestamp: str
    deletionTimestamp: str
    labels: dict[str, str] | None
    annotations: dict[str, str] | None
    ownerReferences: list[dict[str, Any]] | None
    finalizers: list[str] | None
    managedFields: list[_Manager] | None


class _Object(TypedDict, total=False):
    kind: str
    metadata: _Metadata
    spec: dict[str, Any]
    status: dict[str, Any]


_DECODER = wire.decoder(_Object)


def decode(content: bytes | msgspec.Raw) -> Object:
    """Decode one object from JSON. Raises msgspec.DecodeError where it is none."""
    return cast("Object", _DECODER.decode(content))


def merge_patch(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """The JSON merge patch (RFC 7386) that turns `old` into `new`."""
    patch: dict[str, Any] = dict.fromkeys(old.keys() - new.keys())
    for name, value in new.items():
        before = old.get(name)
        if isinstance(value, dict) and isinstance(before, dict):
            nested = merge_patch(before, value)
            if nested:
                patch[name] = nested
        elif value != before:
            patch[name] = value
    return patch


def gone(namespace: str, name: str, uid: str) -> Object:
    """An object that no longer exists, as far as it is known. An object of the cluster has an empty namespace."""
    return {"metadata": {"namespace": namespace, "name": name, "uid": uid}}
