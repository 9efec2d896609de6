"""A cluster as the checks of `scanplan doctor` see it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from scanplan.api import labels
from scanplan.api.schema.crd import DEFINITIONS, custom_resource_definition
from scanplan.cli.output.failure import Forbidden
from scanplan.kube import resources
from scanplan.kube.resources import NAMESPACES, Resource


class Site:
    """A cluster with some operators, and a namespace that some selectors find."""

    namespace = "red"

    def __init__(
        self,
        operators: list[dict[str, str]],
        found_by: tuple[str, ...] = (),
        readable: bool = True,
        kinds: tuple[str, ...] = tuple(DEFINITIONS),
    ) -> None:
        self._deployments = [deployment(f"operator-{number}", each) for number, each in enumerate(operators)]
        self._found_by = found_by
        self._readable = readable
        self._kinds = kinds

    def path(self, resource: Resource, name: str | None = None, *, namespace: str | None) -> str:
        return resource.path(namespace, name)

    def find(self, path: str) -> dict[str, Any] | None:
        if path == resources.group(labels.API_VERSION):
            return {"resources": [{"name": kind} for kind in self._kinds]}
        if not self._readable:
            raise Forbidden("you may not read definitions")
        plural = path.rpartition("/")[2].removesuffix(f".{labels.GROUP}")
        if plural not in self._kinds:
            return None
        definition = custom_resource_definition(DEFINITIONS[plural])
        return {**definition, "status": {"conditions": [{"type": "Established", "status": "True"}]}}

    def each(self, path: str, query: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        if path != NAMESPACES.path(None):
            yield from self._deployments
            return
        if not self._readable:
            raise Forbidden("you may not list namespaces")
        assert query["fieldSelector"] == "metadata.name=red"
        if query["labelSelector"] in self._found_by:
            yield {"metadata": {"name": "red"}}


def deployment(name: str, variables: dict[str, str]) -> dict[str, Any]:
    env = [{"name": key, "value": value} for key, value in {"SCANPLAN_SCANNER_IMAGE": "scanner:1", **variables}.items()]
    return {
        "metadata": {"namespace": "system", "name": name},
        "spec": {"template": {"spec": {"containers": [{"image": "operator:1", "env": env}]}}},
        "status": {"readyReplicas": 1},
    }
