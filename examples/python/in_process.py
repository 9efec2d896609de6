"""Scan in this process, as the first version did: nothing else has to run.

    python examples/python/in_process.py https://app.example.com

Needs Nuclei (NUCLEI_BIN, by default `nuclei` on PATH) and its templates (SCANPLAN_TEMPLATES_DIRECTORY).
"""

from __future__ import annotations

import sys

from scanplan.client import ScanPlan, run_scan, stored_findings


def main(endpoints: list[str]) -> int:
    """Scan, and print what the project has ever found."""
    plan = ScanPlan(
        run_id="example",
        project_id="examples",
        endpoints=endpoints,
        templates=["http/"],
        severity_levels=["critical", "high"],
    )
    result = run_scan(plan)
    if not result.success:
        print(f"the scan failed: {result.error}", file=sys.stderr)
    print(f"{result.finding_count} findings in {result.artifact_path}")
    for stored in stored_findings(plan.project_id):
        finding = stored.finding
        print(f"{finding.severity:9} {finding.name}: {finding.matched_at} (first seen {stored.first_seen})")
    return 0 if result.success else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
