"""What goes into a reconcile and what comes out of it: `Observed` in, `Decision` out.

A decision is one of five: it asks for inputs, for pods or for Kueue's Workload, it acts, or it writes the status. Actions are
values: the controller carries them out, and a test compares them.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo

from scanplan.api.v1alpha1.conditions import Reason
from scanplan.api.v1alpha1.scanplan_status import ScanPlanStatus
from scanplan.core.discovery.selection import Selection
from scanplan.core.manifests import jobs
from scanplan.core.observed import alterations
from scanplan.core.observed.jobs import MAX_OWNERS, JobView
from scanplan.core.observed.pods import PodView
from scanplan.core.observed.sharing import OtherCluster
from scanplan.core.observed.workloads import WorkloadView
from scanplan.core.planning import sources
from scanplan.core.planning.policy import Policy
from scanplan.core.planning.task import Plan, Task
from scanplan.core.status import events

RETRY_SECONDS = 10.0
"""Seconds until the next try, where somebody else has to raise a quota, grant a right, or create a missing input first."""
QUOTA_MAX_SECONDS = 60.0
"""The delay for a refused Job grows up to here."""
INPUT_MAX_SECONDS = 300.0
"""The delay for a missing input grows up to here."""
CONFLICT_SECONDS = 300.0
"""Seconds until the next look at a Job that the plan can't use: it is not ours, or it has too many owners."""


@dataclass(frozen=True, slots=True)
class CreateJob:
    """POST the manifest; the answers are: created, there already, refused, or that another cluster has the task."""

    manifest: jobs.Manifest = field(repr=False)
    task: Task | None = None
    """What it scans; None where it scans nothing."""
    skip_get: bool = False
    """Skips the GET of the plan before the POST: we hold the lease, and this process has seen no Job of this name."""


@dataclass(frozen=True, slots=True)
class PatchJob:
    """Strategic merge patch of a Job, with its UID (and resourceVersion, where the patch says so) as precondition."""

    job: JobView
    patch: jobs.Manifest


@dataclass(frozen=True, slots=True)
class DeleteJob:
    """Delete a Job and its pods (Foreground), with its UID as precondition."""

    job: JobView
    unchanged: bool = False
    """With its resourceVersion as precondition too."""


@dataclass(frozen=True, slots=True)
class StoreDocument:
    """POST the ConfigMaps or Secrets with a Job's task document. Those that exist already are kept, since they are immutable."""

    job: JobView
    objects: tuple[jobs.Manifest, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class SetAdmission:
    """Tell Kueue, through the Job's Workload (`spec.active`), whether the Job may run: `suspend` is Kueue's to change."""

    job: JobView
    active: bool


Action = CreateJob | PatchJob | DeleteJob | StoreDocument | SetAdmission


@dataclass(frozen=True, slots=True)
class Rejection:
    """The API server refused to create the Job, or what its pods need."""

    reason: Reason
    message: str
    stalled: bool
    """True: it will refuse until a person changes something."""
    retry_after: float | None

    @property
    def final(self) -> bool:
        """Whether the Job must not be created again until the plan is edited."""
        return self.reason is Reason.JOB_ALTERED

    @classmethod
    def forbidden(cls, message: str) -> Rejection:
        """403: a quota, or a right that was not granted; both may be lifted without touching the plan."""
        reason = Reason.QUOTA_EXCEEDED if "exceeded quota" in message else Reason.JOB_REJECTED
        return cls(reason, f"the Job can't be created: {message}", stalled=False, retry_after=RETRY_SECONDS)

    @classmethod
    def no_document(cls, message: str) -> Rejection:
        """An object with a part of the task document is refused; the Job is there, and its pods wait for it."""
        reason = Reason.QUOTA_EXCEEDED if "exceeded quota" in message else Reason.JOB_REJECTED
        text = f"the list of endpoints can't be handed to the scan pods: {message}"
        return cls(reason, text, stalled=False, retry_after=RETRY_SECONDS)

    @classmethod
    def invalid(cls, message: str) -> Rejection:
        """400 or 422: the plan asks for something that Kubernetes doesn't take."""
        return cls(Reason.JOB_REJECTED, f"Kubernetes refuses the Job: {message}", stalled=True, retry_after=None)

    @classmethod
    def shared_by_too_many(cls, job_name: str) -> Rejection:
        """The Job has as many owners as it may have."""
        message = (
            f"{MAX_OWNERS} plans share Job {job_name} already, which is the most: delete some of them, or set runId"
        )
        return cls(Reason.JOB_REJECTED, message, stalled=True, retry_after=CONFLICT_SECONDS)

    @classmethod
    def altered(cls, job_name: str, paths: Sequence[str]) -> Rejection:
        """Admission changed fields that the operator depends on, so the operator has deleted the Job again."""
        message = (
            f"an admission webhook or policy changes Job {job_name} so that it can't be run: "
            f"{alterations.named(paths)}; exempt the operator's Jobs from it, and set rerun"
        )
        if any(path.startswith("spec.managedBy") for path in paths):
            message += (
                "; a Job that another controller manages (spec.managedBy, as MultiKueue sets it) runs in a cluster "
                "from which this operator gets no results"
            )
        return cls(Reason.JOB_ALTERED, message, stalled=True, retry_after=None)

    @classmethod
    def name_conflict(cls, job_name: str) -> Rejection:
        """The name belongs to somebody else's Job."""
        message = (
            f"a Job named {job_name} exists that this operator did not make; it is left alone: remove it, or set rerun"
        )
        return cls(Reason.NAME_CONFLICT, message, stalled=True, retry_after=CONFLICT_SECONDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """One plan and all that bears on it."""

    plan: Plan
    policy: Policy
    jobs: Mapping[str, JobView]
    """All known Jobs of the namespace, by name."""
    owned: tuple[JobView, ...] = ()
    """Those that this plan owns."""
    doubted: Container[str]
    """Names of Jobs that may have left pods or results, or that another operator may create."""
    plans: Container[str]
    """UIDs of all plans that are there."""
    partners: tuple[Plan, ...] = ()
    """Other plans that own the task's Job."""
    inputs: sources.Inputs | None = None
    """The objects that the plan names, where the last decision asked for them."""
    exceptions: str = field(default="", repr=False)
    """The exceptions of the namespace, as pods get them; empty: there are none."""
    pods: tuple[PodView, ...] | None = None
    """The task's pods, where the last decision asked for them."""
    workload: WorkloadView | None = None
    """The Workload of the Job, where the last decision asked for it."""
    admissions: Mapping[str, bool] = field(default_factory=dict)
    """What this process has last told Kueue, by Job UID."""
    no_workload: bool = False
    """A `SetAdmission` could not be carried out, because Kueue has no Workload for the Job."""
    documented: Container[str] = frozenset()
    """UIDs of Jobs whose document is known to be stored."""
    rejection: Rejection | OtherCluster | None = None
    """Why the Job that the last decision asked for was not made."""
    free_slots: int = 1
    """Free slots of the namespace, less the waiting plans that go first."""
    last_write: datetime | None = None
    """When the status was last written, as far as this process knows."""
    has_later_run: bool = False
    """Its schedule has made a later run."""
    zones: Mapping[str, tzinfo] = field(default_factory=dict)
    """Time zones by their IANA names."""


@dataclass(frozen=True, slots=True)
class NeedInputs:
    """Decide again with these objects, which the plan names."""

    references: tuple[sources.Reference | Selection, ...]


@dataclass(frozen=True, slots=True)
class NeedPods:
    """Decide again with the pods of this task."""

    task: str
    """The task's Job name."""


@dataclass(frozen=True, slots=True)
class NeedWorkload:
    """Decide again with the Workload by which Kueue admits this Job."""

    job: JobView


@dataclass(frozen=True, slots=True)
class Act:
    """Carry out these actions in order, observe again, and decide again."""

    actions: tuple[Action, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """Nothing is left to be done but to write the status, where it differs."""

    status: ScanPlanStatus | None = None
    """The whole status to write; None: leave it."""
    requeue_after: float | None = None
    """Seconds after which to decide again without any event."""
    requeue_max: float | None = None
    """`requeue_after` is doubled at each such decision about the same generation, up to this bound; None: it is constant."""
    decide_again_at: datetime | None = None
    """When to decide again at the latest: a window opens or closes."""
    queued: bool = False
    """The plan waits for a slot."""
    event: events.Event | None = None
    """To be recorded once the status is written."""


NOTHING = Write()
"""Nothing is to be done or written."""
Decision = NeedInputs | NeedPods | NeedWorkload | Act | Write
"""What to do about a plan: exactly one of these."""
