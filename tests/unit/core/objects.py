"""Plans, Jobs, pods and reports that the tables of the core are about: usual ones, to be changed in what a row is about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from scanplan.api.documents.report import (
    ArtifactFile,
    FindingCounts,
    MergedResult,
    ScannerVersion,
    ShardReport,
    TaskError,
)
from scanplan.api.documents.words import ErrorClass, Outcome
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.api.v1alpha1.model import Effect
from scanplan.api.v1alpha1.scanplan import ScanPlanSpec
from scanplan.api.v1alpha1.scanplan_status import ScanPlanStatus
from scanplan.core.observed.jobs import JobCondition, JobView
from scanplan.core.observed.pods import PodView
from scanplan.core.planning import merging, sources
from scanplan.core.planning.policy import Policy
from scanplan.core.planning.task import Plan, Resolution, Task, digest_of, input_digest, resolve
from scanplan.core.status import statuses

Status = dict[str, Any]
"""A status on the wire, as kubectl prints it."""
NOW = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)
POLICY = Policy(scanner_image="scanner:1")
CLAIM = sources.Reference(sources.Kind.CLAIM, POLICY.claim_name)
INPUTS: sources.Inputs = {CLAIM: sources.Input(access_modes=("ReadWriteMany",))}
SPEC: Mapping[str, Any] = {
    "projectId": "acme",
    "runId": "nightly",
    "endpoints": ["https://a.example", "https://b.example"],
    "templates": ["http/cves/"],
    "sharding": {"maxEndpointsPerShard": 1, "parallelism": 2},
}


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def plan(
    status: Status | None = None, uid: str = "plan-1", generation: int = 1, name: str = "alpha", **spec: Any
) -> Plan:
    """A plan of two endpoints on two hosts; keywords change its spec, by the names in YAML."""
    return Plan(
        namespace="team",
        name=name,
        uid=uid,
        generation=generation,
        created=ago(600),
        spec=ScanPlanSpec.model_validate({**SPEC, **spec}),
        status=ScanPlanStatus.of({"status": status or {"observedGeneration": -1, "phase": "Pending"}}),
        resource_version="7",
    )


def task(of: Plan | None = None, policy: Policy = POLICY, inputs: sources.Inputs = INPUTS) -> Task:
    """The plan's task."""
    return resolve(of or plan(), policy, NOW, inputs)


def merge_task(of: Plan | None = None, policy: Policy = POLICY) -> Task:
    """The task of the plan's collector."""
    scan = task(of, policy)
    return merging.task(of or plan(), policy, NOW, INPUTS, Resolution(key=scan.key, image=scan.image, claim=scan.claim))


def job(of: Plan | None = None, **changes: Any) -> JobView:
    """The plan's Job, a minute old, with two pods at work."""
    of = of or plan()
    of_task = task(of)
    usual = JobView(
        namespace=of.namespace,
        name=of_task.job_name,
        uid="job-1",
        resource_version=100,
        created=ago(61),
        managed=True,
        key=of_task.key,
        owners=frozenset({of.uid}),
        pins=((of.uid, input_digest(of.spec)),),
        creator=of.uid,
        next_run_digest=digest_of(of.spec, Effect.NEXT),
        endpoint_count=len(of_task.document.endpoints),
        image=of_task.image,
        claim=of_task.claim,
        completions=of_task.document.shards,
        parallelism=2,
        deadline_seconds=_deadline(of),
        ttl_seconds=of.spec.ttl_seconds_after_finished,
        active=2,
        ready=2,
        start_time=ago(60),
    )
    return replace(usual, **changes)


def _deadline(of: Plan) -> int:
    from scanplan.core.manifests.jobs import deadline_seconds

    return deadline_seconds(of.spec, task(of).document.shards)


def complete(**changes: Any) -> JobView:
    """The Job, complete ten seconds ago."""
    ended = {"active": 0, "ready": 0, "succeeded": 2, "completion_time": ago(10)}
    return job(**{**ended, "complete": JobCondition("CompletionsReached", "", ago(10)), **changes})


def failed(reason: str = "FailedIndexes", **changes: Any) -> JobView:
    """The Job, failed ten seconds ago."""
    ended = {"active": 0, "ready": 0, "succeeded": 1, "failed_pods": 4, "failed_at": frozenset({1})}
    return job(**{**ended, "failed": JobCondition(reason, f"because of {reason}", ago(10)), **changes})


def pod(index: int = 0, phase: str = "Running", **changes: Any) -> PodView:
    """A pod of the Job."""
    usual = PodView(name=f"pod-{index}", index=index, phase=phase, created=ago(50 - index), job_uid="job-1")
    return replace(usual, **changes)


def succeeded(index: int = 0, result: MergedResult | None = None, **changes: Any) -> PodView:
    """A pod that has published its shard."""
    said = report(index, merged=result)
    return pod(index, "Succeeded", **{"exit_code": 0, "report": said, **changes})


def broken(
    index: int = 0,
    why: Reason = Reason.NETWORK_UNAVAILABLE,
    error_class: ErrorClass = ErrorClass.TEMPORARY,
    **changes: Any,
) -> PodView:
    """A pod whose runner has reported an error."""
    error = TaskError(error_class=error_class, reason=why, message=f"{why} in shard {index}")
    said = report(index, outcome=Outcome.FAILED, error=error)
    return pod(index, "Failed", **{"exit_code": 75, "reason": "Error", "report": said, **changes})


def report(index: int = 0, **changes: Any) -> ShardReport:
    usual: dict[str, Any] = {
        "shard": index,
        "attempt": 1,
        "outcome": Outcome.COMPLETE,
        "endpoints": 1,
        "endpoints_scanned": 1,
        "findings": FindingCounts(high=1),
        "scanner": ScannerVersion(nuclei_version="3.10.0", templates_digest="ab12", templates_loaded=42),
    }
    return ShardReport(**{**usual, **changes})


def merged(**changes: Any) -> MergedResult:
    usual: dict[str, Any] = {
        "path": f"ui_projects/nightly/tasks/{task().job_name.removeprefix('scan-')}",
        "complete": True,
        "shards": 2,
        "endpoints_scanned": 2,
        "endpoints_unreachable": 0,
        "findings": FindingCounts(critical=1, high=2),
        "files": (ArtifactFile(name="nuclei_output.ndjson", bytes=2166, sha256="cd" * 32),),
    }
    return MergedResult(**{**usual, **changes})


def running_status(of: Plan | None = None, at: JobView | None = None) -> Status:
    """The status that a plan has while its Job runs."""
    from scanplan.api.v1alpha1.scanplan import Phase

    of = of or plan()
    message = "0 of 2 shards finished"
    return statuses.of_running(of, at or job(of), Phase.RUNNING, Reason.RUNNING, message, ago(60)).document()


def completed_status(of: Plan | None = None) -> Status:
    """The status that a plan has after its scan."""
    of = of or plan()
    return statuses.of_finished(of, complete(of=of), [report(0), report(1)], merged(), None, ago(5)).document()


def condition(status: Status, kind: str) -> tuple[str, str] | None:
    """Status and reason of one condition; None where it is absent."""
    return next(((each["status"], each["reason"]) for each in status["conditions"] if each["type"] == kind), None)
