"""Condition types and reasons: every CamelCase word that a status may have.

`Ready`, `Reconciling` and `Stalled` follow kstatus
(https://github.com/kubernetes-sigs/cli-utils/blob/master/pkg/kstatus/README.md), so GitOps tools and `kubectl wait` understand
them. Reasons are part of the API: programs compare them, so reasons are never renamed.
"""

from __future__ import annotations

from enum import StrEnum


class ConditionType(StrEnum):
    """The condition types of a ScanPlan."""

    READY = "Ready"
    """The last run of this generation has ended well; findings do not make a plan not ready."""
    RECONCILING = "Reconciling"
    """The operator or its Job is still working on this generation."""
    STALLED = "Stalled"
    """Nothing will happen any more without a person's change."""
    SUCCEEDED = "Succeeded"
    """True once the scan is complete, False once it has ended otherwise."""
    FINDINGS_PRESENT = "FindingsPresent"
    """True where a published result has at least one finding."""
    APPLIES_NEXT_RUN = "AppliesNextRun"
    """True where the spec was edited in fields that only the next run can take up."""
    ADMISSION_CHANGED = "AdmissionChanged"
    """True where the Job has other values than the operator wrote; they are accepted."""
    ENDPOINTS_REACHABLE = "EndpointsReachable"
    """False where no endpoint answered, Unknown (with counts) where some did not, or throttled or blocked the scan."""
    TEMPLATES_RUN = "TemplatesRun"
    """True where each template that was asked for was sent, False (with count and causes) where some were not."""


class Reason(StrEnum):
    """Every reason of a condition, an event or an error."""

    # how a plan is doing
    PENDING = "Pending"
    RUNNING = "Running"
    RETRYING = "Retrying"
    QUEUED = "Queued"
    SUSPENDED = "Suspended"
    CANCELLED = "Cancelled"
    COMPLETED = "Completed"
    COLLECTING = "Collecting"
    RESULT_REUSED = "ResultReused"
    NO_FINDINGS = "NoFindings"
    FINDINGS = "Findings"
    ALL_REACHABLE = "AllReachable"
    SOME_UNREACHABLE = "SomeUnreachable"
    SOME_SKIPPED = "SomeSkipped"
    SOME_THROTTLED = "SomeThrottled"
    SOME_BLOCKED = "SomeBlocked"
    ALL_RUN = "AllRun"
    SOME_NOT_RUN = "SomeNotRun"
    SPEC_EDITED = "SpecEdited"
    FIELDS_CHANGED = "FieldsChanged"
    # what is wrong with a plan
    INVALID_ENDPOINT = "InvalidEndpoint"
    TARGET_DENIED = "TargetDenied"
    INPUT_UNAVAILABLE = "InputUnavailable"
    INPUTS_CHANGED = "InputsChanged"
    INPUTS_TOO_LARGE = "InputsTooLarge"
    INVALID_SPEC = "InvalidSpec"
    NAME_CONFLICT = "NameConflict"
    JOB_REJECTED = "JobRejected"
    JOB_ALTERED = "JobAltered"
    API_REQUEST_FAILED = "ApiRequestFailed"
    NO_FIXED_POINT = "NoFixedPoint"
    INTERNAL_ERROR = "InternalError"
    QUOTA_EXCEEDED = "QuotaExceeded"
    WAITING_FOR_PODS = "WaitingForPods"
    RUNNING_ELSEWHERE = "RunningElsewhere"
    RUN_ID_CONFLICT = "RunIdConflict"
    # how a schedule is doing
    SCHEDULED = "Scheduled"
    INVALID_SCHEDULE = "InvalidSchedule"
    RUN_REJECTED = "RunRejected"
    RUN_FAILED = "RunFailed"
    NO_RUN_YET = "NoRunYet"
    START_MISSED = "StartMissed"
    START_SKIPPED = "StartSkipped"
    # why a scan failed: nothing to retry
    NUCLEI_BINARY_ERROR = "NucleiBinaryError"
    TEMPLATES_NOT_FOUND = "TemplatesNotFound"
    NO_TEMPLATES_LOADED = "NoTemplatesLoaded"
    NOTHING_SENT = "NothingSent"
    INVALID_OPTIONS = "InvalidOptions"
    TASK_DOCUMENT_INVALID = "TaskDocumentInvalid"
    CLAIM_NOT_WRITABLE = "ClaimNotWritable"
    # why a scan failed: worth another attempt
    OUT_OF_MEMORY = "OutOfMemory"
    DISK_FULL = "DiskFull"
    STORAGE_ERROR = "StorageError"
    NETWORK_UNAVAILABLE = "NetworkUnavailable"
    ENDPOINTS_UNREACHABLE = "EndpointsUnreachable"
    SCANNER_ENVIRONMENT = "ScannerEnvironment"
    SCANNER_HUNG = "ScannerHung"
    SCANNER_KILLED = "ScannerKilled"
    SCANNER_PANIC = "ScannerPanic"
    ATTEMPT_TIMEOUT = "AttemptTimeout"
    INTERRUPTED = "Interrupted"
    UNKNOWN_ERROR = "UnknownError"
    # why a Job failed
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    RETRIES_EXHAUSTED = "RetriesExhausted"
    RESULT_MISSING = "ResultMissing"
    POD_FAILED = "PodFailed"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    UNSCHEDULABLE = "Unschedulable"
    EVICTED = "Evicted"
