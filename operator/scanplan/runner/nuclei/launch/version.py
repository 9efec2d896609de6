"""Asks Nuclei for its version before it scans.

Older ones go where they must not: up to 3.10 neither `pipeline` requests nor JavaScript templates heed the exclusion of
denied addresses, and unsigned JavaScript is loaded. The runner is tested with the oldest version that it takes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from scanplan.api.errors import NucleiBinaryError
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.runner.nuclei import scanner
from scanplan.runner.nuclei.judging.classify import StopCause

OLDEST = (3, 11, 1)
_VERSION = re.compile(rb"Engine Version: v(\d+)\.(\d+)\.(\d+)")
_LIMIT_SECONDS = 60.0


def check(program: str, environment: Mapping[str, str], directory: Path, stop: Callable[[], bool], now: float) -> None:
    """Refuse a Nuclei that is older than what the target guard was tested with.

    Args:
        program: its path.
        environment: as for a scan.
        directory: the working directory.
        stop: whether to give up.
        now: on the monotonic clock.

    Raises:
        NucleiBinaryError: it is older, no Nuclei, or can't be started.
    """
    said = bytearray()
    return_code, cause = scanner.run(
        lambda _trace: [program, "-version", "-duc", "-nc"],
        environment,
        directory,
        on_output=said.extend,
        on_log=said.extend,
        on_trace=lambda _block: None,
        on_tick=lambda at: (
            StopCause.INTERRUPTED if stop() else StopCause.TIMEOUT if at > now + _LIMIT_SECONDS else None
        ),
        stop_grace_seconds=scanner.STOP_GRACE_SECONDS,
    )
    if cause is StopCause.INTERRUPTED or return_code != 0:
        return  # why it fails, the scan itself will tell
    oldest = ".".join(map(str, OLDEST))
    match = _VERSION.search(said)
    if match is None:
        raise NucleiBinaryError(
            Reason.NUCLEI_BINARY_ERROR,
            f"{program} does not say its version: it is not Nuclei, or not version 3. Use Nuclei {oldest} or newer.",
        )
    version = tuple(map(int, match.groups()))
    if version < OLDEST:
        raise NucleiBinaryError(
            Reason.NUCLEI_BINARY_ERROR,
            f"This is Nuclei {'.'.join(map(str, version))}, which does not keep all of its requests from denied addresses. "
            f"Use Nuclei {oldest} or newer, as the scanner image of this release has it.",
        )
