"""Reports the progress of an attempt: events for the pod's log, and warnings for the attempt's record."""

from __future__ import annotations

import time

from scanplan.api.documents import records
from scanplan.runner import progress


class Reporter:
    """The reporter of one attempt at a shard."""

    def __init__(self, on_progress: progress.OnProgress, shard: int, attempt: int) -> None:
        self._on_progress = on_progress
        self._shard = shard
        self._attempt = attempt
        self.warnings: list[str] = []
        """All warnings so far, in order."""

    def warn(self, message: str) -> None:
        """Warn of something that a person may want to change."""
        self.warnings.append(message)
        self.tell("warning", message=message)

    def tell(
        self,
        event: progress.Kind,
        *,
        percent: int = -1,
        requests: int = -1,
        endpoints: int = -1,
        findings: int = -1,
        message: str = "",
    ) -> None:
        """Send an event. Numbers that are -1 are left out."""
        self._on_progress(
            progress.Event(
                time=records.timestamp(time.time()),
                event=event,
                shard=self._shard,
                attempt=self._attempt,
                percent=percent,
                requests=requests,
                endpoints=endpoints,
                findings=findings,
                message=message,
            )
        )
