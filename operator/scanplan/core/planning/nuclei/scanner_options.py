"""From a plan's `scanner` to what the runner gets, and to what of it is in the key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from scanplan.api.documents.task import ScannerOptions
from scanplan.api.errors import InvalidPlan
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.api.v1alpha1.plan.scanner import Scanner
from scanplan.api.v1alpha1.plan.selection import AUTOMATIC_ALONE, Selection
from scanplan.api.v1alpha1.scanplan import ScanPlanSpec
from scanplan.core.planning.nuclei import rates, variables


def check(scanner: Scanner, selection: Selection) -> None:
    """Raise InvalidPlan where options can't be together, or a variable may not be set."""
    if scanner.follow_redirects and scanner.follow_host_redirects:
        raise InvalidPlan(
            Reason.INVALID_SPEC,
            "scanner.followRedirects follows redirects to the same host too: leave one of the two out",
        )
    if scanner.requests_from and not scanner.dast:
        raise InvalidPlan(
            Reason.INVALID_SPEC, "scanner.requestsFrom is for fuzzing: set scanner.dast too, or leave it out"
        )
    if selection.automatic and (selection.workflows or scanner.dast or scanner.headless or scanner.code):
        raise InvalidPlan(Reason.INVALID_SPEC, AUTOMATIC_ALONE)
    variables.check({each.name: each.value for each in scanner.variables})


def of_key(scanner: Scanner) -> dict[str, Any]:
    """Those that change what is found, and are set; image, headers and proxy are not among them.

    None has the name of a Secret's use, by which the name of that Secret is in the key.
    """
    given: dict[str, Any] = {
        "followHostRedirects": scanner.follow_host_redirects,
        "maxRedirects": scanner.max_redirects,
        "maxResponseBytes": scanner.max_response_bytes,
        "sni": scanner.sni,
        "interactshServer": scanner.interactsh.server if scanner.interactsh else "",
        "headless": scanner.headless,
        "dast": scanner.dast,
        "code": scanner.code,
        "verifySignatures": scanner.verify_signatures,
        "plainVariables": sorted((each.name, each.value) for each in scanner.variables),
    }
    return {"followRedirects": scanner.follow_redirects} | {name: value for name, value in given.items() if value}


def options(spec: ScanPlanSpec, shards: int, proxy: str, no_proxy: Sequence[str] = ()) -> ScannerOptions:
    """All of them, for the task document.

    Args:
        shards: how many the scan has, which share its rate.
        proxy: the plan's, or the owner's.
        no_proxy: targets that go past it.
    """
    scanner = spec.scanner
    return ScannerOptions(
        rate_limit=rates.of_shard(spec, shards),
        host_rate_limit=scanner.max_requests_per_second_per_host or 0,
        concurrency=scanner.concurrency,
        bulk_size=scanner.bulk_size,
        request_timeout_seconds=scanner.request_timeout_seconds,
        request_retries=scanner.request_retries,
        follow_redirects=scanner.follow_redirects,
        follow_host_redirects=scanner.follow_host_redirects,
        max_redirects=scanner.max_redirects or 0,
        max_response_bytes=scanner.max_response_bytes or 0,
        max_host_errors=scanner.max_host_errors,
        sni=scanner.sni or "",
        verify_signatures=scanner.verify_signatures,
        variables={each.name: each.value for each in scanner.variables},
        headless=scanner.headless,
        dast=scanner.dast,
        code=scanner.code,
        interactsh_server=scanner.interactsh.server if scanner.interactsh else "",
        proxy=proxy,
        no_proxy=tuple(no_proxy),
        headers={header.name: header.value for header in scanner.headers},
    )


def unsigned_sources(spec: ScanPlanSpec) -> list[int]:
    """The positions of template sources that need no signature, where `scanner.verifySignatures` asks for one."""
    verifies = spec.scanner.verify_signatures
    return [number for number, source in enumerate(spec.templates_from) if verifies and source.allow_unsigned]
