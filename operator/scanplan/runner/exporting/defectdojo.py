"""A reimport into a test of DefectDojo (POST /api/v2/reimport-scan/).

The test's title is always the same for a run. So a repetition meets the findings of the first import, and changes nothing.
Findings that the result does not have any more are closed, unless the scan may only have missed them.

No `scan_date` is sent. DefectDojo refuses one that is later than today in its own time zone (`validate_scan_date` in
dojo/api_v2/serializers.py), and gives it to all findings. Without it, each new finding has the time of its event, and the test
that of the import.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from scanplan.api import layout
from scanplan.api.documents.export import DefectDojoTarget, Destination
from scanplan.api.documents.records import ScanMetadata
from scanplan.api.documents.words import ExportFormat
from scanplan.findings.history import State
from scanplan.report.scan import read_scan
from scanplan.runner.exporting import secrets
from scanplan.runner.exporting.http import Body, Client
from scanplan.runner.exporting.result import Result
from scanplan.runner.exporting.trouble import refused

PATH = "api/v2/reimport-scan/"
SCAN_TYPE = "Nuclei Scan"
FILE = "nuclei_output.jsonl"
"""Its end tells DefectDojo's parser that there is one finding a line."""


def send(target: DefectDojoTarget, export: Destination, result: Result, client: Client) -> str:
    """Reimport the findings; returns what was done.

    Raises:
        Trouble: they were not taken.
    """
    findings, digest = result.findings(ExportFormat.JSONL)
    scan = read_scan(b"".join(result.body(result.file(layout.METADATA)).pieces))
    closes = _closes(scan, result)
    body, boundary = form(_fields(target, scan.scanner.nuclei_version, closes), findings, digest)
    headers = {
        "Authorization": f"Token {secrets.value(export.secret, 'token')}",
        "Content-Type": f"multipart/form-data; boundary={boundary}",
        "Accept": "application/json",
    }
    answer = client.request("POST", f"{target.url}/{PATH}", headers, body)
    if not answer.ok:
        raise refused(answer.status, answer.retry_after)
    kept = "" if closes else ", and closed nothing: the scan has not looked for all findings that are still open"
    return f"reimported {findings.length:,} bytes into test {target.test!r}{kept}"


def _closes(scan: ScanMetadata, result: Result) -> bool:
    """Whether what the result lacks is gone: the scan missed nothing, or saw all that its history keeps open."""
    return scan.missed_nothing or all(
        entry.state is State.RESOLVED or entry.last_seen == scan.started_at for entry in result.history()
    )


def _fields(target: DefectDojoTarget, version: str, closes: bool) -> dict[str, str]:
    fields = {
        "scan_type": SCAN_TYPE,
        "product_name": target.product,
        "engagement_name": target.engagement,
        "product_type_name": target.product_type,
        "test_title": target.test,
        "auto_create_context": "true",
        "close_old_findings": "true" if closes else "false",
        "minimum_severity": "Info",
        "version": version,
    }
    return {name: value for name, value in fields.items() if value}


def form(fields: Mapping[str, str], findings: Body, digest: str) -> tuple[Body, str]:
    """A form with a file (RFC 7578), and its boundary.

    Args:
        digest: of the findings; the boundary is made of it, so no finding can have it in its text.
    """
    boundary = f"scanplan-{digest}"
    head = "".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    )
    head += (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{FILE}"\r\n'
        "Content-Type: application/x-ndjson\r\n\r\n"
    )
    begin, end = head.encode(), f"\r\n--{boundary}--\r\n".encode()

    def pieces() -> Iterator[bytes]:
        yield begin
        yield from findings.pieces
        yield end

    return Body(len(begin) + findings.length + len(end), pieces()), boundary
