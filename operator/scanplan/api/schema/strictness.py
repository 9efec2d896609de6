"""Finds fields of a manifest that the kind does not have, as the API server does.

A misspelt field that is ignored makes another scan than its author meant. `kubectl apply` refuses it (strict field validation).
So does everything that reads a manifest without a cluster.
"""

from __future__ import annotations

from typing import Any

from scanplan.api.schema import crd

_METADATA = {
    "name", "namespace", "labels", "annotations", "generateName", "finalizers", "ownerReferences", "uid", "generation",
    "resourceVersion", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "managedFields", "selfLink",
}  # fmt: skip


def unknown_fields(manifest: dict[str, Any]) -> list[str]:
    """The paths of all fields that the kind does not have, in their order."""
    versions = crd.custom_resource_definition(crd.SCANPLAN)["spec"]["versions"]
    found = _unknown(manifest, versions[0]["schema"]["openAPIV3Schema"], "")
    metadata = manifest.get("metadata")
    if isinstance(metadata, dict):
        found += [f"metadata.{name}" for name in metadata if name not in _METADATA]
    return found


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
        where = f"{path}.{name}" if path else str(name)
        known = (properties or {}).get(name, others)
        found += [where] if known is None else _unknown(item, known, where) if isinstance(known, dict) else []
    return found
