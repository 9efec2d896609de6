"""Finds fields of a manifest that the kind does not have, as the API server does.

A misspelt field that is ignored makes another scan than its author meant. `kubectl apply` refuses it (strict field validation).
So does everything that reads a manifest without a cluster.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from typing import Any

from scanplan.api import labels, nearest
from scanplan.api.schema import crd

_METADATA = {
    "name", "namespace", "labels", "annotations", "generateName", "finalizers", "ownerReferences", "uid", "generation",
    "resourceVersion", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "managedFields", "selfLink",
}  # fmt: skip


def unknown_fields(manifest: dict[str, Any]) -> list[str]:
    """A complaint for each field that the kind does not have, in their order: its path, and which one may be meant."""
    found = _unknown(manifest, _schema(manifest.get("kind")), "")
    metadata = manifest.get("metadata")
    if isinstance(metadata, dict):
        found += [_complaint(name, "metadata", _METADATA) for name in metadata if name not in _METADATA]
    return found


def unknown_in_selection(selection: Any) -> list[str]:
    """The same, for a value of `spec.selection` alone."""
    return _unknown(selection, _schema(labels.KIND)["properties"]["spec"]["properties"]["selection"], "")


def _schema(kind: object) -> dict[str, Any]:
    """Of a kind of ours; a ScanPlan's where it is none."""
    return _schema_of(next((name for name, each in crd.DEFINITIONS.items() if each.kind == kind), labels.PLURAL))


@functools.cache
def _schema_of(plural: str) -> dict[str, Any]:
    """Made once: it takes 30 ms, and a client asks at each plan that it makes."""
    versions = crd.custom_resource_definition(crd.DEFINITIONS[plural])["spec"]["versions"]
    schema: dict[str, Any] = versions[0]["schema"]["openAPIV3Schema"]
    return schema


def _unknown(value: Any, schema: dict[str, Any], path: str) -> list[str]:
    if isinstance(value, list):
        items = schema.get("items", {})
        return [name for number, item in enumerate(value) for name in _unknown(item, items, f"{path}[{number}]")]
    if not isinstance(value, dict) or schema.get("x-kubernetes-preserve-unknown-fields"):
        return []
    properties, others = schema.get("properties"), schema.get("additionalProperties")
    if properties is None and others is None:
        return []  # an object whose fields are not ours, such as metadata
    found: list[str] = []
    for name, item in value.items():
        known = (properties or {}).get(name, others)
        if known is None:
            found.append(_complaint(str(name), path, [*(properties or ()), *_below(schema)]))
        elif isinstance(known, dict):
            found += _unknown(item, known, f"{path}.{name}" if path else str(name))
    return found


def _complaint(name: str, path: str, known: Iterable[str]) -> str:
    return f"unknown field {path}.{name}".replace(" .", " ") + nearest.suggestion(name, known)


def _below(schema: dict[str, Any], path: str = "") -> Iterator[str]:
    """The paths of all fields below, the nearest first: who misses the level means one of them."""
    properties = {name: each for name, each in schema.get("properties", {}).items() if isinstance(each, dict)}
    if path:
        yield from (f"{path}.{name}" for name in properties)
    for name, each in properties.items():
        yield from _below(each, f"{path}.{name}" if path else name)
