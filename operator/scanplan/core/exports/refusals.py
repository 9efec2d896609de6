"""Why an export is not done: there is nothing to be sent, the owner forbids it, or its Secret can't be used."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlsplit

from scanplan.api import labels
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.api.v1alpha1.plan.exports import Export, ExportState
from scanplan.api.v1alpha1.scanplan_status import ScanPlanStatus
from scanplan.core.egress.policy import EXPORT_SETTING, HostDenied, ReceiverPolicy
from scanplan.core.planning.policy import Policy
from scanplan.core.planning.sources import Inputs, Kind, Reference, problem_of


class Refusal(NamedTuple):
    """An export that ends before it has begun."""

    state: ExportState
    reason: Reason
    message: str


def refusal(export: Export, status: ScanPlanStatus, policy: Policy) -> Refusal | None:
    """What is known without a look at Secrets; None where nothing speaks against it."""
    artifacts = status.artifacts
    if artifacts and artifacts.cluster:
        message = f"the result is on claim {artifacts.claim_name} of cluster {artifacts.cluster}, and is exported there"
        return Refusal(ExportState.SKIPPED, Reason.RESULT_ELSEWHERE, message)
    if not artifacts or not artifacts.files:
        return Refusal(ExportState.SKIPPED, Reason.RESULT_MISSING, "the scan has published nothing")
    if export.defect_dojo and not artifacts.complete:
        message = "the result is partial, and DefectDojo would close the findings that it lacks"
        return Refusal(ExportState.SKIPPED, Reason.RESULT_INCOMPLETE, message)
    try:
        url = urlsplit(address(export))
        host, port = url.hostname or "", url.port or (443 if url.scheme == "https" else 80)
    except ValueError:
        return Refusal(
            ExportState.FAILED, Reason.RECEIVER_INVALID, "its URL has no host, or no port, that could be reached"
        )
    try:
        ReceiverPolicy(policy.export_hosts, policy.guard, EXPORT_SETTING).check(host, port)
    except HostDenied as error:
        return Refusal(ExportState.FAILED, error.reason, error.message)
    return None


def without_secret(export: Export, inputs: Inputs) -> Refusal | None:
    """What is wrong with the Secret of an export; None where nothing is, as far as it was read."""
    reference = secret_of(export)
    found = inputs.get(reference) if reference else None
    if reference is None or found is None or not (problem := problem_of(reference, found)):
        return None
    return Refusal(ExportState.FAILED, Reason.SECRET_UNAVAILABLE, problem)


def address(export: Export) -> str:
    """The URL that an export names."""
    if export.http:
        return export.http.url
    return export.s3.endpoint if export.s3 else export.defect_dojo.url if export.defect_dojo else ""


def secret_of(export: Export) -> Reference | None:
    """The Secret that an export names."""
    name = None
    if export.http and export.http.authorization_from:
        name = export.http.authorization_from.secret_key_ref.name
    elif export.s3:
        name = export.s3.credentials_from.secret_ref.name
    elif export.defect_dojo:
        name = export.defect_dojo.token_from.secret_key_ref.name
    return Reference(Kind.SECRET, name, labels.USE_EXPORT) if name else None
