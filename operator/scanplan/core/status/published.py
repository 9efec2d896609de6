"""The fields of a status that a published result gives."""

from __future__ import annotations

from scanplan.api.documents.report import MergedResult
from scanplan.api.documents.words import EndpointsFileReport
from scanplan.api.v1alpha1.scanplan_status import EndpointsFile, NewFindings, PublishedArtifacts, PublishedFile
from scanplan.core.status import details, findings


def fields(
    merged: MergedResult, claim: str, cluster: str | None = None, *, taken_over: bool = False
) -> dict[str, object]:
    """What was scanned and found, and where the artifacts are.

    Args:
        merged: the result.
        claim: the name of the claim that the artifacts are on.
        cluster: the cluster that has scanned; None: this one.
        taken_over: the result is an earlier scan's. Its new findings were told then, as another cluster's are told there.
    """
    return {
        **_of_file(merged.endpoints_file),
        "endpoints_scanned": merged.endpoints_scanned,
        "endpoints_unreachable": merged.endpoints_unreachable,
        **_evidence(merged),
        "findings": findings.of_result(merged),
        "new_findings": NewFindings() if taken_over or cluster else findings.told(merged),
        "exceptions": details.exceptions(merged),
        "artifacts": PublishedArtifacts(
            claim_name=claim,
            path=merged.path,
            complete=merged.complete,
            files=tuple(PublishedFile(name=file.name, bytes=file.bytes, sha256=file.sha256) for file in merged.files),
            cluster=cluster,
        ),
    }


def _of_file(told: EndpointsFileReport | None) -> dict[str, object]:
    """What was in the file of endpoints; nothing where there is none."""
    if told is None:
        return {}
    file = EndpointsFile(refused=told.refused, duplicates=told.duplicates, examples=told.examples)
    return {"endpoint_count": told.endpoints, "endpoints_file": file}


def _evidence(merged: MergedResult) -> dict[str, object]:
    """What was really sent; nothing where the runner was too old to count."""
    if not merged.templates_run and not merged.templates_not_run:
        return {}
    return {
        "endpoints_skipped": merged.endpoints_skipped,
        "endpoints_throttled": merged.endpoints_throttled,
        "endpoints_blocked": merged.endpoints_blocked,
        "templates_run": merged.templates_run,
        "templates_not_run": merged.templates_not_run,
        "requests_sent": merged.requests,
        "sending_seconds": merged.seconds,
        "requests_per_second": -(-merged.requests // max(1, merged.seconds)),
        "coverage": f"{merged.coverage // 10}.{merged.coverage % 10}%",
    }
