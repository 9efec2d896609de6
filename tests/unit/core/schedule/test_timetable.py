"""When a schedule runs: cron's five fields, and what becomes of times that the clock skips or shows twice."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanplan.core.schedule.timetable import MAX_COUNTED, InvalidTimetable, Timetable


def shown(text: str, zone: str, after: str, count: int) -> list[str]:
    """The times after a moment of the zone's clock, as that clock shows them."""
    tz = ZoneInfo(zone)
    times = Timetable(text, tz).times(datetime.fromisoformat(after).replace(tzinfo=tz))
    return [each.astimezone(tz).strftime("%d %H:%M%z") for each in itertools.islice(times, count)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0 2 * * *", "2026-11-28T02:00"),
        ("*/15 * * * *", "2026-11-27T10:15"),
        ("30 4 1,15 * *", "2026-12-01T04:30"),
        ("0 22 * * MON-FRI", "2026-11-27T22:00"),
        ("0 0 * * 7", "2026-11-29T00:00"),
        ("0 0 13 * FRI", "2026-12-04T00:00"),
        ("0 0 29 2 *", "2028-02-29T00:00"),
        ("5/20 * * * *", "2026-11-27T10:05"),
        ("0 0 1 jan *", "2027-01-01T00:00"),
        ("  0   2  *  *  * ", "2026-11-28T02:00"),
        ("@hourly", "2026-11-27T11:00"),
        ("@daily", "2026-11-28T00:00"),
        ("@weekly", "2026-11-29T00:00"),
        ("@monthly", "2026-12-01T00:00"),
        ("@yearly", "2027-01-01T00:00"),
    ],
)
def test_the_next_time(text: str, expected: str) -> None:
    moment = datetime(2026, 11, 27, 10, 0, 30, tzinfo=UTC)
    assert Timetable(text, UTC).after(moment) == datetime.fromisoformat(expected).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "* * * *", "0 0 2 * * *", "0 0 2 * * * 2026", "TZ=UTC 0 2 * * *", "CRON_TZ=UTC 0 2 * * *"),
        *("0 0 L * *", "0 0 LW * *", "0 0 15W * *", "0 0 * * 5L", "0 0 * * 5#2", "0 0 ? * *", "H * * * *"),
        *("60 * * * *", "0 24 * * *", "0 0 0 * *", "0 0 32 * *", "0 0 * 13 *", "0 0 * * 8", "-1 * * * *"),
        *("*/0 * * * *", "5-1 * * * *", "1,,2 * * * *", "1-2-3 * * * *", "*-5 * * * *", "0 0 * * MONDAY", "٣ * * * *"),
        *("0 0 31 2 *", "0 0 30 FEB *", "@reboot", "@Daily", "@midnight", "@every 5m", "@", "daily", "every night"),
    ],
)
def test_what_cannot_be_read_is_refused(text: str) -> None:
    """A guess would scan at a time that nobody asked for."""
    with pytest.raises(InvalidTimetable, match=r"."):
        Timetable(text, UTC)


@pytest.mark.parametrize(
    ("text", "zone", "after", "expected"),
    [
        # A time that does not exist runs at the next minute that does.
        ("30 2 * * *", "Europe/Berlin", "2026-03-28T00:00", ["28 02:30+0100", "29 03:00+0200", "30 02:30+0200"]),
        ("30 2 * * *", "America/New_York", "2026-03-07T00:00", ["07 02:30-0500", "08 03:00-0400", "09 02:30-0400"]),
        ("30 2 * * *", "Australia/Sydney", "2026-10-03T00:00", ["03 02:30+1000", "04 03:00+1100", "05 02:30+1100"]),
        ("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00", ["03 02:15+1030", "04 02:30+1100", "05 02:15+1100"]),
        ("30 0 * * *", "America/Santiago", "2026-09-05T00:00", ["05 00:30-0400", "06 01:00-0300", "07 00:30-0300"]),
        ("30 2 * * *", "Africa/Casablanca", "2026-03-21T00:00", ["21 02:30+0000", "22 03:00+0100", "23 02:30+0100"]),
        ("15 2 * * *", "Asia/Kathmandu", "2026-03-28T00:00", ["28 02:15+0545", "29 02:15+0545", "30 02:15+0545"]),
        # Several of them run once, also together with one that exists.
        ("*/20 2 * * *", "Europe/Berlin", "2026-03-28T02:40", ["29 03:00+0200", "30 02:00+0200", "30 02:20+0200"]),
        ("30 2,3 * * *", "Europe/Berlin", "2026-03-28T12:00", ["29 03:00+0200", "29 03:30+0200", "30 02:30+0200"]),
        ("0 2,3 * * *", "Europe/Berlin", "2026-03-28T12:00", ["29 03:00+0200", "30 02:00+0200", "30 03:00+0200"]),
        ("0 */2 * * *", "Europe/Berlin", "2026-03-29T00:00", ["29 03:00+0200", "29 04:00+0200", "29 06:00+0200"]),
        # One that comes twice runs once.
        ("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00", ["25 02:30+0200", "26 02:30+0100"]),
        ("30 1 * * *", "America/New_York", "2026-10-31T12:00", ["01 01:30-0400", "02 01:30-0500"]),
        ("30 2 * * *", "Australia/Sydney", "2026-04-04T12:00", ["05 02:30+1100", "06 02:30+1000"]),
        ("45 1 * * *", "Australia/Lord_Howe", "2026-04-04T12:00", ["05 01:45+1100", "06 01:45+1030"]),
        ("30 23 * * *", "America/Santiago", "2026-04-03T12:00", ["03 23:30-0300", "04 23:30-0300", "05 23:30-0400"]),
        ("30 2 * * *", "Africa/Casablanca", "2026-02-14T12:00", ["15 02:30+0100", "16 02:30+0000"]),
        ("*/30 2 * * *", "Europe/Berlin", "2026-10-24T12:00", ["25 02:00+0200", "25 02:30+0200", "26 02:00+0100"]),
        ("0 */2 * * *", "Europe/Berlin", "2026-10-25T01:00", ["25 02:00+0200", "25 04:00+0100", "25 06:00+0100"]),
        # A schedule for every hour keeps its rhythm.
        ("30 * * * *", "Europe/Berlin", "2026-03-29T01:00", ["29 01:30+0100", "29 03:30+0200", "29 04:30+0200"]),
        ("0 * * * *", "Europe/Berlin", "2026-10-25T01:30", ["25 02:00+0200", "25 02:00+0100", "25 03:00+0100"]),
        ("30 * * * *", "America/New_York", "2026-11-01T01:00", ["01 01:30-0400", "01 01:30-0500", "01 02:30-0500"]),
        ("0 * * * SAT", "America/Santiago", "2026-04-04T22:00", ["04 23:00-0300", "04 23:00-0400", "11 00:00-0400"]),
        # Where the clock changes by half an hour, that is no rhythm: skipped and repeated times count as above.
        ("15 * * * *", "Australia/Lord_Howe", "2026-10-04T01:00", ["04 01:15+1030", "04 02:30+1100", "04 03:15+1100"]),
        ("45 * * * *", "Australia/Lord_Howe", "2026-04-05T01:00", ["05 01:45+1100", "05 02:45+1030", "05 03:45+1030"]),
        (
            "*/30 * * * *",
            "Australia/Lord_Howe",
            "2026-04-05T01:00",
            ["05 01:30+1100", "05 01:30+1030", "05 02:00+1030"],
        ),
    ],
)
def test_when_the_clocks_change(text: str, zone: str, after: str, expected: list[str]) -> None:
    assert shown(text, zone, after, len(expected)) == expected


@given(
    st.sampled_from(
        ["30 2 * * *", "*/20 1-3 * * *", "15,45 * * * *", "0 */2 * * *", "30 0,23 * * *", "* * * * *", "5 1 1 * *"]
    ),
    st.sampled_from(
        ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Africa/Casablanca", "UTC"]
    ),
    st.datetimes(datetime(2026, 1, 1), datetime(2028, 1, 1)),  # noqa: DTZ001
)
def test_times_do_not_depend_on_where_one_begins_to_look(text: str, zone: str, moment: datetime) -> None:
    """An operator that restarts must see the same times as one that ran on, or it would start one twice or none at all."""
    timetable = Timetable(text, ZoneInfo(zone))
    begin = moment.replace(tzinfo=UTC)
    first, second, third = itertools.islice(timetable.times(begin), 3)
    assert begin < first < second < third
    assert all(each.second == each.microsecond == 0 for each in (first, second))
    assert timetable.after(first) == timetable.after(second - timedelta(seconds=1)) == second
    assert timetable.after(first - timedelta(microseconds=1)) == first
    assert timetable.count(first, second) == (2, second)
    assert timetable.count(first, third - timedelta(seconds=1)) == (2, second)


def test_a_day_has_as_many_times_as_the_clock_shows() -> None:
    """Nothing is lost between two times: each wall clock time of the day has its run, on every day of the year."""
    zone = ZoneInfo("Europe/Berlin")
    begin = datetime(2026, 1, 1, tzinfo=zone) - timedelta(minutes=1)
    count, _ = Timetable("30 2 * * *", zone).count(
        Timetable("30 2 * * *", zone).after(begin), begin + timedelta(days=365)
    )
    assert count == 365


def test_counting_ends_and_the_last_time_is_still_found() -> None:
    """CronJob stops for good after a hundred missed times (kubernetes#83642)."""
    every_minute = Timetable("* * * * *", UTC)
    first, until = datetime(2020, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, 0, 0, 30, tzinfo=UTC)
    assert every_minute.count(first, until) == (MAX_COUNTED, datetime(2026, 1, 1, tzinfo=UTC))
    weekends = Timetable("* * * * SAT", UTC)
    until = datetime(2026, 11, 27, 10, tzinfo=UTC)
    assert weekends.count(datetime(2020, 1, 4, tzinfo=UTC), until) == (
        MAX_COUNTED,
        datetime(2026, 11, 21, 23, 59, tzinfo=UTC),
    )
    assert every_minute.count(until, until - timedelta(seconds=1)) == (0, None)
