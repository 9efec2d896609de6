"""Reads `scan_metadata.json`, the record of a scan, and says what the scan did not cover.

All that a report says about completeness comes from here.
"""

from __future__ import annotations

from scanplan.api import wire
from scanplan.api.documents.records import ScanMetadata


def read_scan(content: bytes) -> ScanMetadata:
    """Parse a `scan_metadata.json`.

    Raises:
        ValueError: the content can't be parsed.
    """
    try:
        return wire.decode(content, ScanMetadata)
    except wire.UNREADABLE as error:
        raise ValueError(f"scan_metadata.json can't be read: {error}") from error


def remarks(scan: ScanMetadata) -> list[str]:
    """Remarks on what the scan did not cover; one sentence each, empty where it covered everything."""
    said = []
    if not scan.complete:
        unfinished = len(scan.unfinished)
        said.append(
            f"The scan is not complete: {unfinished} of {len(scan.shards)} shards did not finish."
            if unfinished
            else "The scan is not complete."
        )
    if scan.endpoints_file and scan.endpoints_file.refused:
        said.append(
            f"{scan.endpoints_file.refused:,} lines of the file of endpoints were left out: they are no endpoints, or may not be "
            "scanned."
        )
    if scan.endpoints_unreachable:
        said.append(
            f"{scan.endpoints_unreachable:,} of {scan.endpoints:,} endpoints did not answer: they were not, or not fully, scanned."
        )
    if scan.endpoints_skipped:
        said.append(
            f"{scan.endpoints_skipped:,} of {scan.endpoints:,} endpoints stopped answering, or got no request: they were not, "
            "or not fully, scanned."
        )
    for count, what in (
        (scan.endpoints_throttled, "throttled the scan, or were out of service"),
        (scan.endpoints_blocked, "blocked the scan"),
    ):
        if count:
            said.append(f"{count:,} of {scan.endpoints:,} endpoints {what}: findings may be missing.")
    if scan.templates_not_run:
        total = len(scan.templates_not_run) + scan.templates_run
        said.append(f"{len(scan.templates_not_run):,} of {total:,} templates were not run.")
    if len(scan.template_digests) > 1:
        said.append("Templates changed while the scan ran: its shards may have looked for different things.")
    return said
