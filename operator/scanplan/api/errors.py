"""The tree of errors that we raise; each says what to do, and its class says whether trying again can help.

ScanPlanError
├── InvalidPlan              the plan can't run as written: change it (reason: what is wrong)
│   ├── InputUnavailable     something that the plan names is not there, or may not be read; it may still come
│   ├── InvalidEndpoint      an endpoint that is no host, host:port or http(s) URL
│   └── TargetDenied         an endpoint that the operator's target guard refuses
└── ScanError                the scan itself failed
    ├── NucleiBinaryError    Nuclei can't do what was asked: never retried
    ├── ClaimError           the claim for the artifacts can't be used as it is: never retried
    ├── TemporaryError       the surroundings failed: retried up to `retry.temporary` times
    └── UnknownScanError     neither: retried up to `retry.unknown` times
"""

from __future__ import annotations

from scanplan.api.documents.words import ErrorClass
from scanplan.api.v1alpha1.conditions import Reason


class ScanPlanError(Exception):
    """Base of all our errors: a reason for programs, a message for people."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class InvalidPlan(ScanPlanError):
    """The plan can't run as written; trying again can't help."""


class InputUnavailable(InvalidPlan):
    """Something that the plan names is not there, or may not be read; it may still come."""

    def __init__(self, message: str) -> None:
        super().__init__(Reason.INPUT_UNAVAILABLE, message)


class InvalidEndpoint(InvalidPlan):
    """An endpoint that can't be parsed."""

    def __init__(self, message: str) -> None:
        super().__init__(Reason.INVALID_ENDPOINT, message)


class TargetDenied(InvalidPlan):
    """An endpoint in a range that the operator's owner doesn't allow to scan."""

    def __init__(self, message: str) -> None:
        super().__init__(Reason.TARGET_DENIED, message)


class ScanError(ScanPlanError):
    """A scan failed; `error_class` says whether another attempt can help."""

    error_class: ErrorClass


class NucleiBinaryError(ScanError):
    """Nuclei, its templates or its options can't do what the plan asks."""

    error_class = ErrorClass.FATAL


class ClaimError(ScanError):
    """The claim for the artifacts is not writable, or its run belongs to another project."""

    error_class = ErrorClass.FATAL


class TemporaryError(ScanError):
    """Network, disk, memory or a signal: another attempt may succeed."""

    error_class = ErrorClass.TEMPORARY


class UnknownScanError(ScanError):
    """An error in no class that we know."""

    error_class = ErrorClass.UNKNOWN
