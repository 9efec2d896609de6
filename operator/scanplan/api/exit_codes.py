"""The runner's exit codes: its contract with the Job's podFailurePolicy.

A Job sees only the exit code of a pod's container. So the code says what Kubernetes should do next. The values follow
sysexits(3). *interrupted* equals a shell's code for SIGTERM, so a runner that the signal kills gives the same code.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """How an attempt ended, and what its Job does about it."""

    OK = 0
    """The shard is published and complete. Never used for a partial shard."""
    USAGE = 64
    """EX_USAGE: the runner was started wrongly (no task document, no completion index). Handled as FATAL."""
    FATAL = 65
    """EX_DATAERR: no attempt of any shard can succeed (templates, flags, binary). The Job fails: FailJob."""
    SHARD_FATAL = 69
    """EX_UNAVAILABLE: this shard has used up its retries. Only the shard fails: FailIndex."""
    UNKNOWN = 70
    """EX_SOFTWARE: an error in no class we know. Counted; the runner allows `retry.unknown` more attempts."""
    TEMPORARY = 75
    """EX_TEMPFAIL: another attempt may succeed. Counted against backoffLimitPerIndex."""
    INTERRUPTED = 143
    """128 + SIGTERM: suspended, preempted, evicted; or failed after it had saved steps of the scan, so that the next attempt
    has less to do. Not counted: Ignore."""
