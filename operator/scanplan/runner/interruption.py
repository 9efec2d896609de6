"""Handles SIGTERM: Nuclei is stopped, and what it has found is published.

Kubernetes tells a pod to stop by SIGTERM (suspension, eviction, preemption, deadline). Before the handler is there, SIGTERM
ends the process with the same exit code, since the image's process 1 is an init (tini). This module is imported before
anything heavy and needs only the standard library. The handler only remembers; whoever waits looks at the flag.
"""

from __future__ import annotations

import signal
from types import FrameType


class Interruption:
    """Whether somebody asked us to stop; callable, so that it serves as the `stop` of `shard.run_shard`."""

    def __init__(self) -> None:
        self._asked = False

    def install(self) -> None:
        """Take over SIGTERM and SIGINT for this process. Only in the main thread."""
        signal.signal(signal.SIGTERM, self._remember)
        signal.signal(signal.SIGINT, self._remember)

    def _remember(self, _signal: int, _frame: FrameType | None) -> None:
        self._asked = True

    def __call__(self) -> bool:
        return self._asked
