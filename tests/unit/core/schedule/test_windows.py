"""When a scan may run: windows over midnight and over the changes of the clock, several of them, and what they can't be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from scanplan.api.v1alpha1.scanplan import ScanPlanSpec
from scanplan.api.v1alpha1.windows import MAX_WINDOWS, WEEK, ScanWindow
from scanplan.controller.reads.zones import ZONES
from scanplan.core.schedule.windows import Open, problem, state

CHANGING = (
    "Europe/Berlin",
    "America/New_York",
    "Australia/Sydney",
    "Australia/Lord_Howe",
    "America/Santiago",
    "Africa/Casablanca",
    "Asia/Kathmandu",
)


def windows(*items: dict[str, Any]) -> list[ScanWindow]:
    return [ScanWindow.model_validate(item) for item in items]


def shown(zone: str, after: str, count: int, *items: dict[str, Any]) -> list[str]:
    """When the scan may run after a moment of the zone's clock, as that clock shows it."""
    tz = ZoneInfo(zone)
    moment = datetime.fromisoformat(after).replace(tzinfo=tz).astimezone(UTC)
    found: list[str] = []
    of = windows(*({"timeZone": zone, **item} for item in items))
    while len(found) < count:
        now = state(of, ZONES, moment)
        if isinstance(now, Open):
            begin, end = (each.astimezone(tz) for each in (now.since, now.until))
            found.append(f"{begin:%a %d %H:%M%z} to {end:%a %d %H:%M%z}")
        moment = now.until
    return found


def of(begin: str, to: str, *days: str) -> dict[str, Any]:
    return {"from": begin, "to": to, **({"days": list(days)} if days else {})}


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ([of("22:00", "23:30")], ["Fri 27 22:00+0000 to Fri 27 23:30+0000", "Sat 28 22:00+0000 to Sat 28 23:30+0000"]),
        ([of("22:00", "06:00", "Fri")], ["Fri 27 22:00+0000 to Sat 28 06:00+0000"]),
        ([of("09:00", "17:00")], ["Fri 27 09:00+0000 to Fri 27 17:00+0000"]),
        ([of("09:00", "17:00", "Mon-Thu")], ["Mon 30 09:00+0000 to Mon 30 17:00+0000"]),
        ([of("09:00", "17:00", "Sun-Mon")], ["Sun 29 09:00+0000 to Sun 29 17:00+0000"]),
        ([of("09:00", "17:00", "Tue", "Sun")], ["Sun 29 09:00+0000 to Sun 29 17:00+0000"]),
        (
            [of("12:00", "13:00"), of("20:00", "21:00")],
            ["Fri 27 12:00+0000 to Fri 27 13:00+0000", "Fri 27 20:00+0000 to Fri 27 21:00+0000"],
        ),
        ([of("12:00", "14:00"), of("14:00", "15:00")], ["Fri 27 12:00+0000 to Fri 27 15:00+0000"]),
        ([of("12:00", "14:00"), of("12:30", "13:00")], ["Fri 27 12:00+0000 to Fri 27 14:00+0000"]),
        ([of("20:00", "24:00"), of("00:00", "01:00")], ["Fri 27 20:00+0000 to Sat 28 01:00+0000"]),
        ([of("00:00", "24:00", "Sat-Sun")], ["Sat 28 00:00+0000 to Mon 30 00:00+0000"]),
        ([of("23:59", "00:00")], ["Fri 27 23:59+0000 to Sat 28 00:00+0000"]),
    ],
)
def test_when_a_scan_may_run(items: list[dict[str, Any]], expected: list[str]) -> None:
    """A scan of shops by day, or none at all, would be the consequence."""
    assert shown("Etc/UTC", "2026-11-27T10:00", len(expected), *items) == expected


@pytest.mark.parametrize(
    ("zone", "after", "window", "expected"),
    [
        # the night on which the clock is turned forward, and the one on which it is turned back
        ("Europe/Berlin", "2026-03-28T12:00", of("22:00", "06:00"), "Sat 28 22:00+0100 to Sun 29 06:00+0200"),
        ("Europe/Berlin", "2026-10-24T12:00", of("22:00", "06:00"), "Sat 24 22:00+0200 to Sun 25 06:00+0100"),
        ("America/New_York", "2026-03-07T12:00", of("22:00", "06:00"), "Sat 07 22:00-0500 to Sun 08 06:00-0400"),
        ("America/New_York", "2026-10-31T12:00", of("22:00", "06:00"), "Sat 31 22:00-0400 to Sun 01 06:00-0500"),
        ("Australia/Sydney", "2026-10-03T12:00", of("22:00", "06:00"), "Sat 03 22:00+1000 to Sun 04 06:00+1100"),
        ("Australia/Sydney", "2026-04-04T12:00", of("22:00", "06:00"), "Sat 04 22:00+1100 to Sun 05 06:00+1000"),
        # it begins at a time that does not exist: at the next minute that does
        ("Europe/Berlin", "2026-03-29T00:30", of("02:30", "04:00"), "Sun 29 03:00+0200 to Sun 29 04:00+0200"),
        ("America/New_York", "2026-03-08T00:30", of("02:30", "04:00"), "Sun 08 03:00-0400 to Sun 08 04:00-0400"),
        ("Australia/Lord_Howe", "2026-10-04T00:30", of("02:10", "04:00"), "Sun 04 02:30+1100 to Sun 04 04:00+1100"),
        ("America/Santiago", "2026-09-05T12:00", of("00:30", "02:00"), "Sun 06 01:00-0300 to Sun 06 02:00-0300"),
        ("Africa/Casablanca", "2026-03-22T00:30", of("02:30", "04:00"), "Sun 22 03:00+0100 to Sun 22 04:00+0100"),
        # it ends at one
        ("Europe/Berlin", "2026-03-29T00:30", of("01:00", "02:30"), "Sun 29 01:00+0100 to Sun 29 03:00+0200"),
        ("Australia/Sydney", "2026-10-04T00:30", of("01:00", "02:30"), "Sun 04 01:00+1000 to Sun 04 03:00+1100"),
        # the clock skips it as a whole: it opens a week later
        ("Europe/Berlin", "2026-03-28T12:00", of("02:10", "02:50", "Sun"), "Sun 05 02:10+0200 to Sun 05 02:50+0200"),
        ("America/Santiago", "2026-09-05T12:00", of("00:10", "00:50", "Sun"), "Sun 13 00:10-0300 to Sun 13 00:50-0300"),
        # a time that comes twice counts once, the first time
        ("Europe/Berlin", "2026-10-25T00:30", of("02:30", "02:45"), "Sun 25 02:30+0200 to Sun 25 02:45+0200"),
        ("Europe/Berlin", "2026-10-25T00:30", of("01:00", "02:30"), "Sun 25 01:00+0200 to Sun 25 02:30+0200"),
        ("Europe/Berlin", "2026-10-25T00:30", of("02:30", "03:30"), "Sun 25 02:30+0200 to Sun 25 03:30+0100"),
        ("America/New_York", "2026-11-01T00:30", of("01:30", "01:45"), "Sun 01 01:30-0400 to Sun 01 01:45-0400"),
        ("Australia/Sydney", "2026-04-05T00:30", of("02:30", "02:45"), "Sun 05 02:30+1100 to Sun 05 02:45+1100"),
        ("Australia/Lord_Howe", "2026-04-05T00:30", of("01:40", "01:50"), "Sun 05 01:40+1100 to Sun 05 01:50+1100"),
        ("America/Santiago", "2026-04-04T12:00", of("23:10", "23:50"), "Sat 04 23:10-0300 to Sat 04 23:50-0300"),
        ("Africa/Casablanca", "2026-02-15T00:30", of("02:30", "02:45"), "Sun 15 02:30+0100 to Sun 15 02:45+0100"),
        ("Asia/Kathmandu", "2026-03-29T00:30", of("02:30", "04:00"), "Sun 29 02:30+0545 to Sun 29 04:00+0545"),
    ],
)
def test_windows_when_the_clock_changes(zone: str, after: str, window: dict[str, Any], expected: str) -> None:
    """A window never opens twice in a night, nor outside of what its author wrote."""
    assert shown(zone, after, 1, window) == [expected]


def test_windows_of_several_zones_are_one_timetable() -> None:
    """A service in two regions, each with its own night."""
    berlin = {"from": "22:00", "to": "23:00", "timeZone": "Europe/Berlin"}
    tokyo = {"from": "22:00", "to": "23:00", "timeZone": "Asia/Tokyo"}
    assert shown("Etc/UTC", "2026-11-27T10:00", 2, berlin, tokyo) == [
        "Fri 27 13:00+0000 to Fri 27 14:00+0000",
        "Fri 27 21:00+0000 to Fri 27 22:00+0000",
    ]


def test_a_window_of_all_day_is_always_open() -> None:
    now = datetime(2026, 11, 27, 10, tzinfo=UTC)
    found = state(windows(of("00:00", "24:00")), ZONES, now)
    assert isinstance(found, Open)
    assert found.until - now > timedelta(days=7)


def test_a_zone_that_does_not_exist_is_named() -> None:
    found = windows(of("00:00", "24:00"), {**of("00:00", "24:00"), "timeZone": "Europe/Atlantis"})
    assert problem(found, ZONES) == "windows[1].timeZone 'Europe/Atlantis' is no time zone of the IANA database"
    assert not problem(found[:1], ZONES)


@pytest.mark.parametrize(
    "wrong",
    [
        *({"from": begin, "to": "06:00"} for begin in ("24:00", "6:00", "22", "22:60", "22:00:00", "", "٢٢:00")),
        *({"from": "22:00", "to": to} for to in ("24:01", "25:00", "6am")),
        *({**of("22:00", "06:00"), "days": days} for days in ([], ["Monday"], ["mon"], ["Mon,Tue"], ["Mon-"], ["*"])),
        *({"from": "22:00"}, {"to": "06:00"}),
    ],
)
def test_what_cannot_be_read_is_refused(wrong: dict[str, Any]) -> None:
    """A guess would scan when nobody allowed it."""
    with pytest.raises(ValidationError):
        ScanWindow.model_validate(wrong)


def test_windows_are_bounded() -> None:
    many = [of("22:00", "06:00")] * (MAX_WINDOWS + 1)
    with pytest.raises(ValidationError):
        ScanPlanSpec.model_validate({"endpoints": ["a.example"], "templates": ["http/"], "windows": many})


CLOCK = st.builds(lambda hour, minute: f"{hour:02}:{minute:02}", st.integers(0, 23), st.integers(0, 59))
WINDOW = st.builds(
    lambda days, begin, to, zone: {"days": days, "from": begin, "to": to, "timeZone": zone},
    st.lists(st.sampled_from([*WEEK, "Mon-Fri", "Sat-Sun", "Fri-Tue"]), min_size=1, max_size=3, unique=True),
    CLOCK,
    CLOCK | st.just("24:00"),
    st.sampled_from(CHANGING),
).filter(lambda window: window["from"] != window["to"])


@given(
    items=st.lists(WINDOW, min_size=1, max_size=4),
    now=st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)),  # noqa: DTZ001 - made aware below
    share=st.floats(0, 1, exclude_max=True),
)
def test_between_two_edges_nothing_changes(items: list[dict[str, Any]], now: datetime, share: float) -> None:
    """The operator looks at the next edge alone: one that it does not hear of would be scanned through, or slept through."""
    written, now = windows(*items), now.replace(tzinfo=UTC)
    found = state(written, ZONES, now)
    assert now < found.until
    between = min(now + (found.until - now) * share, found.until - timedelta(microseconds=1))
    later = state(written, ZONES, between)
    assert type(later) is type(found)
    if found.until - now < timedelta(days=8):
        assert later.until == found.until
        assert type(state(written, ZONES, found.until)) is not type(found)
