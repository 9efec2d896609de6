"""Watches a scan while Nuclei runs: decides when Nuclei has to stop, and says how far the scan is."""

from __future__ import annotations

import time
from collections.abc import Callable

from scanplan.api.documents.task import TaskDocument
from scanplan.runner import progress
from scanplan.runner.artifacts.publish import Attempt
from scanplan.runner.nuclei import memory, scratch
from scanplan.runner.nuclei.judging.classify import StopCause
from scanplan.runner.nuclei.judging.statistics import ScannerLog
from scanplan.runner.nuclei.launch.installation import Installation
from scanplan.runner.reporter import Reporter

HANG_SECONDS = 300.0
"""Shortest time without a request after which Nuclei can count as hung: loading ten thousand templates alone takes a minute."""
_HEARTBEAT_SECONDS = 20.0


def hang_seconds(document: TaskDocument) -> float:
    """Seconds without a request after which Nuclei counts as hung. A single request with all its retries takes less."""
    options = document.scanner
    return max(HANG_SECONDS, 4.0 * options.request_timeout_seconds * (options.request_retries + 1))


class Watchdog:
    """The watchdog of one attempt."""

    def __init__(
        self,
        document: TaskDocument,
        attempt: Attempt,
        installation: Installation,
        reporter: Reporter,
        stop: Callable[[], bool],
    ) -> None:
        """`stop` says whether the pod was told to end. The attempt's time limit (`timeout_seconds`) counts from now."""
        self.memory = memory.Memory.of_this_process()
        self._attempt = attempt
        self._reporter = reporter
        self._stop = stop
        self._deadline = time.monotonic() + document.timeout_seconds
        self._hang_seconds = hang_seconds(document)
        self._scratch = scratch.Scratch.of(installation.inherited, installation.temporary)
        self._scratch_check = progress.Pace(scratch.CHECK_SECONDS)
        self._heartbeat = progress.Pace(_HEARTBEAT_SECONDS)
        self._pace = progress.Pace(progress.INTERVAL_SECONDS)
        self._done_percent, self._step_share = 0.0, 1.0
        self._near_limit = False

    def begin_step(self, done_percent: float, share: float) -> None:
        """A step begins.

        Args:
            done_percent: how much of the shard is done, 0 to 100.
            share: how much of the shard the step is, 0 to 1.
        """
        self._done_percent, self._step_share = done_percent, share

    def stop_cause(self, now: float) -> StopCause | None:
        """Why the scan has to end, whether or not Nuclei runs; None: it goes on. `now` is the monotonic clock."""
        if self._stop():
            return StopCause.INTERRUPTED
        return StopCause.TIMEOUT if now >= self._deadline else None

    def tick(self, now: float, log: ScannerLog, requests: int) -> StopCause | None:
        """Check the run of Nuclei; called several times a second. Returns why Nuclei has to stop; None: it goes on.

        Args:
            now: the monotonic clock.
            log: what Nuclei has said in this step.
            requests: number of requests of all earlier steps, also those of earlier attempts.
        """
        if (cause := self.stop_cause(now)) is not None:
            return cause
        if now - log.moved_at > self._hang_seconds:
            return StopCause.HUNG
        if self._scratch_check.due(now) and self._scratch.nearly_full():
            return StopCause.SCRATCH_FULL
        if self._heartbeat.due(now):
            self._attempt.heartbeat()
        if self._pace.due(now):
            percent = min(100, int(self._done_percent + self._step_share * log.percent))
            findings = self._attempt.findings.total
            self._reporter.tell("progress", percent=percent, requests=requests + log.requests, findings=findings)
            self._look_at_memory()
        return None

    def _look_at_memory(self) -> None:
        if self._near_limit or (share := self.memory.share()) <= memory.NEAR:
            return
        self._near_limit = True
        self._attempt.note_memory()
        self._reporter.warn(
            f"Memory was at {share:.0%} of the pod's limit: raise the limit, or lower concurrency or bulk size."
        )
