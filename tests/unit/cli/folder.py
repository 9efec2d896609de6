"""Runs in a folder, as the runner leaves them: what `--directory` reads."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import msgspec

from scanplan.api import layout
from scanplan.api.documents import records
from scanplan.api.documents.records import RunRecord, TaskArtifacts
from scanplan.api.documents.words import PlanReference
from scanplan.core.planning import keys
from scanplan.findings import history
from tests.unit.report import events


def write(
    root: Path, run_id: str, *results: list[dict[str, Any]], report: bytes = b"", histories: bool = True, **members: Any
) -> Path:
    """A run with so many results, each of these events; returns the run's folder.

    Args:
        report: that each has left; by default it has left none.
        histories: whether each has left the run's history.
        members: of the last result's record.
    """
    run = root / layout.run_directory(run_id)
    tasks = []
    lives: list[bytes] = []
    for number, found in enumerate(results):
        last = number == len(results) - 1
        key = f"scan:acme:{run_id}:{number}"
        where = layout.task_directory(keys.key_digest(key))
        folder = run / where
        folder.mkdir(parents=True)
        began = f"2026-11-2{number}T06:00:00.000Z"
        sightings = (history.sighting(line) for line in events.lines(found))
        seen = sorted(history.record(each) for each in sightings if each is not None)
        lives = list(history.continued(lives, seen, began, lambda _: True, history.Tally()))
        contents = {layout.FINDINGS: b"".join(events.lines(found))}
        contents |= {layout.HISTORY: b"".join(lives)} if histories else {}
        contents |= {layout.REPORT: report} if report else {}
        for name, content in contents.items():
            (folder / name).write_bytes(content)
        listed = [
            {"name": name, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for name, content in contents.items()
        ]
        dated = {"startedAt": began, "history": {"since": f"2026-11-2{number - 1}T06:00:00.000Z" if number else ""}}
        more = dated | (members if last else {})
        record = events.record(events.read(found), key=key, runId=run_id, files=listed, **more)
        (folder / layout.METADATA).write_bytes(msgspec.json.encode(record))
        tasks.append(
            TaskArtifacts(
                key=key,
                plan=PlanReference(namespace="team-a", name=run_id),
                created_at=f"2026-11-2{number}T00:00:00Z",
                path=str(where),
                complete=True,
                nuclei_output=str(where / layout.FINDINGS),
                metadata=str(where / layout.METADATA),
            )
        )
    record_of_run = RunRecord(run_id=run_id, project_id="acme", tasks=tuple(tasks))
    (run / layout.RUN_RECORD).write_bytes(records.readable(record_of_run))
    return run


def tasks(run: Path) -> list[Path]:
    """The folders of a run's results, the oldest first."""
    record = msgspec.json.decode((run / layout.RUN_RECORD).read_bytes(), type=RunRecord)
    return [run / task.path for task in record.tasks]
