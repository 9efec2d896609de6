"""The CRD: what users install is what the models say, and what an API server and GitOps tools can live with."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from scanplan.api.schema.crd import DEFINITIONS, SCANPLAN, SCANSCHEDULE, custom_resource_definition
from scanplan.api.v1alpha1.model import Effect, Model
from scanplan.api.v1alpha1.scanplan import ScanPlanSpec
from scanplan.core.planning.task import fields_with

ROOT = Path(__file__).parents[4]
CRDS = {plural: custom_resource_definition(definition) for plural, definition in DEFINITIONS.items()}
CRD = CRDS[SCANPLAN.plural]
VERSION = CRD["spec"]["versions"][0]
SCHEMAS = {plural: crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"] for plural, crd in CRDS.items()}
SCHEMA = SCHEMAS[SCANPLAN.plural]
STRUCTURAL = {
    "type",
    "description",
    "default",
    "enum",
    "format",
    "items",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minimum",
    "pattern",
    "properties",
    "additionalProperties",
    "required",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-list-type",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-validations",
}
"""What a structural schema may hold (apiextensions.k8s.io/v1, JSONSchemaProps), as far as we use it."""


def nodes(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema within a schema, with its path."""
    yield path or ".", schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), dict):
            yield from nodes(schema[name], f"{path}[]")


ALL = {f"{plural}{path}": node for plural, schema in SCHEMAS.items() for path, node in nodes(schema)}
SPEC = {path: node for path, node in ALL.items() if re.match(r"\w+\.spec\b", path)}


@pytest.mark.parametrize("plural", CRDS)
def test_what_is_installed_is_what_the_models_say(plural: str) -> None:
    """`make crds` writes it; whoever edits one and forgets the other ships a CRD that prunes what the operator writes."""
    assert yaml.safe_load((ROOT / "crds" / f"{plural}.scanplan.dev.yaml").read_text()) == CRDS[plural]


def test_every_kind_is_installed() -> None:
    """One that the kustomization forgets is missing from each installation by plain manifests."""
    listed = yaml.safe_load((ROOT / "crds" / "kustomization.yaml").read_text())["resources"]
    assert listed == [f"{plural}.scanplan.dev.yaml" for plural in CRDS]


@pytest.mark.parametrize("path", ALL)
def test_the_schema_is_structural(path: str) -> None:
    node = ALL[path]
    assert set(node) <= STRUCTURAL
    assert (
        node.get("type") or node.get("x-kubernetes-int-or-string") or node.get("x-kubernetes-preserve-unknown-fields")
    )
    assert node.get("type") != "null"


@pytest.mark.parametrize("path", SPEC)
def test_everything_that_users_write_is_bounded(path: str) -> None:
    """Or one object could fill etcd, and CEL's cost estimate would refuse the CRD."""
    node = SPEC[path]
    if node.get("x-kubernetes-preserve-unknown-fields"):
        return
    if node.get("x-kubernetes-int-or-string"):
        assert "maxLength" in node
        return
    match node["type"]:
        case "string":
            assert "maxLength" in node or "enum" in node
        case "array":
            assert "maxItems" in node
        case "integer":
            assert {"minimum", "maximum"} <= node.keys()
        case "object":
            assert "properties" in node or "maxProperties" in node


@pytest.mark.parametrize("path", [path for path, node in ALL.items() if node.get("type") == "array"])
def test_every_list_says_how_it_is_merged(path: str) -> None:
    """Server-side apply needs it; atomic is the default, and fine for lists that have one author."""
    node = ALL[path]
    kind = node.get("x-kubernetes-list-type", "atomic")
    assert kind in {"atomic", "set", "map"}
    if kind == "map":
        assert node["x-kubernetes-list-map-keys"]


def test_patterns_compile_and_are_anchored() -> None:
    """A pattern without anchors lets anything through that holds a good part."""
    patterns = {path: node["pattern"] for path, node in SPEC.items() if "pattern" in node}
    assert patterns
    for path, pattern in patterns.items():
        re.compile(pattern)
        assert pattern.startswith("^"), path
        assert pattern.endswith("$"), path


def patterns_of(schema: Any) -> Iterator[str]:
    """All patterns of a schema, however deep."""
    for name, value in schema.items() if isinstance(schema, dict) else enumerate(schema):
        if name == "pattern" and isinstance(value, str):
            yield value
        elif isinstance(value, dict | list):
            yield from patterns_of(value)


@pytest.mark.parametrize("plural", DEFINITIONS)
def test_no_pattern_means_other_characters_here_than_in_the_api_server(plural: str) -> None:
    """Lost otherwise: an edit that the API server takes and the operator can't read: such a class is ASCII there, Unicode here."""
    patterns = list(patterns_of(custom_resource_definition(DEFINITIONS[plural])))
    assert patterns
    assert not [pattern for pattern in patterns if re.search(r"\\[sSwWdDbB]", pattern)]


def test_rules_say_what_to_do() -> None:
    rules = [rule for node in ALL.values() for rule in node.get("x-kubernetes-validations", ())]
    assert rules
    assert all(rule["rule"] and len(rule["message"].split()) > 4 for rule in rules)


def test_every_field_of_the_spec_explains_itself() -> None:
    """In `kubectl explain`, which is where people look."""
    silent = [
        path
        for path, node in SPEC.items()
        if path.count(".") == 2 and not path.endswith("[]") and not node.get("description")
    ]
    assert silent == []


def test_a_new_plan_is_not_current() -> None:
    """kstatus calls an object without observedGeneration current: Flux would report a scan as done that was never seen."""
    assert SCHEMA["properties"]["status"]["default"] == {"observedGeneration": -1, "phase": "Pending"}
    for plural in (SCANSCHEDULE.plural, "scanexceptions", "scannotifiers"):
        assert SCHEMAS[plural]["properties"]["status"]["default"] == {"observedGeneration": -1}


@pytest.mark.parametrize("plural", CRDS)
def test_the_status_is_a_subresource(plural: str) -> None:
    """Or an author could write a result, and every status write would raise the generation."""
    assert CRDS[plural]["spec"]["versions"][0]["subresources"] == {"status": {}}


def test_what_kubectl_get_shows() -> None:
    columns = {column["name"]: column for column in VERSION["additionalPrinterColumns"]}
    usual = [name for name, column in columns.items() if not column.get("priority")]
    assert usual == [
        "Phase",
        "Reason",
        "Progress",
        "Endpoints",
        "Findings",
        "Critical",
        "High",
        "New",
        "Duration",
        "Age",
    ]
    assert set(columns) - set(usual) == {"Project", "Run", "Resolved", "Job", "Key", "Suppressed", "Error"}


def test_what_kubectl_get_shows_of_schedules() -> None:
    version = CRDS[SCANSCHEDULE.plural]["spec"]["versions"][0]
    usual = [column["name"] for column in version["additionalPrinterColumns"] if not column.get("priority")]
    assert usual == ["Schedule", "Zone", "Suspend", "Last", "Next", "Active", "Findings", "New", "Resolved", "State"]


def test_what_kubectl_get_shows_of_exceptions() -> None:
    version = CRDS["scanexceptions"]["spec"]["versions"][0]
    usual = [column["name"] for column in version["additionalPrinterColumns"] if not column.get("priority")]
    assert usual == ["Status", "State", "Findings", "Expires", "Owner", "Age"]


def test_what_kubectl_get_shows_of_notifiers() -> None:
    version = CRDS["scannotifiers"]["spec"]["versions"][0]
    usual = [column["name"] for column in version["additionalPrinterColumns"] if not column.get("priority")]
    assert usual == ["State", "Suspend", "Severity", "Sent", "Pending", "Lost", "Last", "Age"]


def test_an_exception_says_why_and_until_when() -> None:
    """Lost otherwise: decisions that nobody can judge later, and risks that are accepted for ever."""
    assert {"match", "reason", "expiresAt"} == set(SPEC["scanexceptions.spec"]["required"])


@pytest.mark.parametrize(
    ("plural", "column"),
    [
        (plural, column)
        for plural, crd in CRDS.items()
        for column in crd["spec"]["versions"][0]["additionalPrinterColumns"]
    ],
    ids=lambda value: value if isinstance(value, str) else str(value["name"]),
)
def test_every_column_shows_a_field_that_there_is(plural: str, column: dict[str, Any]) -> None:
    path, kind = column["jsonPath"], column["type"]
    if path == ".metadata.creationTimestamp":
        return
    if "?(@.type==" in path:  # the reason of a condition
        path = ".status.conditions[].reason"
    node = ALL[plural + path]
    assert node["type"] == kind or (kind, node.get("format")) == ("date", "date-time")


def test_a_template_has_no_fields_that_are_about_one_run() -> None:
    """A template with `rerun` would give all runs one key: the second one would scan nothing."""
    fields = SPEC["scanschedules.spec.template.spec"]["properties"].keys()
    assert SPEC["scanplans.spec"]["properties"].keys() - fields == {
        *("runId", "rerun", "retryExports", "suspend", "cancel")
    }
    assert fields <= SPEC["scanplans.spec"]["properties"].keys()
    assert (
        SPEC["scanschedules.spec.template.spec"]["x-kubernetes-validations"]
        == SPEC["scanplans.spec"]["x-kubernetes-validations"]
    )


def test_names() -> None:
    for crd, expected in (
        (CRDS["scanplans"], ("scanplans", "scanplan", ["sp"])),
        (CRDS["scanschedules"], ("scanschedules", "scanschedule", ["ss"])),
        (CRDS["scanexceptions"], ("scanexceptions", "scanexception", ["sx"])),
        (CRDS["scannotifiers"], ("scannotifiers", "scannotifier", ["sn"])),
    ):
        names = crd["spec"]["names"]
        assert (names["plural"], names["singular"], names["shortNames"]) == expected
        assert crd["metadata"]["name"] == f"{names['plural']}.{crd['spec']['group']}"
        assert crd["spec"]["scope"] == "Namespaced"


def _leaves(fields: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, nested in fields.items():
        if nested is None:
            yield prefix + name
        else:
            yield from _leaves(nested, f"{prefix}{name}.")


def _all_leaves(model: type[Model], prefix: str = "") -> Iterator[str]:
    """Fields that an effect can be said of: those of nested models where these say it, else the field itself."""
    for name, field in model.model_fields.items():
        own = isinstance(field.json_schema_extra, dict) and "effect" in field.json_schema_extra
        if not own and isinstance(field.annotation, type) and issubclass(field.annotation, Model):
            yield from _all_leaves(field.annotation, f"{prefix}{name}.")
        else:
            yield prefix + name


EFFECTS = {effect: set(_leaves(fields_with(effect))) for effect in Effect}


@pytest.mark.parametrize("field", list(_all_leaves(ScanPlanSpec)))
def test_every_field_says_what_its_edit_does(field: str) -> None:
    """One without an effect would be edited without any effect, and without a word."""
    assert sum(field in fields for fields in EFFECTS.values()) == 1


def test_what_makes_another_scan() -> None:
    """The table of the documentation, and of the keys: a change here re-keys plans."""
    assert EFFECTS[Effect.KEY] == {
        "project_id",
        "run_id",
        "endpoints",
        "endpoints_from",
        "templates",
        "templates_from",
        "selection.include",
        "selection.profile",
        "selection.automatic",
        "selection.workflows",
        "scanner.requests_from",
        "scanner.headless",
        "scanner.dast",
        "scanner.code",
        "selection.exclude",
        "severity_levels",
        "rerun",
        "scanner.image",
        "scanner.proxy",
        "scanner.no_proxy",
        "scanner.follow_redirects",
        "scanner.follow_host_redirects",
        "scanner.max_redirects",
        "scanner.max_response_bytes",
        "scanner.sni",
        "scanner.verify_signatures",
        "scanner.variables",
        "scanner.headers",
        "scanner.headers_from",
        "scanner.variables_from",
        "scanner.client_certificate_from",
        "scanner.credentials_from",
        "scanner.interactsh",
        "dns_config",
        "host_aliases",
        "artifacts.claim_name",
    }


def test_what_acts_at_once() -> None:
    """Only what the Job API lets change on a running Job, and what is no business of the scan's Job."""
    assert EFFECTS[Effect.RUNNING] == {
        "priority",
        "sharding.parallelism",
        "deadline_seconds",
        "suspend",
        "cancel",
        "ttl_seconds_after_finished",
        "windows",
        "exports",
        "retry_exports",
    }
