"""``scanplan prune``: retention of runs on a claim, safe beside running scans."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated

import typer

from scanplan.cli.output.failure import TEMPORARY, USAGE, Failure, told
from scanplan.cli.output.terminal import answers, line, say
from scanplan.runner.artifacts import retention

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_BINARY = {"": 1, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40}


@told
def prune(
    claim: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", help="The claim's root: the folder that has ui_projects/.", exists=True, file_okay=False
        ),
    ],
    keep_runs: Annotated[
        int | None,
        typer.Option(metavar="N", help="Keep so many runs of each project, and scans of each run, the newest.", min=0),
    ] = None,
    max_age: Annotated[
        str | None,
        typer.Option(metavar="AGE", help="Remove runs and scans that changed longer ago, such as 12h, 30d or 8w."),
    ] = None,
    max_size: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Remove the oldest beyond this size, such as 500Mi or 20Gi.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Remove old runs from a claim, and old scans of runs that stay. What is alive is never touched.

    A schedule is one run, and each of its nights a scan of it. The newest complete scan of a run stays as long as the run: the next
    one is compared with it. A run goes as a whole once its newest scan is beyond a limit.

    Without any limit nothing is removed. A run that can't be read or removed is named, and the others are pruned. Exit codes: 0
    done; 64 a limit can't be read; 75 some run could not be read or removed.
    """
    policy = retention.Policy(
        number=keep_runs,
        age_seconds=_parsed("--max-age", max_age, _UNITS, "a number and one of s, m, h, d, w: 30d"),
        total_bytes=_whole(_parsed("--max-size", max_size, _BINARY, "a number and one of Ki, Mi, Gi, Ti: 20Gi")),
    )
    skipped: dict[str, OSError] = {}
    removals = retention.prune(claim, policy, skipped.__setitem__, dry_run=dry_run)
    for removal in removals:
        run, task = removal.run, removal.task.name if removal.task else ""
        if as_json:
            entry = {"runId": run.run_id, "task": task, "projectId": run.project_id, "bytes": removal.bytes}
            answers().print(json.dumps({**entry, "because": removal.because, "dryRun": dry_run}))
        else:
            verb = "would remove" if dry_run else "removed"
            what = f"{run.run_id}/tasks/{task}" if task else run.run_id
            answers().print(line(f"{verb} {what} of {run.project_id} ({removal.bytes:,} bytes; by {removal.because})"))
    if not as_json:
        scans = sum(removal.task is not None for removal in removals)
        freed = sum(removal.bytes for removal in removals)
        say(f"{len(removals) - scans} runs, {scans} scans of other runs, {freed:,} bytes")
    for run_id, error in skipped.items():
        say(f"skipped {run_id}: {error.strerror or error}")
    if skipped:
        raise typer.Exit(TEMPORARY)


def _parsed(option: str, text: str | None, units: dict[str, int], form: str) -> float | None:
    if text is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([A-Za-z]*)", text)
    if not match or match[2] not in units:
        raise Failure(f"{option} {text!r} can't be read", form, USAGE)
    return float(match[1]) * units[match[2]]


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)
