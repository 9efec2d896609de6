"""What a lane of pytest left behind: counts and times of its tests, from its JUnit file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree as ET


@dataclass(frozen=True)
class Results:
    """Of one lane."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    times: dict[str, float] = field(default_factory=dict)
    """Seconds of each test, with its fixtures."""


def read(file: Path) -> Results:
    """The results in a JUnit file; none where pytest wrote none."""
    try:
        cases = list(ET.parse(file).iter("testcase"))  # noqa: S314 - pytest wrote it a moment ago
    except (OSError, ET.ParseError):
        return Results()
    # A test that fails at its end, after it passed, has two entries.
    states: dict[str, str] = {}
    times: dict[str, float] = {}
    for case in cases:
        name = f"{case.get('classname', '').replace('.', '/')}::{case.get('name', '')}"
        kinds = {child.tag for child in case}
        state = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
        states[name] = "failed" if "failed" in {state, states.get(name)} else state
        times[name] = times.get(name, 0.0) + float(case.get("time") or 0)
    counts = {state: sum(1 for each in states.values() if each == state) for state in ("passed", "failed", "skipped")}
    return Results(**counts, times=times)


def slowest(results: list[Results], count: int = 10) -> list[tuple[str, float]]:
    """The slowest tests of all lanes, slowest first."""
    every = [item for each in results for item in each.times.items()]
    return sorted(every, key=lambda item: -item[1])[:count]
