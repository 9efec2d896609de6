"""When the wall clock of a time zone shows a time: in most zones it is turned forward and back once a year."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo

MINUTE = timedelta(minutes=1)


def moments(wall: datetime, zone: tzinfo) -> tuple[datetime, datetime]:
    """When the clock shows a time, by its offset before a change and after it.

    The first is earlier where the time comes twice, later where it does not exist, and the same in all other cases.
    """
    before, after = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    return before, after


def first(wall: datetime, zone: tzinfo) -> datetime:
    """When the clock first shows a time; of one that does not exist, the next minute that does."""
    before, after = moments(wall, zone)
    return before if before <= after else changed(after, before, zone)


def changed(before: datetime, after: datetime, zone: tzinfo) -> datetime:
    """The first minute until `after` that has another offset to UTC than `before`."""
    offset = offset_at(before, zone)
    while (span := (after - before) // MINUTE) > 1:
        middle = before + span // 2 * MINUTE
        before, after = (middle, after) if offset_at(middle, zone) == offset else (before, middle)
    return after


def offset_at(moment: datetime, zone: tzinfo) -> timedelta:
    """How far the clock is ahead of UTC."""
    return moment.astimezone(zone).utcoffset() or timedelta(0)
