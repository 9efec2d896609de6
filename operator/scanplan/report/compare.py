"""Compares two scans: new, fixed and unchanged findings, by fingerprint.

Only fingerprints and the differences are held in memory, so two similar large scans take little. A finding that is gone is called
fixed. That may be wrong where the later scan did not look. So whoever shows a difference also shows `scan.remarks` of both scans,
and `unlike`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from scanplan.report.finding import RANK, Finding
from scanplan.report.scan import Scan


@dataclass(frozen=True)
class Difference:
    """Findings of two scans, compared; both lists most severe first."""

    new: tuple[Finding, ...]
    fixed: tuple[Finding, ...]
    unchanged: int

    @property
    def new_marks(self) -> frozenset[str]:
        """Fingerprints of the new findings."""
        return frozenset(finding.fingerprint for finding in self.new)


def difference(before: Iterable[Finding], after: Iterable[Finding]) -> Difference:
    """Compare two scans.

    Args:
        before: findings of the earlier scan. They are read twice, so this can't be an iterator.
        after: findings of the later scan, read once.
    """
    earlier = {finding.fingerprint for finding in before}
    later: set[str] = set()
    new = []
    for finding in after:
        if finding.fingerprint not in later and finding.fingerprint not in earlier:
            new.append(finding)
        later.add(finding.fingerprint)
    gone = earlier - later
    fixed = {finding.fingerprint: finding for finding in before if finding.fingerprint in gone}
    return Difference(_most_severe_first(new), _most_severe_first(fixed.values()), len(earlier & later))


def unlike(before: Scan, after: Scan) -> list[str]:
    """Reasons why two scans may differ although no host has changed; one sentence each."""
    said = []
    if sorted(before.templates) != sorted(after.templates):
        said.append("They ran different templates.")
    elif before.scanner.templates_digest != after.scanner.templates_digest:
        said.append("The templates have changed between them.")
    if sorted(before.severity_levels) != sorted(after.severity_levels):
        said.append("They looked for different severities.")
    if before.endpoints != after.endpoints:
        said.append(f"They had different endpoints ({before.endpoints:,} and {after.endpoints:,}).")
    if before.scanner.nuclei_version != after.scanner.nuclei_version:
        said.append(
            f"Nuclei {before.scanner.nuclei_version or '?'} found the earlier, {after.scanner.nuclei_version or '?'} the later."
        )
    return said


def _most_severe_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    return tuple(
        sorted(findings, key=lambda finding: (RANK[finding.severity], finding.template_id, finding.matched_at))
    )
