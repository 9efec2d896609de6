"""What the owner sets for all plans: values in the form of a plan's spec.

`scanplan.core.planning.scan_defaults` lays them under each plan's own. The object is a setting of the operator, and no resource.
It is checked when the operator starts.
"""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Self

from pydantic import ConfigDict, Field, model_validator

from scanplan.api import names, nearest
from scanplan.api.v1alpha1.model import Model
from scanplan.api.v1alpha1.plan.pod_template import RESERVED_KEYS, PodTemplate
from scanplan.api.v1alpha1.scanplan import ScanPlanSpec

DEFAULTABLE = {
    "templates_from",
    "severity_levels",
    "selection",
    "sharding",
    "timeout_seconds",
    "deadline_seconds",
    "retry",
    "ttl_seconds_after_finished",
    "scanner",
    "pod_template",
}
"""Fields of the spec that an owner may set for all plans."""
OF_ONE_PLAN = {
    "image",
    "headers_from",
    "variables_from",
    "client_certificate_from",
    "credentials_from",
    "interactsh",
    "requests_from",
}
"""Fields of `scanner` that are not: the chart's `scanner.image` is the image of all, and a Secret is of one namespace."""


class DnsOption(Model):
    """An option of the resolver, such as ndots."""

    name: Annotated[str, Field(min_length=1, max_length=63)]
    value: Annotated[str, Field(max_length=63)] | None = None


class DnsConfig(Model):
    """As in a pod (https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/#pod-dns-config)."""

    nameservers: Annotated[list[str], Field(max_length=3)] = []
    searches: Annotated[list[str], Field(max_length=32)] = []
    options: list[DnsOption] = []


class PodDefaults(PodTemplate):
    """What plans may set on their pods, and what only the owner may."""

    runtime_class_name: Annotated[str | None, Field(max_length=253, pattern=names.DNS_SUBDOMAIN)] = None
    dns_config: DnsConfig | None = None

    def owner_fields(self) -> dict[str, Any]:
        """The fields of a pod that no plan may set."""
        fields: dict[str, Any] = self.model_dump(
            include={"runtime_class_name", "dns_config"}, by_alias=True, exclude_defaults=True
        )
        return fields


class ScanDefaults(ScanPlanSpec):
    """The owner's values for all plans, of which `locked` may not be changed by a plan."""

    templates: list[str] = []
    pod_template: PodDefaults = PodDefaults()
    locked: list[str] = []
    """Paths such as `scanner.rateLimit`, or of all that is below, such as `podTemplate`."""

    model_config = ConfigDict(json_schema_extra={})

    @model_validator(mode="before")
    @classmethod
    def _known(cls, value: Any) -> Any:
        if isinstance(value, dict) and (unknown := list(_unknown(value, cls, ""))):
            raise ValueError(f"there is no field {unknown[0]}")
        return value

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name in self.model_fields_set - DEFAULTABLE - {"locked"}:
            raise ValueError(f"{spelled(type(self), name)} is of one plan, and no default for all")
        for name in self.scanner.model_fields_set & OF_ONE_PLAN:
            raise ValueError(f"scanner.{spelled(type(self.scanner), name)} is no default for all")
        for path in self.locked:
            if problem := _problem_of_path(path):
                raise ValueError(f"locked: {problem}")
        pod = self.pod_template
        for kind, pairs in (
            ("nodeSelector", pod.node_selector),
            ("labels", pod.labels),
            ("annotations", pod.annotations),
        ):
            for key, text in pairs.items():
                _check_pair(f"podTemplate.{kind}", key, "" if kind == "annotations" else text)
        return self


def spelled(model: type[Model], name: str) -> str:
    """The name of a field in YAML."""
    return model.model_fields[name].alias or name


def _problem_of_path(path: str) -> str:
    """Why no plan can be held to a path of `locked`; empty: all can."""
    model: type[Model] | None = ScanPlanSpec
    done: list[str] = []
    for part in path.split("."):
        by_alias = {field.alias: field.annotation for field in model.model_fields.values()} if model else {}
        if part not in by_alias:
            return f"a plan has no field {path}"
        done.append(part)
        whole = ".".join(done)
        if whole != path and typing.get_origin(by_alias[part]) is list:
            return f"{path} is in the items of a list, which is locked as a whole: write {whole}"
        model = _model_in(by_alias[part])
    return ""


def _model_in(annotation: Any) -> type[Model] | None:
    """The model that a field holds, itself or in a list; None where it holds none."""
    if isinstance(annotation, type) and issubclass(annotation, Model):
        return annotation
    inner = (
        typing.get_args(annotation) if typing.get_origin(annotation) in {list, types.UnionType, typing.Union} else ()
    )
    return next((found for each in inner if (found := _model_in(each))), None)


def _unknown(value: Mapping[str, Any], model: type[Model], path: str) -> Iterator[str]:
    by_name = {name: field.annotation for key, field in model.model_fields.items() for name in (key, field.alias)}
    for name, item in value.items():
        if name not in by_name:
            yield f"{path}{name}{nearest.suggestion(name, filter(None, by_name))}"
        elif inner := _model_in(by_name[name]):
            for each in item if isinstance(item, list) else [item]:
                if isinstance(each, Mapping):
                    yield from _unknown(each, inner, f"{path}{name}.")


def _check_pair(where: str, key: str, value: str) -> None:
    if not names.is_label_key(key) or not (value == "" or names.is_label_value(value)):
        raise ValueError(f"{where}: Kubernetes would refuse {key}: {value}".rstrip(": "))
    if where != "podTemplate.nodeSelector" and re.search(RESERVED_KEYS, key):
        raise ValueError(f"{where}: {key} is reserved")
