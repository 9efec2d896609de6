"""Why a Job failed, or doesn't start, in words that say what to do.

The runner's own report comes first, since it knows most. If a pod died before it could write one, the state of its container or
of the pod has to do. The most severe class decides: one fatal shard explains a failed Job better than ten interrupted ones;
what a shard got over in the end explains nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from scanplan.api.documents.report import TaskError
from scanplan.api.documents.words import ErrorClass
from scanplan.api.exit_codes import ExitCode
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.core.observed.jobs import JobView
from scanplan.core.observed.pods import PodView

_GRAVITY = {ErrorClass.FATAL: 0, ErrorClass.UNKNOWN: 1, ErrorClass.TEMPORARY: 2}
IMAGE_REASONS = {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable"}
_CONFIGURATION_REASONS = {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}


def of_job(job: JobView, pods: Iterable[PodView]) -> TaskError:
    """The error of a Job that has failed (or is about to: FailureTarget)."""
    condition = job.failed or job.failure_target
    reason = condition.reason if condition else ""
    pods = tuple(pods)
    succeeded = {pod.index for pod in pods if pod.phase == "Succeeded"}
    newest = sorted((pod for pod in pods if pod.index not in succeeded), key=lambda pod: pod.created, reverse=True)
    errors = [error for pod in newest if (error := of_pod(pod)) is not None]
    if reason == "DeadlineExceeded":
        last = f" Last trouble: {errors[0].message}" if errors else ""
        blocked = blocked_by(newest)
        if not last and blocked:
            last = f" {blocked.message}"
        return TaskError(
            error_class=ErrorClass.TEMPORARY,
            reason=Reason.DEADLINE_EXCEEDED,
            message=f"the scan took longer than its deadline of {job.deadline_seconds} s: raise deadlineSeconds, or use more "
            f"shards or parallelism.{last}",
        )
    if errors:
        worst = min(errors, key=lambda error: _GRAVITY[error.error_class])
        failed = (
            f"{job.failed_indexes} of {job.completions} shards failed: "
            if job.completions > 1 and job.failed_indexes
            else ""
        )
        return TaskError(error_class=worst.error_class, reason=worst.reason, message=failed + worst.message)
    return TaskError(
        error_class=ErrorClass.UNKNOWN,
        reason=Reason.POD_FAILED,
        message=f"the Job failed ({reason or 'no reason given'}) and no pod says why: "
        f"{condition.message if condition else 'see its events'}",
    )


def of_pod(pod: PodView) -> TaskError | None:
    """The error of one pod that has failed; None for one that has not, or whose end doesn't count."""
    if pod.report is not None and (pod.report.error or pod.exit_code in {ExitCode.OK, ExitCode.INTERRUPTED}):
        return pod.report.error if pod.exit_code != ExitCode.INTERRUPTED else None
    if pod.reason == "OOMKilled":
        return TaskError(
            error_class=ErrorClass.TEMPORARY,
            reason=Reason.OUT_OF_MEMORY,
            message=f"shard {pod.index} ran out of memory (OOMKilled): raise podTemplate.resources.limits.memory, or lower "
            "scanner.concurrency, scanner.bulkSize or sharding.maxEndpointsPerShard",
        )
    if pod.disrupted or pod.exit_code == ExitCode.INTERRUPTED:
        return None
    if pod.exit_code is not None and pod.exit_code != 0:
        killed = pod.exit_code == 137
        return TaskError(
            error_class=ErrorClass.TEMPORARY if killed else ErrorClass.UNKNOWN,
            reason=Reason.SCANNER_KILLED if killed else Reason.POD_FAILED,
            message=f"shard {pod.index}: the scanner's container ended with exit code {pod.exit_code} and no word of why"
            f"{': ' + pod.message if pod.message and not pod.report else ''}; see kubectl logs {pod.name}",
        )
    if pod.phase == "Failed":
        return TaskError(
            error_class=ErrorClass.TEMPORARY,
            reason=Reason.EVICTED if pod.reason == "Evicted" else Reason.POD_FAILED,
            message=f"shard {pod.index}: the pod failed ({pod.reason or 'no reason given'}): {pod.message or 'see its events'}",
        )
    return None


def blocked_by(pods: Iterable[PodView]) -> TaskError | None:
    """What keeps a pending pod from starting, or None."""
    for pod in pods:
        if pod.phase != "Pending" or pod.deleting:
            continue
        if pod.waiting_reason in IMAGE_REASONS:
            return TaskError(
                error_class=ErrorClass.TEMPORARY,
                reason=Reason.IMAGE_PULL_FAILED,
                message=f"the scanner image can't be pulled ({pod.waiting_reason}): {pod.waiting_message or 'see the pod'}; "
                "check scanner.image and podTemplate.imagePullSecrets",
            )
        if pod.waiting_reason in _CONFIGURATION_REASONS and "subPath" in pod.waiting_message:
            return TaskError(
                error_class=ErrorClass.TEMPORARY,
                reason=Reason.CLAIM_NOT_WRITABLE,
                message=f"the run's folder can't be made on the claim ({pod.waiting_message}): the volume is read-only, full, or "
                "refuses the node; make it writable, or name another in artifacts.claimName",
            )
        if pod.waiting_reason in _CONFIGURATION_REASONS:
            return TaskError(
                error_class=ErrorClass.TEMPORARY,
                reason=Reason.POD_FAILED,
                message=f"the scanner's container can't be started ({pod.waiting_reason}): {pod.waiting_message}",
            )
        if pod.unschedulable:
            return TaskError(
                error_class=ErrorClass.TEMPORARY,
                reason=Reason.UNSCHEDULABLE,
                message=f"no node takes the scan pod: {pod.unschedulable}",
            )
    return None


def result_missing(job: JobView, collector: JobView | None) -> TaskError:
    """The Job is complete but no complete result could be published."""
    detail = ""
    if collector is not None and collector.failed is not None:
        detail = f" (the collector failed: {collector.failed.message or collector.failed.reason})"
    return TaskError(
        error_class=ErrorClass.UNKNOWN,
        reason=Reason.RESULT_MISSING,
        message=f"Job {job.name} ended, but its result could not be merged completely{detail}: see the claim and the pods' logs",
    )
