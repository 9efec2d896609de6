"""Reads a ScanPlan object for the commands: its fields, and the colours of its states."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from rich.text import Text

from scanplan.api.documents.words import Severity
from scanplan.api.times import format_duration
from scanplan.api.v1alpha1.scanplan import Phase
from scanplan.api.v1alpha1.scanplan_status import ScanPlanStatus
from scanplan.api.v1alpha1.status import Condition
from scanplan.cli.output.failure import Failure
from scanplan.cli.output.tables import STYLES

Object = Mapping[str, Any]
T = TypeVar("T")

_LOOK_SECONDS = 0.5
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
    """The plan's name."""
    return str(plan["metadata"]["name"])


def status(plan: Object) -> ScanPlanStatus:
    """The plan's status; empty where there is none, or where a newer operator wrote one that we can't read."""
    return ScanPlanStatus.read(plan)


def phase(plan: Object) -> Phase:
    """The plan's phase; Pending until the operator has seen this generation."""
    known = status(plan).phase or Phase.PENDING
    return known if is_current(plan) or not known.is_terminal else Phase.PENDING


def is_current(plan: Object) -> bool:
    """Whether the status is about the plan as it is now."""
    return bool(status(plan).observed_generation == plan["metadata"].get("generation"))


def shards(plan: Object) -> str:
    """Finished shards and all shards, such as ``3/8``."""
    return status(plan).progress or "-" if phase(plan) is not Phase.PENDING or is_current(plan) else "-"


def has_ended(plan: Object) -> bool:
    """Whether this generation of the plan has ended for good."""
    return status(plan).is_over(plan["metadata"].get("generation"))


def phase_text(plan: Object) -> Text:
    """The phase in its colour."""
    return Text(phase(plan).value, PHASE_STYLES[phase(plan)])


def condition(plan: Object, kind: str) -> Condition | None:
    """The condition of this type; None where the plan has none."""
    return status(plan).condition(kind)


def message(plan: Object) -> str:
    """The operator's message on the plan's state; empty until it has seen this generation."""
    ready = condition(plan, "Ready")
    return ready.message if ready and is_current(plan) else ""


def findings(plan: Object) -> Mapping[str, int]:
    """Published findings by severity, and `total`; empty before there is a result."""
    counts = status(plan).findings
    return counts.counts if counts else {}


def count_text(plan: Object, severity: Severity) -> Text:
    """The number of findings of a severity; a dash before there is a result."""
    counts = findings(plan)
    if not counts:
        return Text("-", "dim")
    count = counts.get(severity.value, 0)
    return Text(f"{count:,}", STYLES[severity] if count else "dim")


def seconds_since(timestamp: str, now: datetime) -> int:
    """Whole seconds from an API timestamp to `now`, at least 0."""
    return max(0, int((now - datetime.fromisoformat(timestamp)).total_seconds()))


def age(plan: Object, now: datetime) -> str:
    """The plan's age in kubectl's form: 42s, 4m12s, 3h5m, 12d."""
    return span(seconds_since(str(plan["metadata"]["creationTimestamp"]), now))


def duration(plan: Object, now: datetime) -> str:
    """The duration of the run, so far where it has not ended."""
    shown = status(plan)
    if shown.duration:
        return shown.duration
    return span(seconds_since(shown.start_time, now)) if shown.start_time else "-"


def span(seconds: float) -> str:
    """A time span for people: 42s, 4m12s, 3h5m, 12d."""
    return f"{int(seconds) // 86_400}d" if seconds >= 172_800 else format_duration(int(seconds * 1000))


def now() -> datetime:
    """The current time by this machine's clock, in UTC."""
    return datetime.now(UTC)


def token() -> str:
    """A value that was never there before, for fields in which a new value asks for something."""
    return now().strftime("%Y-%m-%dT%H-%M-%S.%fZ")


def awaited(look: Callable[[], T | None], seconds: float) -> T | None:
    """What a look finds, as soon as one finds something; None where none did in so many seconds. It looks at least once."""
    end = time.monotonic() + seconds
    while (found := look()) is None and time.monotonic() < end:
        time.sleep(_LOOK_SECONDS)
    return found


def keeper(plan: Object) -> str:
    """The GitOps tool that manages the plan's spec and would revert a change; empty where none is known."""
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
