"""One POST with the findings.

Idempotency-Key names the attempt's export and result (draft-ietf-httpapi-idempotency-key-header), Content-Digest its bytes
(RFC 9530). So a receiver that has it already can tell.
"""

from __future__ import annotations

import base64

from scanplan.api.documents.export import Destination, HttpTarget
from scanplan.runner.exporting import secrets
from scanplan.runner.exporting.http import Client
from scanplan.runner.exporting.result import MEDIA_TYPES, Result
from scanplan.runner.exporting.trouble import refused


def send(target: HttpTarget, export: Destination, result: Result, client: Client) -> str:
    """Send the findings; returns what was done.

    Raises:
        Trouble: they were not taken.
    """
    body, digest = result.findings(target.format)
    plan = result.document.plan
    headers = {
        "Content-Type": MEDIA_TYPES[target.format],
        "Idempotency-Key": f'"{export.key}-{digest[:32]}"',
        "Content-Digest": f"sha-256=:{base64.b64encode(bytes.fromhex(digest)).decode()}:",
        "ScanPlan-Namespace": plan.namespace,
        "ScanPlan-Name": plan.name,
        "ScanPlan-Run": result.document.run_id,
        "ScanPlan-Complete": str(result.document.complete).lower(),
    }
    if export.secret:
        headers["Authorization"] = secrets.value(export.secret, "authorization")
    answer = client.request("POST", target.url, headers, body)
    if not answer.ok:
        raise refused(answer.status, answer.retry_after)
    return f"sent {body.length:,} bytes as {target.format}"
