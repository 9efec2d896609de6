"""Counters of the workers of a Redis queue. They are in Redis, because each task runs in a short-lived process.

Counters only grow. A flush of Redis resets them, as a restart does. Labels have few values: classes, severities and states.
"""

from __future__ import annotations

import bisect
import dataclasses
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from scanplan.api.documents.words import ErrorClass
from scanplan.client.models import ScanResult

if TYPE_CHECKING:
    import redis
    from redis.client import Pipeline

BUCKETS = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0, 86_400.0)
"""Upper bounds in seconds, for durations and waits. Longer values are in no bucket."""
_BEYOND = "+Inf"


@dataclasses.dataclass(frozen=True)
class Histogram:
    """A histogram in seconds: the count of each bucket, not cumulated, with a last one for longer values, and the sum."""

    counts: tuple[int, ...] = (0,) * (len(BUCKETS) + 1)
    total: float = 0.0


@dataclasses.dataclass(frozen=True)
class Statistics:
    """All counters, since Redis was last flushed."""

    tasks: dict[str, int] = dataclasses.field(default_factory=dict)
    """Ended tasks by status."""
    retries: dict[str, int] = dataclasses.field(default_factory=dict)
    """Failed attempts of the classes that are tried again, by class of error."""
    findings: dict[str, int] = dataclasses.field(default_factory=dict)
    """Published findings by severity."""
    duration: Histogram = Histogram()
    """Durations of the attempts that ended tasks."""
    wait: Histogram = Histogram()
    """Time from submission to the first attempt."""


def count_wait(pipe: Pipeline, key: str, seconds: float) -> None:
    """A task's first attempt begins."""
    _observe(pipe, key, "wait", seconds)


def count_failure(pipe: Pipeline, key: str, error_class: ErrorClass) -> None:
    """An attempt has failed in a way that may be tried again."""
    pipe.hincrby(key, f"retries:{error_class.value}", 1)


def count_end(pipe: Pipeline, key: str, result: ScanResult) -> None:
    """A task has ended."""
    pipe.hincrby(key, f"tasks:{result.status.value}", 1)
    for severity, number in dataclasses.asdict(result.findings).items():
        if number:
            pipe.hincrby(key, f"findings:{severity}", number)
    _observe(pipe, key, "duration", result.duration_ms / 1000)


def read(connection: redis.Redis, key: str) -> Statistics:
    """All counters."""
    raw: Any = connection.hgetall(key)
    values = {name.decode(): value.decode() for name, value in raw.items()}
    return Statistics(
        tasks=_of(values.items(), "tasks:"),
        retries=_of(values.items(), "retries:"),
        findings=_of(values.items(), "findings:"),
        duration=_histogram(values, "duration"),
        wait=_histogram(values, "wait"),
    )


def _observe(pipe: Pipeline, key: str, name: str, seconds: float) -> None:
    position = bisect.bisect_left(BUCKETS, seconds)
    bound = f"{BUCKETS[position]}" if position < len(BUCKETS) else _BEYOND
    pipe.hincrby(key, f"{name}:le:{bound}", 1)
    pipe.hincrbyfloat(key, f"{name}:sum", seconds)


def _of(values: Iterable[tuple[str, str]], prefix: str) -> dict[str, int]:
    return {name.removeprefix(prefix): int(value) for name, value in values if name.startswith(prefix)}


def _histogram(values: dict[str, str], name: str) -> Histogram:
    bounds = [*map(str, BUCKETS), _BEYOND]
    counts = tuple(int(values.get(f"{name}:le:{bound}", 0)) for bound in bounds)
    return Histogram(counts, float(values.get(f"{name}:sum", 0)))
