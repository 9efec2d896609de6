"""The library's values: a plan, its result, and the key that identifies equal plans.

Names and order of the fields are those of the first, in-process version, so its positional calls still work. Every value is
checked when it is made, because values also come from Redis, where other programs may write.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from enum import Enum
from typing import Annotated, Any, Self, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic.dataclasses import dataclass
from pydantic_core import ArgsKwargs

from scanplan.api import nearest
from scanplan.api.documents.report import FindingCounts, TaskError
from scanplan.api.documents.words import ErrorClass, Severity
from scanplan.api.names import LIST_ENTRY
from scanplan.api.schema import strictness
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.api.v1alpha1.model import meant
from scanplan.api.v1alpha1.plan.selection import AUTOMATIC_ALONE, TEMPLATE, Selection
from scanplan.api.v1alpha1.scanplan import MAX_ENDPOINTS, RUN_NAME
from scanplan.client.errors import InvalidPayload
from scanplan.core.planning import keys
from scanplan.core.planning.nuclei import selection_options
from scanplan.core.planning.targets import endpoints

TASK_TYPE = "scan"
"""The one type of task."""

_STRICT = ConfigDict(extra="forbid")
T = TypeVar("T")

Endpoint = Annotated[str, Field(min_length=1, max_length=2048, pattern=LIST_ENTRY)]
SeverityLevel = Annotated[str, AfterValidator(Severity)]
"""The name of a severity, as text or as `Severity`."""
Template = Annotated[str, Field(min_length=1, max_length=512, pattern=TEMPLATE)]


def _known_selection(value: Any) -> Any:
    if unknown := strictness.unknown_in_selection(value):
        raise ValueError("; ".join(unknown))
    return value


class TaskStatus(Enum):
    """The state of a task. A task that does not exist has none: `get_task_status` raises `UnknownTask`."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    RETRYING = "retrying"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        return self in {TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED}


@dataclass(frozen=True, config=_STRICT)
class ScanPlan:
    """Which endpoints to scan, with which templates."""

    run_id: Annotated[str, Field(max_length=253, pattern=RUN_NAME)]
    """The run that the findings belong to, and their folder: ``ui_projects/{run_id}``."""
    project_id: Annotated[str, Field(max_length=63, pattern=RUN_NAME)]
    endpoints: Annotated[list[Endpoint], Field(min_length=1, max_length=MAX_ENDPOINTS)]
    """Hosts, host:port or http(s) URLs."""
    templates: Annotated[list[Template], Field(max_length=1_000)]
    """Template files, folders or ids. Empty: as `selection` has it."""
    severity_levels: list[SeverityLevel] = dataclasses.field(default_factory=list)
    """Only templates of these severities; empty means all."""
    priority: Annotated[int, Field(ge=0, le=10)] | None = None
    """Order among waiting tasks, 0 to 10, higher first; None: ASYNC_SCAN_PRIORITY, which is 5 by default."""
    selection: Annotated[Selection, BeforeValidator(_known_selection)] = Selection()
    """Which of the templates run, as `spec.selection` of a ScanPlan has it; a mapping will do."""

    @model_validator(mode="before")
    @classmethod
    def _known_fields(cls, given: Any) -> Any:
        names = (given.kwargs or {}) if isinstance(given, ArgsKwargs) else given
        if isinstance(names, Mapping) and cls.__pydantic_config__["extra"] == "forbid":  # type: ignore[attr-defined]
            known = [field.name for field in dataclasses.fields(cls)]
            if unknown := [name for name in names if name not in known]:
                raise ValueError(
                    "; ".join(f"unknown field {name}{nearest.suggestion(name, known)}" for name in unknown)
                )
        return given

    @model_validator(mode="after")
    def _names_templates(self) -> Self:
        selection = self.selection
        if not (self.templates or selection.include is not None or selection.profile or selection.workflows):
            raise ValueError(
                "there is nothing to scan with: set templates, or include, profile or workflows of selection"
            )
        if selection.automatic and selection.workflows:
            raise ValueError(AUTOMATIC_ALONE)
        return self


@dataclass(frozen=True, config=_STRICT)
class SeverityCounts:
    """Findings by severity."""

    critical: int = 0
    high: int = 0
    medium: int = 0
    low: int = 0
    info: int = 0
    unknown: int = 0

    @classmethod
    def of(cls, counts: FindingCounts) -> SeverityCounts:
        """Make it from a runner's document."""
        return cls(**{field.name: getattr(counts, field.name) for field in dataclasses.fields(cls)})

    @property
    def total(self) -> int:
        return sum(dataclasses.astuple(self))


@dataclass(frozen=True, config=_STRICT)
class ArtifactRef:
    """A published file."""

    name: str
    bytes: int
    sha256: str


def _status_by(fields: dict[str, Any]) -> TaskStatus:
    return TaskStatus.COMPLETED if fields["success"] else TaskStatus.FAILED


@dataclass(frozen=True, config=_STRICT)
class ScanResult:
    """The result of a plan. The first six fields are those of the first version."""

    run_id: str
    success: bool
    """Every shard was scanned to its end. Findings don't make a scan fail."""
    endpoint_count: int
    finding_count: int
    duration_ms: int
    error: str | None = None
    """Why it failed and what to do, for people."""
    task_id: str = ""
    status: TaskStatus = Field(default_factory=_status_by)
    """COMPLETED after a success, and then alone; by default FAILED without one."""
    error_class: ErrorClass | None = None
    reason: Reason | None = None
    """The error's reason, for programs."""
    findings: SeverityCounts = dataclasses.field(default_factory=SeverityCounts)
    endpoints_scanned: int = 0
    endpoints_unreachable: int = 0
    artifact_path: str | None = None
    """Folder of the merged artifacts below the data directory (or the claim's root); None where nothing was published."""
    artifacts: list[ArtifactRef] = dataclasses.field(default_factory=list)
    complete: bool = False
    """The published artifacts hold every shard's findings; False with artifacts: partial."""

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.success != (self.status is TaskStatus.COMPLETED):
            raise ValueError(f"success {self.success} and status {self.status.value} contradict each other")
        return self

    @property
    def task_error(self) -> TaskError | None:
        """Why the scan failed; None where it has not, or where that is not known."""
        if not (self.error and self.error_class and self.reason):
            return None
        return TaskError(error_class=self.error_class, reason=self.reason, message=self.error)


@dataclass(frozen=True, config=_STRICT)
class QueueHealth:
    """The health of a queue, with the fields of the first version's health endpoint."""

    queue_size: int
    """Tasks that wait for a worker or for their next attempt."""
    active_workers: int
    """Workers (redis) or running scans (sync, kubernetes)."""
    failed_jobs: int
    redis_connected: bool
    """Whether Redis answers; False for the other queues."""


@dataclass(frozen=True, config=ConfigDict(extra="ignore"))
class TaskPayload(ScanPlan):
    """A plan as a queue stores it. `task_key` is the key that the submitter computed."""

    task_key: str = ""

    @property
    def plan(self) -> ScanPlan:
        return ScanPlan(**{field.name: getattr(self, field.name) for field in dataclasses.fields(ScanPlan)})


def generate_task_key(plan: ScanPlan) -> str:
    """The idempotent key: ``scan:{project}:{run}:{endpoints}:{templates}:{options}``.

    The first version's key left out the severities and had only 8 digits of MD5, so two different scans could share a key. It is
    still available as `compat_task_key`.

    Raises:
        InvalidEndpoint: an endpoint that is no host, host:port or http(s) URL.
    """
    targets = endpoints.canonical_all(plan.endpoints)
    options = {"severityLevels": sorted(set(plan.severity_levels)), **selection_options.of_key(plan.selection)}
    return keys.task_key(plan.project_id, plan.run_id, targets, plan.templates, [], options)


def compat_task_key(plan: ScanPlan) -> str:
    """The first version's key, unchanged, for programs that have stored such keys."""
    return keys.compat_key(plan.project_id, plan.run_id, plan.endpoints, plan.templates)


def task_id_of(plan: ScanPlan) -> str:
    """The id of the plan's task in every queue: ``scan-`` and 20 hex digits.

    A run may have several tasks, so its id is no task id, as it was in the first version.
    """
    return keys.job_name(generate_task_key(plan))


def selected(plan: ScanPlan) -> dict[str, Any]:
    """The plan's selection as a field of a ScanPlan's spec; empty where it leaves nothing out."""
    selection = plan.selection.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return {"selection": selection} if selection else {}


def payload_of(plan: ScanPlan) -> dict[str, Any]:
    """The plan as a queue's payload, JSON values only."""
    return {**dump(plan), "task_key": generate_task_key(plan)}


def dump(value: object) -> dict[str, Any]:
    """Dump a value of this module to JSON types."""
    fields: dict[str, Any] = TypeAdapter(type(value)).dump_python(value, mode="json")
    return fields


def to_json(value: object) -> bytes:
    """Encode a value of this module as JSON text."""
    return TypeAdapter(type(value)).dump_json(value)


def load(kind: type[T], value: object, what: str) -> T:
    """Read and check a value of this module.

    Args:
        kind: the type of the value.
        value: JSON types, or JSON text.
        what: name of the value in an error message.

    Raises:
        InvalidPayload: the value is wrong; the message has a line for each mistake.
    """
    adapter = TypeAdapter(kind)
    try:
        return (
            adapter.validate_json(value)
            if isinstance(value, (str, bytes, bytearray))
            else adapter.validate_python(value)
        )
    except ValidationError as error:
        lines = [
            f"  {'.'.join(map(str, problem['loc'])) or 'all of it'}: {problem['msg']}{meant(problem)}"
            for problem in error.errors()
        ]
        raise InvalidPayload("\n".join([f"{what} is not valid:", *lines])) from None


def result_for(task_id: str, fields: Mapping[str, Any]) -> ScanResult:
    """Check a result that a program stores for a task: the fields of a `ScanResult`, or what `execute_nuclei_pipeline` returns.

    Raises:
        InvalidPayload: a field is missing or wrong, or the result is of another task, or of one that has not ended.
    """
    result = load(ScanResult, {"task_id": task_id, **_spelt(fields)}, f"the result of {task_id}")
    if result.task_id != task_id:
        raise InvalidPayload(f"the result of {task_id} is not valid:\n  task_id: it is that of {result.task_id}")
    if not result.status.is_terminal:
        raise InvalidPayload(
            f"the result of {task_id} is not valid:\n  status: {result.status.value} is no end of a task"
        )
    return result


def _spelt(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields by the names of `ScanResult`; the first version's pipeline had others."""
    rest = dict(fields)
    if "findings_count" in rest:
        rest["finding_count"] = rest.pop("findings_count")
        rest.setdefault("endpoint_count", rest.get("endpoints_scanned"))
    return rest


def plan_from(payload: Mapping[str, Any]) -> ScanPlan:
    """Read the plan in a payload of `submit_task`. A key in the payload must be that of the plan.

    Raises:
        InvalidPayload: a field is missing or wrong, or the key is that of another plan.
    """
    stored = load(TaskPayload, dict(payload), "the scan task")
    if stored.task_key and stored.task_key != generate_task_key(stored.plan):
        raise InvalidPayload("the scan task is not valid:\n  task_key: it is not the key of this plan")
    return stored.plan
