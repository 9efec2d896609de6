"""What keeps a plan from being scanned now: its author's `suspend`, or the time of day."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo

from scanplan.api.times import local_time
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.api.v1alpha1.scanplan import ScanPlanSpec
from scanplan.core.schedule import windows

_VERB = "{verb}"


@dataclass(frozen=True, slots=True)
class Hold:
    """A plan that may not be scanned now."""

    reason: Reason
    words: str
    """With the place of what it does afterwards."""

    def message(self, verb: str) -> str:
        """For its status. `verb`: what it does afterwards, such as start."""
        return self.words.replace(_VERB, verb)


def hold_of(spec: ScanPlanSpec, zones: Mapping[str, tzinfo], now: datetime) -> Hold | None:
    """What holds a plan now; None: nothing does."""
    if spec.suspend:
        return Hold(Reason.SUSPENDED, f"suspended; set suspend to false to {_VERB}")
    if not spec.windows:
        return None
    if problem := windows.problem(spec.windows, zones):
        return Hold(Reason.INVALID_SPEC, problem)
    match windows.state(spec.windows, zones, now):
        case windows.Closed(until, zone):
            words = f"outside of its windows: it will {_VERB} at {local_time(until, zones[zone], zone)}"
            return Hold(Reason.OUTSIDE_WINDOW, words)
    return None


def next_edge(spec: ScanPlanSpec, zones: Mapping[str, tzinfo], now: datetime) -> datetime | None:
    """When a window opens or closes next; None: no time changes anything."""
    if spec.suspend or spec.cancel or not spec.windows or windows.problem(spec.windows, zones):
        return None
    return windows.state(spec.windows, zones, now).until
