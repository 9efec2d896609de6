"""A ScanSchedule: ScanPlans on a timetable. The spec is what a user writes, the status what a user reads.

Each run is a ScanPlan of its own, made from the template. `scanplan.core.schedule` decides when one is made.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from scanplan.api.names import TIME_ZONE
from scanplan.api.v1alpha1.model import Model
from scanplan.api.v1alpha1.plan.pod_template import reserved
from scanplan.api.v1alpha1.scanplan import Phase, ScanPlanSpec
from scanplan.api.v1alpha1.status import Status
from scanplan.api.v1alpha1.windows import MAX_WINDOWS, ScanWindow

MAX_NAME = 50
"""Characters of a schedule's name: a run's name adds 13, and has to be a label's value."""
SCHEDULE = r"^[^\x00-\x1f\x7f]+$"
OF_RUNS = ("runId", "rerun", "retryExports", "suspend", "cancel")
"""Fields of a ScanPlan that a template does not have: the schedule sets the first two, the others are for one run."""


class ConcurrencyPolicy(StrEnum):
    """What happens when a time comes while the last run's scan has not ended."""

    FORBID = "Forbid"
    """The time is skipped."""
    REPLACE = "Replace"
    """The running scan is cancelled, what it found is kept, and the new run starts."""
    ALLOW = "Allow"
    """Both run."""


class RescanReason(StrEnum):
    """What starts a run besides the timetable."""

    TEMPLATES_CHANGED = "TemplatesChanged"
    """Another image holds the templates: the operator's default, or one that the template names."""


class StartReason(StrEnum):
    """Why a run was started."""

    SCHEDULED = "Scheduled"
    TRIGGERED = "Triggered"
    TEMPLATES_CHANGED = "TemplatesChanged"


def _without_fields_of_runs(schema: dict[str, Any]) -> None:
    for name in OF_RUNS:
        schema["properties"].pop(name)
    schema.update(ScanPlanSpec.model_config["json_schema_extra"])  # type: ignore[arg-type]


class ScanTemplateSpec(ScanPlanSpec):
    """What each run scans, with what, and how: the spec of a ScanPlan without what is about one run."""

    model_config = ConfigDict(json_schema_extra=_without_fields_of_runs)


class TemplateMetadata(Model):
    """Labels and annotations of each run."""

    labels: Annotated[
        dict[str, Annotated[str, Field(max_length=63)]],
        Field(
            default_factory=dict,
            max_length=32,
            description="Labels of each run.",
            json_schema_extra=reserved("labels"),
        ),
    ]
    annotations: Annotated[
        dict[str, Annotated[str, Field(max_length=4096)]],
        Field(
            default_factory=dict,
            max_length=32,
            description="Annotations of each run.",
            json_schema_extra=reserved("annotations"),
        ),
    ]


class ScanTemplate(Model):
    """The ScanPlan that each run is."""

    metadata: Annotated[TemplateMetadata, Field(description="Labels and annotations of each run.")] = TemplateMetadata()
    spec: Annotated[
        ScanTemplateSpec,
        Field(
            description="The spec of each run: a ScanPlan's, without runId, rerun, retryExports, suspend and cancel. "
            "All runs share the schedule's name as their runId."
        ),
    ]


class ScanScheduleSpec(Model):
    """When to scan, and what."""

    schedule: Annotated[
        str,
        Field(
            min_length=1,
            max_length=256,
            pattern=SCHEDULE,
            description="Five fields of cron (minute, hour, day of month, month, day of week), or @hourly, @daily, @weekly, "
            "@monthly or @yearly.",
        ),
    ]
    time_zone: Annotated[
        str,
        Field(
            max_length=64, pattern=TIME_ZONE, description="Name of the IANA time zone that the schedule is written in."
        ),
    ] = "Etc/UTC"
    spread_seconds: Annotated[
        int,
        Field(
            ge=0,
            le=86_400,
            description="Window after each time. Each schedule starts at its own stable offset in it.",
        ),
    ] = 0
    starting_deadline_seconds: Annotated[
        int,
        Field(
            ge=10,
            le=31_536_000,
            description="Seconds after its time until which a run may still start. Later it is missed, and counted.",
        ),
    ] = 3_600
    concurrency_policy: Annotated[
        ConcurrencyPolicy,
        Field(
            description="When the last scan has not ended: Forbid skips the time, Replace cancels that scan and keeps "
            "what it found, Allow runs both."
        ),
    ] = ConcurrencyPolicy.FORBID
    suspend: Annotated[
        bool,
        Field(
            description="Start nothing by the timetable. Afterwards the next time counts, not those that have passed."
        ),
    ] = False
    trigger: Annotated[
        str,
        Field(max_length=63, description="Each new value starts one run now, also while the schedule is suspended."),
    ] = ""
    rescan_on: Annotated[
        list[RescanReason],
        Field(
            max_length=len(RescanReason),
            json_schema_extra={"x-kubernetes-list-type": "set"},
            description="What starts a run besides the timetable. TemplatesChanged: the runs get their templates from another "
            "image than the last one did, by its reference. Not while the schedule is suspended.",
        ),
    ] = []
    successful_runs_history_limit: Annotated[
        int,
        Field(
            ge=0,
            le=100,
            description="Completed runs that are kept. The last one always is: the next is compared with it.",
        ),
    ] = 7
    failed_runs_history_limit: Annotated[
        int,
        Field(
            ge=0, le=100, description="Failed and cancelled runs that are kept. The last run that has ended always is."
        ),
    ] = 3
    windows: Annotated[
        list[ScanWindow],
        Field(
            max_length=MAX_WINDOWS,
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
            description="When runs may scan; each run gets them, unless the template has windows of its own. "
            "An edit acts on the next run.",
        ),
    ] = []
    template: Annotated[ScanTemplate, Field(description="The ScanPlan that each run is. An edit acts on the next run.")]


class RunSummary(Model):
    """How a run ended."""

    name: str
    phase: Phase | None = None
    reason: Annotated[
        str | None, Field(description="Why it failed, or what its result lacks, such as TargetDenied.")
    ] = None
    completion_time: Annotated[str | None, Field(json_schema_extra={"format": "date-time"})] = None
    findings: int | None = None
    new: Annotated[int | None, Field(description="Findings that the run before did not have.")] = None
    resolved: Annotated[int | None, Field(description="Findings of the run before that are resolved.")] = None


class Start(Model):
    """A run that was started."""

    name: str
    reason: StartReason
    time: Annotated[str, Field(json_schema_extra={"format": "date-time"}, description="When the run was made.")]


class ScanScheduleStatus(Status):
    """When it ran, when it runs next, and how its runs ended."""

    timetable_digest: Annotated[
        str | None,
        Field(description="Digest of what nextScheduleTime was computed from. An edit of it starts nothing."),
    ] = None
    last_schedule_time: Annotated[
        str | None,
        Field(
            json_schema_extra={"format": "date-time"},
            description="The last time of the timetable that a run was made for.",
        ),
    ] = None
    next_schedule_time: Annotated[
        str | None,
        Field(
            json_schema_extra={"format": "date-time"},
            description="The next time of the timetable, without the offset of spreadSeconds.",
        ),
    ] = None
    last_successful_time: Annotated[
        str | None, Field(json_schema_extra={"format": "date-time"}, description="When a run last completed.")
    ] = None
    active: Annotated[tuple[str, ...], Field(description="Names of the runs that have not ended, up to 100.")] = ()
    active_count: Annotated[int | None, Field(description="How many runs have not ended.")] = None
    last_start: Annotated[Start | None, Field(description="The newest run, and why it was started.")] = None
    templates_digest: Annotated[
        str | None,
        Field(
            description="Digest of the images that hold the templates, as the last run got them. With "
            "rescanOn TemplatesChanged, another one starts a run."
        ),
    ] = None
    last_run: Annotated[RunSummary | None, Field(description="The newest run that has ended.")] = None
    last_trigger: Annotated[str | None, Field(description="The last value of spec.trigger that was acted on.")] = None
    missed: Annotated[
        int | None,
        Field(description="Times that passed without a run, because no operator was at work or it was refused."),
    ] = None
    skipped: Annotated[
        int | None, Field(description="Times that passed without a run, because the last scan had not ended.")
    ] = None
    last_missed_time: Annotated[
        str | None,
        Field(json_schema_extra={"format": "date-time"}, description="The last time that was missed or skipped."),
    ] = None
