"""What the operator has asked of a Job's mutable fields, kept in an annotation of the Job.

Admission policies, Kueue and people may give these fields other values. The operator patches a field where its own wish has
changed, never because the field has another value. So two writers can't undo each other without end.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

_MAX_TEXT = 1_024
"""Characters of the annotation, which anybody may have written; ours is shorter."""
_MAX_NUMBER = 2**31


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Values of a Job's mutable fields, as the operator last wrote them."""

    ttl_seconds: int | None = None
    deadline_seconds: int | None = None
    parallelism: int | None = None
    suspend: bool | None = None
    """None: Kueue suspends and resumes this Job."""
    deactivated: bool = False
    """The operator may have deactivated the Job's Kueue Workload."""

    def spec(self) -> dict[str, Any]:
        """The fields of the Job's spec."""
        fields = {
            "ttlSecondsAfterFinished": self.ttl_seconds,
            "activeDeadlineSeconds": self.deadline_seconds,
            "parallelism": self.parallelism,
            "suspend": self.suspend,
        }
        return {name: value for name, value in fields.items() if value is not None}

    def annotation(self) -> str:
        """The value of the annotation."""
        deactivated = {"deactivated": True} if self.deactivated else {}
        return json.dumps({**self.spec(), **deactivated}, sort_keys=True, separators=(",", ":"))

    @staticmethod
    def read(text: str | None) -> Asked | None:
        """The annotation's value; None where there is none of ours."""
        try:
            found = json.loads(text) if text and len(text) <= _MAX_TEXT else None
        except (ValueError, RecursionError):
            return None
        if not isinstance(found, dict):
            return None
        return Asked(
            ttl_seconds=_number(found.get("ttlSecondsAfterFinished")),
            deadline_seconds=_number(found.get("activeDeadlineSeconds")),
            parallelism=_number(found.get("parallelism")),
            suspend=found["suspend"] if isinstance(found.get("suspend"), bool) else None,
            deactivated=found.get("deactivated") is True,
        )


def _number(value: object) -> int | None:
    return value if type(value) is int and 0 <= value < _MAX_NUMBER else None
