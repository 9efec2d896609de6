"""Says why two scans may differ although no host has changed."""

from __future__ import annotations

from scanplan.api.documents.records import ScanMetadata


def unlike(before: ScanMetadata, after: ScanMetadata) -> list[str]:
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
