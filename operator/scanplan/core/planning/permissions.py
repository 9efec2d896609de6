"""What the operator's owner allows a plan: images, claims, pods, and powers such as programs and browsers."""

from __future__ import annotations

from urllib.parse import urlsplit

from scanplan.api.errors import InvalidPlan
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.api.v1alpha1.plan.buckets import Bucket
from scanplan.api.v1alpha1.scanplan import ScanPlanSpec
from scanplan.core.egress.policy import EXPORT_SETTING, HostDenied, ReceiverPolicy
from scanplan.core.planning import pod_bounds, scan_defaults
from scanplan.core.planning.nuclei import interactsh
from scanplan.core.planning.nuclei.protocols import HEADLESS
from scanplan.core.planning.policy import Policy


def check_powers(spec: ScanPlanSpec, policy: Policy) -> None:
    """Refuse what gives a scan more power than the operator's owner allows.

    Raises:
        InvalidPlan: it says which setting of the owner's it is.
    """
    if spec.scanner.code and not policy.allow_code:
        raise InvalidPlan(
            Reason.INVALID_SPEC,
            "scanner.code runs programs in scan pods, which the operator's owner does not allow (SCANPLAN_ALLOW_CODE)",
        )
    if spec.scanner.headless and HEADLESS not in policy.unguarded_protocols:
        raise InvalidPlan(
            Reason.INVALID_SPEC,
            "scanner.headless runs browsers, which reach denied addresses too; the operator's owner does not allow it "
            "(SCANPLAN_UNGUARDED_PROTOCOLS)",
        )
    if spec.scanner.interactsh:
        server = spec.scanner.interactsh.server
        interactsh.check(server, policy.guard, allowed=policy.allows_interactsh_server(server))


def check_bounds(spec: ScanPlanSpec, image: str, claim: str, policy: Policy, *, seen_before: bool) -> None:
    """Refuse what is outside of the owner's lists and bounds.

    Args:
        spec: as its author wrote it.
        seen_before: image and claim were allowed before, and only the Job has to be made again.

    Raises:
        InvalidPlan: it says which setting of the owner's it is.
    """
    if not seen_before and not policy.allows_image(image):
        raise InvalidPlan(
            Reason.INVALID_SPEC,
            f"scanner.image {image!r} is not on the operator's allow-list (SCANPLAN_ALLOWED_IMAGES); "
            "leave it out to use the installed one",
        )
    if not seen_before and not policy.allows_claim(claim):
        raise InvalidPlan(
            Reason.INVALID_SPEC,
            f"artifacts.claimName {claim!r} is not on the operator's allow-list (SCANPLAN_ALLOWED_CLAIMS)",
        )
    for source in spec.templates_from:
        if source.image and not policy.allows_image(source.image.reference):
            raise InvalidPlan(
                Reason.INVALID_SPEC,
                f"templatesFrom image {source.image.reference!r} is not on the operator's allow-list (SCANPLAN_ALLOWED_IMAGES)",
            )
    for endpoints in spec.endpoints_from:
        if endpoints.image_file and not policy.allows_image(endpoints.image_file.reference):
            raise InvalidPlan(
                Reason.INVALID_SPEC,
                f"endpointsFrom image {endpoints.image_file.reference!r} is not on the operator's allow-list "
                "(SCANPLAN_ALLOWED_IMAGES)",
            )
        if endpoints.s3_file:
            _check_server(endpoints.s3_file, policy)
    if not policy.allows_priority_class(spec.queue_priority_class_name):
        raise InvalidPlan(
            Reason.INVALID_SPEC,
            f"queuePriorityClassName {spec.queue_priority_class_name!r} is not on the operator's allow-list "
            "(SCANPLAN_ALLOWED_PRIORITY_CLASSES)",
        )
    locked = scan_defaults.refusals(spec, policy.scan_defaults) if policy.scan_defaults else ()
    for refusal in (*pod_bounds.refusals(spec.pod_template, policy), *locked):
        raise InvalidPlan(Reason.INVALID_SPEC, refusal)


def _check_server(bucket: Bucket, policy: Policy) -> None:
    """Refuse a server that pods may not read a list from: the hosts are those that exports may name.

    Raises:
        InvalidPlan: it is not listed, is no host, or is at an address that nothing is sent to.
    """
    try:
        url = urlsplit(bucket.endpoint)
        host, port = url.hostname or "", url.port or (443 if url.scheme == "https" else 80)
    except ValueError:
        raise InvalidPlan(
            Reason.INVALID_SPEC, "endpointsFrom s3File: its endpoint has no host, or no port, that could be reached"
        ) from None
    try:
        ReceiverPolicy(policy.export_hosts, policy.guard, EXPORT_SETTING).check(host, port)
    except HostDenied as error:
        raise InvalidPlan(Reason.INVALID_SPEC, f"endpointsFrom s3File: {error.message}") from None
