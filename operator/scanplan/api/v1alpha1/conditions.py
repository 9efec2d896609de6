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
    EXPORTED = "Exported"
    """Of a plan with exports: True once the result is everywhere, False where it is not, Unknown while it is on its way."""
    EXPIRED = "Expired"
    """Of a ScanException: its time is over, and its findings count again. Like the next two only there while True."""
    UNUSED = "Unused"
    """Of a ScanException: scans have ended since it was written, and it matches none of their findings."""
    TOO_WIDE = "TooWide"
    """Of a ScanException: it matches every finding."""


class Reason(StrEnum):
    """Every reason of a condition, an event or an error."""

    # how a plan is doing
    PENDING = "Pending"
    RUNNING = "Running"
    STARTED = "Started"
    RETRYING = "Retrying"
    QUEUED = "Queued"
    SUSPENDED = "Suspended"
    OUTSIDE_WINDOW = "OutsideWindow"
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
    # how an export is doing, besides the reasons of receivers
    EXPORTING = "Exporting"
    EXPORTED = "Exported"
    RESULT_INCOMPLETE = "ResultIncomplete"
    RESULT_ELSEWHERE = "ResultElsewhere"
    ARTIFACTS_CHANGED = "ArtifactsChanged"
    EXPORT_FAILED = "ExportFailed"
    # how a schedule is doing
    SCHEDULED = "Scheduled"
    INVALID_SCHEDULE = "InvalidSchedule"
    RUN_REJECTED = "RunRejected"
    RUN_FAILED = "RunFailed"
    NO_RUN_YET = "NoRunYet"
    START_MISSED = "StartMissed"
    START_SKIPPED = "StartSkipped"
    TEMPLATES_CHANGED = "TemplatesChanged"
    # how an exception is doing
    IN_FORCE = "InForce"
    NO_RESULT_YET = "NoResultYet"
    UNUSED = "Unused"
    TOO_WIDE = "TooWide"
    EXPIRED = "Expired"
    EXPIRES_TOO_LATE = "ExpiresTooLate"
    # how a notifier is doing
    RECEIVER_FOUND = "ReceiverFound"
    DELIVERED = "Delivered"
    SECRET_UNAVAILABLE = "SecretUnavailable"  # noqa: S105 - a reason
    RECEIVER_INVALID = "ReceiverInvalid"
    RECEIVER_DENIED = "ReceiverDenied"
    RECEIVER_UNREACHABLE = "ReceiverUnreachable"
    RECEIVER_REFUSED = "ReceiverRefused"
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
    LOGIN_FAILED = "LoginFailed"
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

    @classmethod
    def _missing_(cls, _: object) -> Reason:
        """A reason of a later version."""
        return cls.UNKNOWN_ERROR
