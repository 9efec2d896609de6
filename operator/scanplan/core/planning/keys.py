"""Task keys: the identity of a scan, from which everything else is named.

``scan:{projectId}:{runId}:{endpoints}:{templates}:{options}``. The last three are 16 hex digits of SHA-256 over a canonical
form. So the order and the spelling of a list don't matter, and everything that changes what is found does. `compat_key` is the
key of the first, in-process version, kept for its callers. Two different scans can share it: it cuts MD5 to 8 digits, joins
with a character that items may contain, and leaves severities and options out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any

DIGEST_LENGTH = 16


def digest(content: str) -> str:
    """16 hex digits of SHA-256."""
    return hashlib.sha256(content.encode()).hexdigest()[:DIGEST_LENGTH]


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values, equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def task_key(
    project_id: str,
    run_id: str,
    endpoints: Iterable[str],
    templates: Iterable[str],
    sources: Sequence[str],
    options: dict[str, Any],
) -> str:
    """The key of a task.

    Args:
        project_id: without a colon (the CRD's pattern sees to that), as `run_id`.
        endpoints: in canonical form; order and doubles don't matter.
        templates: as written; order and doubles don't matter.
        sources: content digests of the template sources, in the order in which templates are looked up.
        options: all else that changes what is found, JSON values.
    """
    return ":".join(
        (
            "scan",
            project_id,
            run_id,
            digest(canonical_json(sorted(set(endpoints)))),
            digest(canonical_json([sorted(set(templates)), *sources])),
            digest(canonical_json(options)),
        )
    )


def job_name(key: str) -> str:
    """The Job's name: ``scan-`` and 20 hex digits of SHA-256 over the key (80 bits; 25 characters)."""
    return f"scan-{hashlib.sha256(key.encode()).hexdigest()[:20]}"


def key_digest(key: str) -> str:
    """The task's folder name on the claim: the same 20 digits as in the Job's name."""
    return job_name(key).removeprefix("scan-")


def compat_key(project_id: str, run_id: str, endpoints: Sequence[str], templates: Sequence[str]) -> str:
    """The first version's key, digit for digit."""

    def short(items: Sequence[str]) -> str:
        return hashlib.md5(",".join(sorted(items)).encode(), usedforsecurity=False).hexdigest()[:8]

    return f"scan:{project_id}:{run_id}:{short(endpoints)}:{short(templates)}"
