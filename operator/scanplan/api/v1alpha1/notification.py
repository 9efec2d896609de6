"""What a message says of a scan: one model, from which every format is made.

It is kept in the outbox, so every text has a bound. It has no request, no response and no extracted result.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from scanplan.api.v1alpha1.model import Model

MAX_EXAMPLES = 10
MAX_TEXT = 512
"""Characters of a message of the scan."""
Name = Annotated[str, Field(max_length=256)]
Link = Annotated[str, Field(max_length=2048)]
Counts = dict[str, int]


class NewFinding(Model):
    """A finding as messages name it. Its texts are a template's and a scanned host's, so they may hold anything."""

    severity: Annotated[str, Field(max_length=16)]
    name: Annotated[str, Field(max_length=120, description="Its name in the template.")]
    template: Annotated[str, Field(max_length=120, description="Id of the template.")]
    where: Annotated[
        str, Field(max_length=256, description="Where it was found, without query; empty where endpoints are secret.")
    ] = ""


class Notice(Model):
    """One message: a digest of one scan, or a test."""

    event: Annotated[str, Field(max_length=32, description="NewFindings, Failed, Recovered, Completed or Test.")]
    time: Annotated[
        str,
        Field(json_schema_extra={"format": "date-time"}, description="When the plan's status said that it has ended."),
    ]
    namespace: Name
    plan: Annotated[Name, Field(description="Name of the ScanPlan.")] = ""
    uid: Annotated[str, Field(max_length=64, description="UID of the ScanPlan.")] = ""
    schedule: Annotated[Name, Field(description="ScanSchedule that it is a run of.")] = ""
    project: Name = ""
    run: Name = ""
    phase: Annotated[str, Field(max_length=32)] = ""
    reason: Annotated[str, Field(max_length=128)] = ""
    message: Annotated[str, Field(max_length=MAX_TEXT, description="Why it failed.")] = ""
    recovered: Annotated[bool, Field(description="The scan before it in its run had failed.")] = False
    complete: Annotated[bool, Field(description="The result is of the whole scan.")] = False
    duration: Annotated[str, Field(max_length=32)] = ""
    endpoints: int | None = None
    findings: Annotated[Counts | None, Field(description="All findings, by severity.")] = None
    suppressed: Annotated[int | None, Field(description="Those that fall under an exception.")] = None
    new: Annotated[
        Counts | None,
        Field(description="New findings of at least minSeverity that fall under no exception, by severity."),
    ] = None
    resolved: int | None = None
    reopened: int | None = None
    examples: Annotated[
        tuple[NewFinding, ...], Field(max_length=MAX_EXAMPLES, description="The most severe of the new findings.")
    ] = ()
    min_severity: Annotated[str, Field(max_length=16)] = ""
    page_url: Annotated[Link, Field(description="Page of all scans, where the operator's owner serves one.")] = ""
    report_url: Annotated[Link, Field(description="Report of this scan, where it is served.")] = ""
    metadata: Annotated[dict[str, str] | None, Field(description="As the notifier's spec has it.")] = None

    @property
    def new_total(self) -> int:
        """How many findings are new."""
        return sum((self.new or {}).values())
