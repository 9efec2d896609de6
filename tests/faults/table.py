"""The table of the fault matrix: what each row's runs have shown, printed at the end and kept in build/faults.json."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.oracle import Verdict

FILE = Path(__file__).parent.parent.parent / "build" / "faults.json"
_HEADER = ("row", "fault", "N", "runs", "UIDs/key", "lost", "s to truth", "s to rest", "what was met")


@dataclass
class Line:
    """One row's outcome."""

    row: str
    fault: str
    within: float
    verdicts: Sequence[Verdict] = ()
    met: str = ""
    failed: bool = False

    def cells(self) -> tuple[str, ...]:
        if self.failed or not self.verdicts:
            return self.row, self.fault, f"{self.within:.0f}", "-", "-", "-", "-", "-", "FAILED"
        slowest = max(verdict.seconds_to_truth for verdict in self.verdicts)
        return (
            self.row,
            self.fault,
            f"{self.within:.0f}",
            str(len(self.verdicts)),
            str(max(verdict.job_uids_per_key for verdict in self.verdicts)),
            str(sum(verdict.findings_lost for verdict in self.verdicts)),
            f"{slowest:.1f}{'' if slowest <= self.within else ' (!)'}",
            f"{max(verdict.seconds_to_rest for verdict in self.verdicts):.1f}",
            self.met,
        )


@dataclass
class Table:
    """All rows that were run."""

    lines: list[Line] = field(default_factory=list)

    def text(self) -> str:
        rows = [_HEADER, *(line.cells() for line in sorted(self.lines, key=_order))]
        widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADER))]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
        )

    def write(self, form: str) -> None:
        """Write build/faults.json."""
        FILE.parent.mkdir(exist_ok=True)
        rows = [
            {
                "row": line.row,
                "fault": line.fault,
                "withinSeconds": line.within,
                "passed": not line.failed,
                "runs": len(line.verdicts),
                "jobUidsPerKey": max((verdict.job_uids_per_key for verdict in line.verdicts), default=None),
                "findingsLost": sum(verdict.findings_lost for verdict in line.verdicts),
                "secondsToTruth": max((verdict.seconds_to_truth for verdict in line.verdicts), default=None),
                "secondsToRest": max((verdict.seconds_to_rest for verdict in line.verdicts), default=None),
                "met": line.met,
            }
            for line in sorted(self.lines, key=_order)
        ]
        FILE.write_text(json.dumps({"form": form, "rows": rows}, indent=1) + "\n")


def _order(line: Line) -> tuple[int, str]:
    digits = "".join(character for character in line.row if character.isdigit())
    return int(digits or 99), line.row
