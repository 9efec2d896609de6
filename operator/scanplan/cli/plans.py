"""Reads a ScanPlan object for the commands: its fields, and the colours of its states."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from rich.text import Text

from scanplan.api.v1alpha1.scanplan import Phase
from scanplan.api.v1alpha1.scanplan_status import Condition, ScanPlanStatus
from scanplan.api.v1alpha1.task import Severity
from scanplan.cli.output.failure import Failure
from scanplan.cli.output.tables import STYLES
from scanplan.core.status.statuses import format_duration

Object = Mapping[str, Any]

PHASE_STYLES = {
    Phase.PENDING: "yellow",
    Phase.QUEUED: "yellow",
    Phase.RUNNING: "cyan",
    Phase.RETRYING: "magenta",
    Phase.SUSPENDED: "dim",
    Phase.COMPLETED: "green",
    Phase.FAILED: "bold red",
    Phase.CANCELLED: "dim",
}


def name(plan: Object) -> str:
    """The plan's own."""
    return str(plan["metadata"]["name"])


def status(plan: Object) -> ScanPlanStatus:
    """Empty where nobody has written it, or a newer operator has written what this version can't read."""
    return ScanPlanStatus.read(plan)


def phase(plan: Object) -> Phase:
    """Pending where the operator hasn't seen it, or this generation of it, yet."""
    known = status(plan).phase or Phase.PENDING
    return known if is_current(plan) or not known.is_terminal else Phase.PENDING


def is_current(plan: Object) -> bool:
    """Whether the status is about the plan as it is now."""
    return bool(status(plan).observed_generation == plan["metadata"].get("generation"))


def shards(plan: Object) -> str:
    """Finished shards of all, such as 3/8."""
    return status(plan).progress or "-" if phase(plan) is not Phase.PENDING or is_current(plan) else "-"


def has_ended(plan: Object) -> bool:
    """For good, this generation of it."""
    return phase(plan).is_terminal


def phase_text(plan: Object) -> Text:
    """In its colour."""
    return Text(phase(plan).value, PHASE_STYLES[phase(plan)])


def condition(plan: Object, kind: str) -> Condition | None:
    """One condition; None where there is none."""
    return status(plan).condition(kind)


def message(plan: Object) -> str:
    """What the operator says of the plan's state; empty where it hasn't seen it as it is now."""
    ready = condition(plan, "Ready")
    return ready.message if ready and is_current(plan) else ""


def findings(plan: Object) -> Mapping[str, int]:
    """Published findings by severity, and `total`; empty before there is a result."""
    counts = status(plan).findings
    return counts.model_dump() if counts else {}


def count_text(plan: Object, severity: Severity) -> Text:
    """How many findings of a severity; a dash before there is a result."""
    counts = findings(plan)
    if not counts:
        return Text("-", "dim")
    count = counts.get(severity.value, 0)
    return Text(f"{count:,}", STYLES[severity] if count else "dim")


def seconds_since(timestamp: str, now: datetime) -> int:
    """Of an API time."""
    return max(0, int((now - datetime.fromisoformat(timestamp)).total_seconds()))


def age(plan: Object, now: datetime) -> str:
    """As kubectl writes it, roughly: 42s, 4m12s, 3h5m, 12d."""
    return span(seconds_since(str(plan["metadata"]["creationTimestamp"]), now))


def duration(plan: Object, now: datetime) -> str:
    """Of the run; of what has passed of it where it hasn't ended."""
    shown = status(plan)
    if shown.duration:
        return shown.duration
    return span(seconds_since(shown.start_time, now)) if shown.start_time else "-"


def span(seconds: float) -> str:
    """A time span for people: 42s, 4m12s, 3h5m, 12d."""
    return f"{int(seconds) // 86_400}d" if seconds >= 172_800 else format_duration(int(seconds * 1000))


def now() -> datetime:
    """By this machine's clock."""
    return datetime.now(UTC)


def keeper(plan: Object) -> str:
    """Who else keeps the plan's spec as it is, and would set back what is changed here; empty where nobody is known to."""
    metadata = plan["metadata"]
    marks = {**(metadata.get("labels") or {}), **(metadata.get("annotations") or {})}
    if "argocd.argoproj.io/tracking-id" in marks or "argocd.argoproj.io/instance" in marks:
        return "Argo CD"
    if "kustomize.toolkit.fluxcd.io/name" in marks or "helm.toolkit.fluxcd.io/name" in marks:
        return "Flux"
    return ""


def here(plan: Object) -> None:
    """Make sure that the plan's artifacts are in this cluster.

    Raises:
        Failure: another one has scanned for it.
    """
    artifacts = status(plan).artifacts
    if artifacts and artifacts.cluster:
        raise Failure(
            f"{name(plan)} was scanned in cluster {artifacts.cluster}, and its artifacts are on claim {artifacts.claim_name} there",
            f"--context CONTEXT, the one of cluster {artifacts.cluster}",
        )
