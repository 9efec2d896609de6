"""Folds objects, and what is kept of them, into few bytes: compressed, with a typical plan as the dictionary.

A plan has some 3 KiB of JSON, and most of it are names of fields and words that all plans have. Compression by itself sees them
for the first time in each plan. With the dictionary, a plan takes 0.6 KiB in place of 1.4, and less time.
https://docs.python.org/3/library/zlib.html#zlib.compressobj (zdict)
"""

from __future__ import annotations

import zlib
from typing import Any

import msgspec

_FAST = 1
"""Compression level: the higher ones take longer for a few per cent."""


def folded(content: bytes) -> bytes:
    """JSON of an object, or of a part of it, as few bytes; fewest where it is a plan."""
    compressor = zlib.compressobj(_FAST, zdict=_DICTIONARY)
    return compressor.compress(content) + compressor.flush()


def unfolded(content: bytes) -> Any:
    """The fields of what was folded. It takes only what this process has folded."""
    return msgspec.json.decode(zlib.decompressobj(zdict=_DICTIONARY).decompress(content))


def _condition(kind: str, reason: str, message: str) -> dict[str, Any]:
    return {
        "lastTransitionTime": "2026-01-01T00:00:00Z",
        "message": message,
        "observedGeneration": 1,
        "reason": reason,
        "status": "True",
        "type": kind,
    }


_DONE = "7 findings in ui_projects/nightly/tasks/"
TYPICAL: dict[str, Any] = {
    "metadata": {
        "namespace": "default",
        "name": "nightly-",
        "uid": "00000000-0000-4000-8000-000000000000",
        "generation": 1,
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "resourceVersion": "1",
        "ownerReferences": [
            {
                "apiVersion": "scanplan.dev/v1alpha1",
                "blockOwnerDeletion": False,
                "controller": True,
                "kind": "ScanSchedule",
                "name": "nightly",
                "uid": "",
            }
        ],
    },
    "spec": {
        "cancel": False,
        "endpoints": ["https://www.example.com"],
        "priority": 5,
        "projectId": "default",
        "retry": {"temporary": 3, "unknown": 1},
        "runId": "nightly",
        "scanner": {
            "bulkSize": 25,
            "code": False,
            "concurrency": 25,
            "dast": False,
            "followHostRedirects": False,
            "followRedirects": False,
            "headless": False,
            "maxHostErrors": 30,
            "rateLimit": 150,
            "requestRetries": 1,
            "requestTimeoutSeconds": 10,
            "verifySignatures": False,
        },
        "selection": {"automatic": False},
        "severities": ["critical", "high", "medium", "low", "info", "unknown"],
        "sharding": {"maxEndpointsPerShard": 250, "parallelism": 4},
        "suspend": False,
        "templates": ["http/cves/", "http/misconfiguration/"],
        "timeoutSeconds": 3600,
        "ttlSecondsAfterFinished": 86400,
    },
    "status": {
        "artifacts": {
            "claimName": "scanplan-artifacts",
            "complete": True,
            "files": [
                {"bytes": 0, "name": name, "sha256": ""}
                for name in ("history.ndjson", "nuclei_output.ndjson", "report.html", "scan_metadata.json")
            ],
            "path": "ui_projects/nightly/tasks/",
        },
        "attempts": 1,
        "completionTime": "2026-01-01T00:00:00Z",
        "conditions": [
            _condition("Ready", "Completed", _DONE),
            _condition("Succeeded", "Completed", _DONE),
            _condition("FindingsPresent", "Findings", "7 findings, 1 critical, 2 high"),
            _condition("EndpointsReachable", "AllReachable", "every endpoint answered"),
            _condition("TemplatesRun", "AllRun", "every template was run"),
        ],
        "duration": "2m30s",
        "durationMs": 150000,
        "endpointCount": 1,
        "endpointsScanned": 1,
        "endpointsUnreachable": 0,
        "findings": {
            "critical": 0,
            "high": 0,
            "info": 0,
            "low": 0,
            "medium": 0,
            "new": 0,
            "newBySeverity": {"critical": 1, "high": 1, "info": 1, "low": 1, "medium": 1},
            "open": 0,
            "openByAge": {"7-30d": {"critical": 1, "high": 1}, "30-90d": {"info": 1, "low": 1, "medium": 1}},
            "openBySeverity": {"critical": 1, "high": 1, "info": 1, "low": 1, "medium": 1},
            "reopened": 0,
            "resolved": 0,
            "resolvedBySeverity": {"low": 1},
            "total": 0,
            "unknown": 0,
        },
        "inputDigest": "0000000000000000",
        "jobRef": {"name": "scan-", "uid": ""},
        "newFindings": {
            "bySeverity": {"high": 1},
            "examples": [{"name": "", "severity": "high", "template": "", "where": "https://www.example.com/"}],
        },
        "observedGeneration": 1,
        "phase": "Completed",
        "progress": "1/1",
        "projectId": "default",
        "runId": "nightly",
        "scanner": {"image": "", "nucleiVersion": "3.11.1", "templatesDigest": "", "templatesLoaded": 1},
        "shards": {"active": 0, "failed": 0, "succeeded": 1, "total": 1},
        "startTime": "2026-01-01T00:00:00Z",
        "taskId": "scan-",
        "taskKey": "scan:default:nightly:",
    },
}
"""A plan as the API server returns it. Nothing reads its values: it only has to look like most plans."""
_DICTIONARY = msgspec.json.encode(TYPICAL)
