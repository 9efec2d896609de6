"""Generates the CRD from the models: makes pydantic's JSON schema structural.

Kubernetes' structural schemas (https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema)
have no ``$ref``, no ``const`` and no null type. Everything else of pydantic's output is kept, with the descriptions that
``kubectl explain scanplan`` shows. ``crds/`` is the output of this module, and a test compares it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from scanplan.api import labels
from scanplan.api.v1alpha1 import scanexception, scannotifier
from scanplan.api.v1alpha1.model import Model, cel
from scanplan.api.v1alpha1.scanplan import Phase, ScanPlanSpec
from scanplan.api.v1alpha1.scanplan_status import ScanPlanStatus
from scanplan.api.v1alpha1.scanschedule import MAX_NAME, ScanScheduleSpec, ScanScheduleStatus

Schema = dict[str, Any]

_DROPPED = {"title", "default_factory", "effect", "$defs", "additionalProperties"}


class Definition(NamedTuple):
    """One kind, as its CRD is made."""

    kind: str
    plural: str
    short_name: str
    description: str
    spec: type[Model]
    status: type[Model]
    new: Schema
    """The status of an object that no operator has seen. kstatus calls one without observedGeneration current."""
    columns: tuple[Schema, ...]
    rules: tuple[Schema, ...] = ()
    """CEL rules about the whole object."""


def custom_resource_definition(of: Definition) -> Schema:
    """The whole CustomResourceDefinition of a kind, ready to be dumped as YAML."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{of.plural}.{labels.GROUP}"},
        "spec": {
            "group": labels.GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": of.kind,
                "listKind": f"{of.kind}List",
                "plural": of.plural,
                "singular": of.kind.lower(),
                "shortNames": [of.short_name],
                "categories": ["all"],
            },
            "versions": [
                {
                    "name": labels.VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": list(of.columns),
                    "schema": {"openAPIV3Schema": _root_schema(of)},
                }
            ],
        },
    }


def structural(model: type[Model]) -> Schema:
    """The structural schema of one model."""
    schema = model.model_json_schema(by_alias=True)
    result = _structural(schema, schema.get("$defs", {}))
    assert isinstance(result, dict)  # noqa: S101 - narrows the recursive type
    return result


def _root_schema(of: Definition) -> Schema:
    root = {
        "type": "object",
        "description": of.description,
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": structural(of.spec),
            "status": {**_without_defaults(structural(of.status)), "default": of.new},
        },
    }
    return {**root, "x-kubernetes-validations": list(of.rules)} if of.rules else root


def _without_defaults(node: Any) -> Any:
    """The schema without defaults. The API server would add them to each status, and the next write would remove them again."""
    if isinstance(node, list):
        return [_without_defaults(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {key: _without_defaults(value) for key, value in node.items() if key != "default"}


def _structural(node: Any, definitions: Schema) -> Any:
    """One node of the schema, with references resolved and what Kubernetes doesn't know left out."""
    if isinstance(node, list):
        return [_structural(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        target = definitions[node["$ref"].rsplit("/", 1)[-1]]
        node = {**target, **{key: value for key, value in node.items() if key != "$ref"}}
    if "anyOf" in node:
        node = _without_union(node)
        if "$ref" in node:
            return _structural(node, definitions)
    result = {key: value for key, value in node.items() if key not in _DROPPED}
    if result.get("default", ...) in (None, "", [], {}) and "properties" not in result:
        del result["default"]  # leave out empty defaults: they would only make every object longer
    if isinstance(result.get("description"), str):
        result["description"] = " ".join(result["description"].split())
    if "properties" in result:
        result["properties"] = {name: _structural(value, definitions) for name, value in result["properties"].items()}
        if result.pop("default", None) is not None and any(
            "default" in value for value in result["properties"].values()
        ):
            result["default"] = {}  # the API server fills it from the defaults of the properties
    if "items" in result:
        result["items"] = _structural(result["items"], definitions)
    values = node.get("additionalProperties")
    if isinstance(values, dict) and not result.get("x-kubernetes-preserve-unknown-fields"):
        result["additionalProperties"] = _structural(values, definitions)
    return result


def _without_union(node: Schema) -> Schema:
    """`X | None` is an optional X; `int | str` is Kubernetes' int-or-string."""
    rest = {key: value for key, value in node.items() if key != "anyOf"}
    options = [option for option in node["anyOf"] if option.get("type") != "null"]
    if len(options) == 1:
        return {**options[0], **rest}
    return {**rest, "x-kubernetes-int-or-string": True}


def _column(name: str, path: str, kind: str = "string", priority: int = 0) -> Schema:
    entry: Schema = {"name": name, "type": kind, "jsonPath": path}
    return {**entry, "priority": priority} if priority else entry


SCANPLAN = Definition(
    kind=labels.KIND,
    plural=labels.PLURAL,
    short_name="sp",
    description="A ScanPlan says what Nuclei scans; the operator runs it as one Job per idempotent task key.",
    spec=ScanPlanSpec,
    status=ScanPlanStatus,
    new={"observedGeneration": -1, "phase": Phase.PENDING.value},
    columns=(
        _column("Phase", ".status.phase"),
        _column("Reason", ".status.reason"),
        _column("Progress", ".status.progress"),
        _column("Endpoints", ".status.endpointCount", "integer"),
        _column("Findings", ".status.findings.total", "integer"),
        _column("Critical", ".status.findings.critical", "integer"),
        _column("High", ".status.findings.high", "integer"),
        _column("New", ".status.findings.new", "integer"),
        _column("Duration", ".status.duration"),
        _column("Age", ".metadata.creationTimestamp", "date"),
        _column("Project", ".status.projectId", priority=1),
        _column("Run", ".status.runId", priority=1),
        _column("Resolved", ".status.findings.resolved", "integer", priority=1),
        _column("Job", ".status.jobRef.name", priority=1),
        _column("Key", ".status.taskKey", priority=1),
        _column("Suppressed", ".status.findings.suppressed", "integer", priority=1),
        _column("Error", ".status.error.message", priority=1),
    ),
)
SCANSCHEDULE = Definition(
    kind=labels.SCHEDULE_KIND,
    plural=labels.SCHEDULE_PLURAL,
    short_name="ss",
    description="A ScanSchedule makes ScanPlans from a template, by a timetable.",
    spec=ScanScheduleSpec,
    status=ScanScheduleStatus,
    new={"observedGeneration": -1},
    columns=(
        _column("Schedule", ".spec.schedule"),
        _column("Zone", ".spec.timeZone"),
        _column("Suspend", ".spec.suspend", "boolean"),
        _column("Last", ".status.lastScheduleTime", "date"),
        _column("Next", ".status.nextScheduleTime"),
        _column("Active", ".status.activeCount", "integer"),
        _column("Findings", ".status.lastRun.findings", "integer"),
        _column("New", ".status.lastRun.new", "integer"),
        _column("Resolved", ".status.lastRun.resolved", "integer"),
        _column("State", ".status.conditions[?(@.type=='Ready')].reason"),
        _column("Missed", ".status.missed", "integer", priority=1),
        _column("Skipped", ".status.skipped", "integer", priority=1),
        _column("Success", ".status.lastSuccessfulTime", "date", priority=1),
        _column("Started-By", ".status.lastStart.reason", priority=1),
        _column("Age", ".metadata.creationTimestamp", "date", priority=1),
    ),
    rules=(
        cel(
            f"self.metadata.name.size() <= {MAX_NAME}",
            f"a schedule's name has at most {MAX_NAME} characters: the names of its runs begin with it",
        ),
    ),
)
SCANEXCEPTION = Definition(
    kind=labels.EXCEPTION_KIND,
    plural=labels.EXCEPTION_PLURAL,
    short_name="sx",
    description="A ScanException says which findings of its namespace need no work, why, and until when.",
    spec=scanexception.ScanExceptionSpec,
    status=scanexception.ScanExceptionStatus,
    new={"observedGeneration": -1},
    columns=(
        _column("Status", ".spec.status"),
        _column("State", '.status.conditions[?(@.type=="Ready")].reason'),
        _column("Findings", ".status.findings", "integer"),
        _column("Expires", ".spec.expiresAt"),
        _column("Owner", ".spec.owner"),
        _column("Age", ".metadata.creationTimestamp", "date"),
        _column("Ticket", ".spec.ticket", priority=1),
        _column("Reason", ".spec.reason", priority=1),
    ),
    rules=(
        cel(
            f"self.metadata.name.size() <= {scanexception.MAX_NAME}",
            f"an exception's name has at most {scanexception.MAX_NAME} characters: results list it",
        ),
    ),
)
SCANNOTIFIER = Definition(
    kind=labels.NOTIFIER_KIND,
    plural=labels.NOTIFIER_PLURAL,
    short_name="sn",
    description="A ScanNotifier tells people of scans of its namespace that have ended.",
    spec=scannotifier.ScanNotifierSpec,
    status=scannotifier.ScanNotifierStatus,
    new={"observedGeneration": -1},
    columns=(
        _column("State", '.status.conditions[?(@.type=="Ready")].reason'),
        _column("Suspend", ".spec.suspend", "boolean"),
        _column("Severity", ".spec.minSeverity"),
        _column("Sent", ".status.sent", "integer"),
        _column("Pending", ".status.pending", "integer"),
        _column("Lost", ".status.lost", "integer"),
        _column("Last", ".status.lastSentTime", "date"),
        _column("Age", ".metadata.creationTimestamp", "date"),
        _column("Message", '.status.conditions[?(@.type=="Ready")].message', priority=1),
    ),
    rules=(
        cel(
            f"self.metadata.name.size() <= {scannotifier.MAX_NAME}",
            f"a notifier's name has at most {scannotifier.MAX_NAME} characters",
        ),
    ),
)
DEFINITIONS = {each.plural: each for each in (SCANPLAN, SCANSCHEDULE, SCANEXCEPTION, SCANNOTIFIER)}
"""All kinds by their plural."""
