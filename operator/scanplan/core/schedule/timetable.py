"""Computes the times of a schedule: five cron fields, evaluated on the wall clock of a time zone.

In many zones the clock changes twice a year. If the clock skips a time, the run is at the next minute that exists. If the clock
shows a time twice, one run is made, at the first of the two. A schedule for every hour is different: a skipped hour has no run,
and a repeated hour has two. Debian's cron(8) does the same for hourly jobs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta, tzinfo

from cronsim import CronSim, CronSimError

from scanplan.core.schedule import clocks

NAMED = {
    "@yearly": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@hourly": "0 * * * *",
}
FIELDS = 5
_TERM = r"(\*|[0-9]{1,2}|[A-Z]{3})"
_FIELD = re.compile(rf"{_TERM}(-{_TERM})?(/[0-9]{{1,2}})?(,{_TERM}(-{_TERM})?(/[0-9]{{1,2}})?)*")
"""Extensions of some cron programs (L, W, #, ?) are refused, because other programs read them differently or not at all."""
MAX_COUNTED = 10_000
"""Most times that are counted one by one. A schedule for each minute has about as many in a week."""
_SOME_DAY = datetime(2026, 1, 1)  # noqa: DTZ001 - a wall clock has no zone
_LONGEST_SHIFT = timedelta(days=1)
"""Longer than any change of a clock."""


class InvalidTimetable(ValueError):
    """The text is no schedule; the message says why."""


class Timetable:
    """The times of one schedule. All are whole minutes."""

    def __init__(self, text: str, zone: tzinfo) -> None:
        """Reads a schedule.

        Raises:
            InvalidTimetable: the text does not have five fields, a field can't be read, or no date matches.
        """
        self.zone = zone
        self._expression = _expression(text)
        try:
            fields = CronSim(self._expression, _SOME_DAY)
            self._minutes, self._every_hour = fields.minutes, len(fields.hours) == 24
            next(fields)
        except CronSimError as error:
            raise InvalidTimetable(f"{text!r}: {str(error).lower()}") from None
        except StopIteration:
            raise InvalidTimetable(f"{text!r} never comes") from None

    def after(self, moment: datetime) -> datetime:
        """The first time that is later than a moment, in UTC."""
        return next(self.times(moment))

    def times(self, moment: datetime) -> Iterator[datetime]:
        """All times later than a moment, in UTC and in their order."""
        last = moment.replace(second=0, microsecond=0)
        while True:
            last = self._next(last)
            yield last

    def count(self, first: datetime, until: datetime) -> tuple[int, datetime | None]:
        """How many times there are from `first`, itself a time, until a moment, and the last of them; at most `MAX_COUNTED`.

        The last one is exact even where the count is not.
        """
        if first > until:
            return 0, None
        number, last = 1, first
        while (later := self.after(last)) <= until:
            if number == MAX_COUNTED:
                return number, self._last(later, until)
            number, last = number + 1, later
        return number, last

    def _last(self, known: datetime, until: datetime) -> datetime:
        """The last time until a moment; `known` is an earlier one."""
        span = timedelta(hours=1)
        while until - span > known:
            if (found := self.after(until - span)) <= until:
                known = found
                break
            span *= 2
        while (later := self.after(known)) <= until:
            known = later
        return known

    def _next(self, moment: datetime) -> datetime:
        local = moment.astimezone(self.zone)
        candidate = self._walk(moment, local.replace(tzinfo=None), local.fold)
        if self._every_hour and (again := self._turned_back(moment, min(candidate, moment + _LONGEST_SHIFT))):
            # The clock was turned back, and shows an hour again: find the first time in that second hour.
            wall = again.astimezone(self.zone).replace(tzinfo=None)
            repeated = self._walk(again - clocks.MINUTE, wall - clocks.MINUTE, 1)
            return min(candidate, repeated)
        return candidate

    def _walk(self, moment: datetime, wall: datetime, fold: int) -> datetime:
        """The first time later than a moment, from a time of the wall clock on."""
        for each in CronSim(self._expression, wall):
            found = self._instant(each, fold)
            if found and found > moment:
                return found
        raise AssertionError("the schedule has a first time and no later one")

    def _instant(self, wall: datetime, fold: int) -> datetime | None:
        """The moment at which the clock shows `wall`; None: the schedule has no run at this time."""
        early, late = clocks.moments(wall, self.zone)
        if early == late:
            return early
        shift = abs(late - early)
        keeps_rhythm = self._every_hour and (wall + shift).minute in self._minutes
        if early < late:  # it comes twice
            return late if fold and keeps_rhythm else early
        return None if keeps_rhythm else clocks.changed(late, early, self.zone)

    def _turned_back(self, before: datetime, after: datetime) -> datetime | None:
        """The minute at which the clock was turned back between two moments, or None."""
        back = clocks.offset_at(after, self.zone) < clocks.offset_at(before, self.zone)
        return clocks.changed(before, after, self.zone) if back else None


def _expression(text: str) -> str:
    if text.startswith("@"):
        try:
            return NAMED[text]
        except KeyError:
            raise InvalidTimetable(f"{text!r} is none of {', '.join(sorted(NAMED))}") from None
    fields = text.upper().split()
    if len(fields) != FIELDS:
        raise InvalidTimetable(f"{text!r} has {len(fields)} fields; a schedule has five")
    if wrong := [field for field in fields if not _FIELD.fullmatch(field)]:
        raise InvalidTimetable(f"{text!r}: {wrong[0]!r} can't be read")
    return " ".join(fields)
