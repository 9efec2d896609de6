"""Counts, while findings are merged, those that fall under an exception. Nothing is left out of the findings.

The operator hands a pod the exceptions of its namespace beside the task document. Whether one has expired is asked of the time at
which the last attempt ended, so all mergers count the same.
"""

from __future__ import annotations

import collections
from datetime import UTC, datetime

import msgspec

from scanplan.api.documents.report import AppliedExceptions, ExceptionUse, FindingCounts
from scanplan.findings.exceptions import Handed, ScanException, Suppressor
from scanplan.findings.history import Entry
from scanplan.runner.artifacts import findings

USED_BYTES = 1_000
"""Of the names in a pod's termination message, which has to hold much else."""


class Suppression:
    """What falls under the exceptions that were handed to this pod."""

    def __init__(self, handed: Handed | None, ended: float) -> None:
        """
        Args:
            handed: None: the namespace has no exceptions, and nothing is read.
            ended: seconds since the epoch: when the last attempt ended.
        """
        self._handed = handed
        exceptions = handed.exceptions if handed else ()
        self._suppressor = Suppressor(exceptions, datetime.fromtimestamp(ended, UTC))
        self._suppressed: collections.Counter[str] = collections.Counter()
        self._used: collections.Counter[str] = collections.Counter()

    def __bool__(self) -> bool:
        return bool(self._suppressor)

    def of(self, line: bytes) -> ScanException | None:
        """The exception that a finding falls under."""
        return self._suppressor(line)

    def of_entry(self, entry: Entry) -> ScanException | None:
        """The exception that a finding of the history falls under."""
        return self._suppressor.of_entry(entry)

    def see(self, line: bytes, severity: str) -> None:
        """Count a finding."""
        matching = self._suppressor.each(line)
        if matching:
            self._suppressed[severity] += 1
            self._used.update(each.name for each in matching)

    def see_all(self, block: bytes) -> None:
        """Count the findings of a block of whole lines."""
        for line, severity in findings.lines_of(block):
            self.see(line, severity)

    def applied(self) -> AppliedExceptions | None:
        """What was counted."""
        if self._handed is None:
            return None
        used = sorted(self._used.items(), key=lambda item: (-item[1], item[0]))
        return AppliedExceptions(
            time=self._handed.time.isoformat(),
            suppressed=FindingCounts(**self._suppressed),
            used=tuple(ExceptionUse(name=name, findings=count) for name, count in used),
            more=bool(self._handed.left_out),
        )


def short(applied: AppliedExceptions | None) -> AppliedExceptions | None:
    """The same, with no more names than a termination message has room for."""
    if applied is None:
        return None
    kept: list[ExceptionUse] = []
    room = USED_BYTES
    for use in applied.used:
        room -= len(msgspec.json.encode(use)) + 1
        if room < 0:
            return msgspec.structs.replace(applied, used=tuple(kept), more=True)
        kept.append(use)
    return applied
