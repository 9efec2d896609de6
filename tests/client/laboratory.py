"""A place to run real scans through any queue: templates, a vulnerable application on loopback, a data directory, settings."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from scanplan.api import environment
from scanplan.client import models
from scanplan.client.models import ScanPlan, ScanResult, TaskStatus
from scanplan.client.queues.base import TaskQueue
from tests.fixtures.scans import CONFIGURATION, STARTER_TEMPLATES, WebApplication
from tests.kubectl import eventually


class Laboratory:
    """One test's templates and data; `queue` is set by the fixture that makes one."""

    queue: TaskQueue

    def __init__(self, folder: Path, nuclei: Path, webapp: WebApplication) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.own_templates = folder / "templates"
        self.webapp = webapp
        self._nuclei = nuclei
        self._pool = ThreadPoolExecutor(max_workers=32)
        for path in (self.data, self.own_templates):
            path.mkdir()

    def variables(self, **more: str) -> dict[str, str]:
        """The environment of a program that uses the library here."""
        return {
            environment.NUCLEI_BIN: str(self._nuclei),
            environment.TEMPLATES_DIRECTORY: f"{self.own_templates}{os.pathsep}{STARTER_TEMPLATES}",
            environment.NUCLEI_CONFIGURATION: str(CONFIGURATION),
            "SCANPLAN_DATA_DIRECTORY": str(self.data),
            "SCANPLAN_DENIED_TARGETS": "denied.example",
            "SCANPLAN_RETRY_TEMPORARY_SECONDS": "1",
            "SCANPLAN_RETRY_UNKNOWN_SECONDS": "1",
            **more,
        }

    def template(self, name: str, *, path: str = "/robots.txt", severity: str = "info", fault: str = "") -> str:
        """A template that matches every 200 answer, and asks the stand-in for trouble; returns its name in plans."""
        (self.own_templates / f"{name}.yaml").write_text(
            f"id: {name}\ninfo:\n  name: {name}\n  author: tests\n  severity: {severity}\n"
            + (f"  metadata:\n    x-double-fault: {json.dumps(fault)}\n" if fault else "")
            + f'http:\n  - method: GET\n    path: ["{{{{BaseURL}}}}{path}"]\n'
            "    matchers:\n      - type: status\n        status: [200]\n"
        )
        return f"{name}.yaml"

    def plan(self, run_id: str = "nightly", **fields: Any) -> ScanPlan:
        """A plan with 14 findings."""
        defaults: dict[str, Any] = {"project_id": "acme", "endpoints": [self.webapp.url], "templates": ["http/"]}
        return ScanPlan(run_id=run_id, **(defaults | fields))

    def slow_plan(self, run_id: str = "nightly", *, milliseconds: int = 30_000, **fields: Any) -> ScanPlan:
        """A plan that finds something at once, then waits, and ends with 16 findings."""
        slow = self.template("slow", fault=f"slow:{milliseconds}")
        return self.plan(run_id, templates=["http/", self.template("first"), slow], **fields)

    def submit(self, plan: ScanPlan) -> str:
        return self.queue.submit_task(models.TASK_TYPE, models.payload_of(plan))

    def in_background(self, call: Callable[[], Any]) -> Future[Any]:
        """For `submit` of a queue that only returns when the scan has ended."""
        return self._pool.submit(call)

    def result(self, task_id: str) -> ScanResult:
        """Wait for the task's result."""

        def look() -> Mapping[str, Any] | None:
            return self.queue.get_task_result(task_id)

        return models.load(ScanResult, eventually(look, interval=0.1), "the result")

    def until(self, task_id: str, *states: TaskStatus) -> TaskStatus:
        """Wait until the task has one of these states; it may not be known at first."""

        def look() -> TaskStatus | None:
            try:
                status = self.queue.get_task_status(task_id)
            except LookupError:
                return None
            return status if status in states else None

        found = eventually(look, interval=0.05)
        assert found
        return found

    def until_something_is_found(self, run_id: str = "nightly", attempt: int = 1) -> None:
        """Wait until a running attempt has written a finding."""

        def look() -> bool:
            growing = self.data.glob(f"ui_projects/{run_id}/tasks/*/shards/*/attempt-{attempt}/.*partial")
            return any(path.stat().st_size for path in growing)

        eventually(look, interval=0.05)

    def findings(self, result: ScanResult) -> list[dict[str, Any]]:
        """The published findings."""
        assert result.artifact_path
        lines = (self.data / result.artifact_path / "nuclei_output.ndjson").read_bytes().splitlines()
        return [json.loads(line) for line in lines]

    def close(self) -> None:
        self._pool.shutdown(wait=True)
        if hasattr(self, "queue"):
            self.queue.close()


def at_once(count: int, call: Callable[[], Any]) -> list[Any]:
    """Call from so many threads at the same moment; returns the answers."""
    barrier = threading.Barrier(count)

    def one() -> Any:
        barrier.wait()
        return call()

    with ThreadPoolExecutor(max_workers=count) as pool:
        return [future.result() for future in [pool.submit(one) for _ in range(count)]]
